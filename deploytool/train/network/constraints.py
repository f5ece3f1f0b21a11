"""The chip's constraints beyond integers: few inputs per neuron, and weights of at most the threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from deploytool.base.errors import RecipeError
from deploytool.recipe import BatchNormLayer, ConstraintsSection, FlattenLayer, PoolLayer, TrainSection
from deploytool.recipe.network import INPUT
from deploytool.train.network.norms import scale, scaled
from deploytool.train.network.spiking import SpikingNetwork, Weights


def require_possible(constraints: ConstraintsSection, spec: TrainSection) -> None:
    """Raises RecipeError for a limit that training would never reach."""
    if constraints.fan_in is not None and constraints.fan_in_epochs > spec.epochs:
        found = f"found {constraints.fan_in_epochs} with {spec.epochs} epochs of training"
        raise RecipeError("constraints.fan_in_epochs", found, f"at most {spec.epochs}")


def fan_in_limit(constraints: ConstraintsSection, epoch: int, full: int) -> int:
    """The largest number of nonzero weights of a neuron with ``full`` inputs in ``epoch``, from 1.

    limit = f + (full - f) (1 - epoch / E)^3 for the limit f from epoch E on: gradual pruning (Zhu and Gupta, 2017,
    arXiv 1710.01878).
    """
    assert constraints.fan_in is not None
    rest = max(0.0, 1 - epoch / constraints.fan_in_epochs) ** 3
    return min(full, constraints.fan_in + math.ceil((full - constraints.fan_in) * rest))


def masks(weights: Mapping[str, Tensor], constraints: ConstraintsSection, epoch: int) -> dict[str, Tensor]:
    """{layer: 1 for weights that may differ from 0 in ``epoch``, else 0}. Every output feature keeps its largest."""
    found = {}
    for name, tensor in weights.items():
        rows = tensor.detach().abs().flatten(1)
        limit = fan_in_limit(constraints, epoch, rows.shape[1])
        kept = rows.argsort(dim=1, descending=True, stable=True)[:, :limit]
        found[name] = torch.zeros_like(rows).scatter_(1, kept, 1.0).view_as(tensor)
    return found


def excess(net: SpikingNetwork, weights: Weights) -> Tensor:
    """The sum of max(w / d - threshold, 0) over all weights w behind average pooling of d places (1 without pooling).

    A weight above the threshold leaves its neuron above the threshold after firing, so the next event makes it fire
    again. Before a batch norm, w is the weight after merging that batch norm.
    """
    norms = {block.sources[0]: block.name for block in net.blocks if isinstance(block.layer, BatchNormLayer)}
    divisors = {INPUT: 1}
    total = torch.zeros((), device=next(iter(weights.values())).device)
    for block in net.blocks:
        before = divisors[block.sources[0]]
        if block.weight_shape:
            w = scaled(block.name, weights)
            if block.name in norms:
                gamma, variance = (weights[f"{norms[block.name]}.{part}"] for part in ("gamma", "variance"))
                w = w * scale(gamma, variance).view(-1, *[1] * (w.ndim - 1))
            total = total + (w / before - net.constraints.threshold).clamp(min=0).sum()
        match block.layer:
            case PoolLayer(type=kind, kernel=kernel):
                divisors[block.name] = before * (kernel**2 if kind == "avgpool" else 1)
            case FlattenLayer():
                divisors[block.name] = before
            case _:
                divisors[block.name] = 1
    return total
