"""What a T-RevSNN learns besides the weights of its layers, and how that is merged into them after training.

Weight standardisation (Qiao et al., 2019, arXiv 1903.10520; scaled: Brock et al., 2021, arXiv 2101.08692), for the N
inputs of every output feature:

    w_hat = gain (w - mean w) / sqrt(N var w + eps)

A scaled residual (ReZero: Bachlechner et al., 2020, arXiv 2003.04887) is x + scale F(x), with one factor for every
feature. All of these, and batch norms, are linear in what the weights before them give, so `merged` weights with
biases give the same output.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from deploytool.recipe import AddLayer, BatchNormLayer, ConvLayer, LinearLayer
from deploytool.recipe.nodes import NORM_PARTS
from deploytool.train.network.blocks import Block
from deploytool.train.network.norms import scale
from deploytool.train.network.spiking import Weights

STANDARD_EPSILON: Final = 1e-6
SMALLEST_ALPHA: Final = 1e-3


def standardised(weight: Tensor, gain: Tensor) -> Tensor:
    """``weight`` (..., O, I, KH, KW) or (..., O, I) standardised, times ``gain`` (..., O)."""
    rows = weight.flatten(gain.ndim)
    variance, mean = torch.var_mean(rows, dim=-1, correction=0, keepdim=True)
    factor = gain.unsqueeze(-1) / (rows.shape[-1] * variance + STANDARD_EPSILON).sqrt()
    return ((rows - mean) * factor).view_as(weight)


def clamped(alpha: Tensor) -> Tensor:
    """``alpha``, with an absolute value of at least `SMALLEST_ALPHA` and the same sign; 0 counts as positive."""
    sign = torch.where(alpha < 0, -1.0, 1.0).to(alpha.dtype)
    return sign * alpha.abs().clamp(min=SMALLEST_ALPHA)


def can_standardise(block: Block) -> bool:
    """Whether weight standardisation applies to ``block``: not depthwise, and no batch norm follows."""
    depthwise = isinstance(block.layer, ConvLayer) and block.layer.groups == block.in_shape[0] > 1
    return bool(block.weight_shape) and not block.normalised and not depthwise


def scaled_adds(blocks: tuple[Block, ...], own: bool) -> dict[str, str]:
    """{add layer: the layer with weights whose output it may scale}: those of shortcuts around weights.

    Time steps with ``own`` weights scale none that they share.
    """
    weighted = {block.name: block.layer for block in blocks if isinstance(block.layer, ConvLayer | LinearLayer)}
    return {
        block.name: block.sources[0]
        for block in blocks
        if isinstance(block.layer, AddLayer)
        and block.sources[0] in weighted
        and not (own and weighted[block.sources[0]].shared)
    }


def merged(weights: Weights, blocks: tuple[Block, ...], own: bool) -> dict[str, Tensor]:
    """``weights`` of a network of ``blocks`` with gains, batch norms and scales merged into weights and biases.

    Alphas are clamped. The network gives the same output with either.
    """
    found = {name: clamped(w) if name.startswith("alpha.") else w for name, w in weights.items()}
    for name in [name.removesuffix(".gain") for name in weights if name.endswith(".gain")]:
        found[name] = standardised(found[name], found.pop(f"{name}.gain"))
    norms = {block.name: block.sources[0] for block in blocks if isinstance(block.layer, BatchNormLayer)}
    fuses = [name.removesuffix(".gamma") for name in weights if name.startswith("fuse.") and name.endswith(".gamma")]
    for norm, name in {**norms, **{fuse: fuse for fuse in fuses}}.items():
        if f"{norm}.gamma" in found:
            gamma, beta, mean, variance = (found.pop(f"{norm}.{part}") for part in NORM_PARTS)
            factor = scale(gamma, variance)
            found[f"{name}.bias"] = beta - mean * factor
            found[name] = _times(found[name], factor)
    for add, name in scaled_adds(blocks, own).items():
        if f"{add}.scale" in found:
            factor = found.pop(f"{add}.scale")
            for each in (name, f"{name}.bias"):
                if each in found:
                    found[each] = _times(found[each], factor)
    return found


def _times(weight: Tensor, factor: Tensor) -> Tensor:
    """``weight`` (..., O, ...) times ``factor`` (..., O)."""
    return weight * factor.view(*factor.shape, *[1] * (weight.ndim - factor.ndim))


def norm_arrays(name: str, features: int) -> dict[str, Tensor]:
    """The arrays (C,) of a batch norm ``name`` that changes nothing."""
    return {
        f"{name}.{part}": torch.full((features,), value)
        for part, value in zip(NORM_PARTS, (1.0, 0.0, 0.0, 1.0), strict=True)
    }
