"""From real numbers to the integers of a chip, layer by layer, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from deploytool.base.errors import FitError
from deploytool.chip.integers import IntegerFormat, integer_start
from deploytool.chip.integers import quantise as quantise_layer
from deploytool.ir.program import Layer, Program

FEW_LEVELS: Final = 16


@dataclass(frozen=True)
class LayerQuantisation:
    """What integers did to one layer; value = integer / ``scale``.

    ``levels`` different weights of ``levels_before``; ``zeros`` share of weights that are 0, of ``zeros_before``;
    ``relative_error`` = |w_int / theta_int - w / theta| / |w / theta|, Euclidean norms over the layer's weights;
    ``weight_max`` the largest weight over the threshold, above 1 one event can cause more than one spike;
    ``outlier`` the weight whose size leaves fewer than FEW_LEVELS levels to all others, None where there is none.
    """

    layer: str
    scale: float
    threshold: int
    floor: int
    levels: int
    levels_before: int
    zeros: float
    zeros_before: float
    relative_error: float
    weight_max: float
    outlier: float | None
    warnings: tuple[str, ...]


def quantise(program: Program, fmt: IntegerFormat) -> Program:
    """``program`` (float32) in the integers of ``fmt``, by the rule of fixedpoint.py, one scale per layer.

    Raises FitError with every layer whose weights all become 0 or whose neurons differ in threshold.
    """
    if problems := [FitError(name, *text) for name, layer in program.layers.items() for text in _lost(layer, fmt)]:
        raise FitError.together(problems)
    layers = {name: _quantised(layer, fmt) for name, layer in program.layers.items()}
    return program.with_layers(layers, arithmetic="int8/int16")


def layer_report(before: Program, after: Program) -> tuple[LayerQuantisation, ...]:
    """What quantising ``before`` into ``after`` did to each layer."""
    return tuple(_compared(name, layer, after.layers[name]) for name, layer in before.layers.items())


def _quantised(layer: Layer, fmt: IntegerFormat) -> Layer:
    integers = quantise_layer(layer.weights, layer.bias, float(layer.threshold), layer.floor, fmt)
    return replace(
        layer,
        weights=integers.weights,
        bias=integers.bias,
        threshold=integers.threshold,
        floor=integers.floor,
        scale=integers.scale,
        v_init=integer_start(layer.v_init, integers.scale, fmt),
    )


def _lost(layer: Layer, fmt: IntegerFormat) -> Iterator[tuple[str, str, str]]:
    if isinstance(layer.threshold, np.ndarray):
        yield (
            f"thresholds from {layer.threshold.min():g} to {layer.threshold.max():g}",
            "one threshold per layer",
            "Put differences between features into the weights.",
        )
    elif not _quantised(layer, fmt).weights.any():
        largest = float(np.abs(layer.weights).max())
        yield (
            f"every weight becomes 0 (the largest is {largest:g}, the threshold {layer.threshold:g})",
            "weights that one event after the other can bring to the threshold",
            "Train it, or lower its threshold.",
        )


def _compared(name: str, before: Layer, after: Layer) -> LayerQuantisation:
    weights, threshold = before.weights.astype(np.float64), float(before.threshold)
    integers, theta = after.weights.astype(np.float64), int(after.threshold)
    exact = weights / threshold
    norm = float(np.linalg.norm(exact))
    found = LayerQuantisation(
        layer=name,
        scale=after.scale,
        threshold=theta,
        floor=int(after.floor or 0),
        levels=len(np.unique(after.weights)),
        levels_before=len(np.unique(weights)),
        zeros=float((after.weights == 0).mean()),
        zeros_before=float((weights == 0).mean()),
        relative_error=float(np.linalg.norm(integers / theta - exact)) / norm,
        weight_max=float(exact.max()),
        outlier=_outlier(before, after),
        warnings=(),
    )
    return replace(found, warnings=tuple(_warnings(found, before, after)))


def _outlier(before: Layer, after: Layer) -> float | None:
    """The largest weight, where fewer than FEW_LEVELS levels are left although it takes more; None elsewhere."""
    integers = np.abs(after.weights.astype(np.int16))
    if len(np.unique(after.weights)) < FEW_LEVELS <= min(len(np.unique(before.weights)), int(integers.max())):
        return float(before.weights.flat[int(np.abs(before.weights).argmax())])
    return None


def _warnings(found: LayerQuantisation, before: Layer, after: Layer) -> Iterator[str]:
    if found.levels < FEW_LEVELS <= found.levels_before:
        largest = before.weights.flat[int(np.abs(before.weights).argmax())]
        typical = float(np.median(np.abs(before.weights[before.weights != 0])))
        yield (
            f"{found.layer}: only {found.levels} different weights are left of {found.levels_before}, because one "
            f"scale holds the largest ({largest:g}), the threshold ({float(before.threshold):g}) and the typical "
            f"({typical:g})"
        )
    if found.weight_max > 1:
        yield (
            f"{found.layer}: the largest weight is {found.weight_max:.2f} thresholds; after such an event a neuron "
            "stays above its threshold, and event-driven and clock-driven runs diverge"
        )
    if before.floor is not None and found.floor != (exact := round(before.floor * found.scale)):
        yield f"{found.layer}: the floor becomes {found.floor} instead of {exact}, which no core can hold"
    if before.bias is not None and after.bias is not None:
        exact_bias = np.rint(before.bias * found.scale)
        if (exact_bias != after.bias).any():
            yield f"{found.layer}: the largest bias, {np.abs(exact_bias).max():.0f} in integers, is cut to 16 bits"
    exact_start = np.rint(np.asarray(before.v_init, np.float64) * found.scale)
    if (exact_start != after.v_init).any():
        yield f"{found.layer}: the largest start, {np.abs(exact_start).max():.0f} in integers, is cut to 16 bits"
