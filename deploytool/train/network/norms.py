"""Batch norms: how they act on a map, how they are merged into the weights before them, and the scales left of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.recipe import BatchNormLayer, NetworkSection
from deploytool.recipe.nodes import NORM_EPSILON

SCALE: Final = "scale"
"""The name of a layer's factors (O,) on the weights of its output features, while they are learnt: "conv1.scale"."""


def scale(gamma: Tensor, variance: Tensor) -> Tensor:
    """gamma / sqrt(variance + eps), (C,)."""
    return gamma / (variance + NORM_EPSILON).sqrt()


def normalise(maps: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """(x - mean) gamma / sqrt(variance + eps) + beta of ``maps`` x (..., C, H, W)."""
    factor = scale(gamma, variance)
    return maps * factor.view(-1, 1, 1) + (beta - mean * factor).view(-1, 1, 1)


def merged(weights: Mapping[str, Array], network: NetworkSection) -> dict[str, Array]:
    """Weights of ``network`` without its batch norms, w gamma / sqrt(variance + eps) each, and no bias.

    Bias removal of MTT (Du et al., 2025): before it is merged, the batch norm's running mean and beta are set to 0.
    Their effect is lost, and the following training compensates for it.
    """
    norms = {name for name, layer in network.named_layers() if isinstance(layer, BatchNormLayer)}
    found = {name: array for name, array in weights.items() if name.partition(".")[0] not in norms}
    sources = network.sources()
    for norm in norms:
        gamma, variance = (weights[f"{norm}.{part}"].astype(np.float64) for part in ("gamma", "variance"))
        before = found[sources[norm][0]]
        factor = (gamma / np.sqrt(variance + NORM_EPSILON)).reshape(-1, *[1] * (before.ndim - 1))
        found[sources[norm][0]] = (before * factor).astype(np.float32)
    return found


def scaled(name: str, weights: Mapping[str, Tensor]) -> Tensor:
    """The weights of layer ``name`` times its scales, if it has any: (O, ...)."""
    own = weights[name]
    found = weights.get(f"{name}.{SCALE}")
    return own if found is None else own * found.view(-1, *[1] * (own.ndim - 1))


def with_scales(weights: Mapping[str, Array]) -> dict[str, Array]:
    """``weights`` of a network without batch norms with scales of 1 for every layer, to be learnt."""
    layers = [name for name in weights if "." not in name]
    return {**weights, **{f"{name}.{SCALE}": np.ones(len(weights[name]), np.float32) for name in layers}}


def without_scales(weights: Mapping[str, Array]) -> dict[str, Array]:
    """``weights`` with their scales multiplied in."""
    found = {name: array for name, array in weights.items() if not name.endswith(f".{SCALE}")}
    for name in found:
        if (own := weights.get(f"{name}.{SCALE}")) is not None:
            found[name] = found[name] * own.reshape(-1, *[1] * (found[name].ndim - 1))
    return found
