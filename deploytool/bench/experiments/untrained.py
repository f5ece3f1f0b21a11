"""Measurements that need no trained model: of a recipe's network and training step, and of the methods themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from deploytool.recipe import Recipe
    from deploytool.store.cache import StageCache

Figures: TypeAlias = dict[str, Any]
"""{what was measured: its figure}."""


def size(_cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """The number of weights, and of all else that is learnt, in thousands."""
    import torch

    from deploytool.train.methods.table import build
    from deploytool.train.network.spiking import learnt

    net = build(recipe.network, recipe.constraints, recipe.train)
    weights = net.initial_weights(torch.Generator().manual_seed(0))
    return {"k weights": sum(weight.numel() for name, weight in weights.items() if learnt(name)) / 1000}


def step_time(_cache: StageCache, recipe: Recipe, _seed: int, options: Mapping[str, Any]) -> Figures:
    """Time of a training step, also over that of SDT, in ``rounds`` rounds; see `deploytool.bench.step_time`."""
    from deploytool.bench.step_time import in_turn

    own, by_sdt = in_turn(recipe, options["rounds"])
    return {"ms per step": own, "step time / SDT": own / by_sdt}


def memory(_cache: StageCache, _recipe: None, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """MB and time per time step, also as a share of those with all activations kept; see `bench.speed.memory`."""
    from deploytool.bench.speed.memory import memory as measured

    return {
        f"{row['kind']} {figure}": row[figure]
        for row in measured()
        for figure in ("MB per step", "% of kept", "ms per step", "% of kept, time")
        if not row["kind"].endswith("kept")
    }


def gradients(_cache: StageCache, _recipe: None, seed: int, _options: Mapping[str, Any]) -> Figures:
    """Largest error of a gradient of the T-RevSNN undone, over the largest of its layer, by alpha and T in float32."""
    import torch

    from deploytool.bench.speed.memory import staged

    found = {}
    for alpha, steps in ((1.0, 16), (0.5, 4), (0.5, 8)):
        by_kind = []
        for reversible in (True, False):
            net = staged(steps, alpha=alpha, reversible=reversible)
            generator = torch.Generator().manual_seed(seed)
            weights = {name: w.requires_grad_() for name, w in net.initial_weights(generator).items()}
            frames = (torch.rand(steps, 2, *net.blocks[0].in_shape, generator=generator) < 0.2).float()
            output = net.run(weights, frames).output
            by_kind.append(torch.autograd.grad(output.square().sum(), list(weights.values())))
        errors = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(*by_kind, strict=True) if b.any()]
        found[f"gradient error, alpha {alpha}, T={steps}"] = max(errors, default=None)
    return found
