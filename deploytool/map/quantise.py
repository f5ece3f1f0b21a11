"""Quantisation of each layer to the chip's integers, and statistics of the rounding error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import FitError
from deploytool.chip.integers import IntegerFormat, integer_start
from deploytool.chip.integers import quantise as quantise_layer
from deploytool.ir.program import Layer, Program
from deploytool.ir.spec.verify import rules_named, violations
from deploytool.map.vanishing import ScaleSetBy, Vanished, vanished

FEW_LEVELS: Final = 16


@dataclass(frozen=True)
class LayerQuantisation:
    """The effect of quantisation on one layer; value = integer / ``scale``.

    ``levels`` different weights of ``levels_before``; ``zeros`` share of weights that are 0, of ``zeros_before``;
    ``relative_error`` = |w_int / theta_int - w / theta| / |w / theta|, Euclidean norms over the layer's weights;
    ``weight_max`` the largest weight over the threshold, above 1 one event can cause more than one spike;
    ``outlier`` the weight whose size leaves fewer than FEW_LEVELS levels to all others, None where there is none.
    ``vanished`` share of the weights other than 0 that became 0, ``silenced`` the output features that lost all of
    theirs, and ``scale_set_by`` what made the scale so small.
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
    vanished: float
    silenced: tuple[int, ...]
    scale_set_by: ScaleSetBy
    warnings: tuple[str, ...]


def quantise(program: Program, fmt: IntegerFormat) -> Program:
    """``program`` (float32) in the integers of ``fmt``, by the rule of fixedpoint.py, one scale per layer.

    Raises FitError with every layer whose weights all become 0 or whose neurons differ in threshold.
    """
    if found := violations(program, rules_named("threshold")):
        raise FitError.together(violation.error(FitError) for violation in found)
    if problems := [FitError(name, *text) for name, layer in program.layers.items() for text in _lost(layer, fmt)]:
        raise FitError.together(problems)
    layers = {name: in_integers(layer, fmt) for name, layer in program.layers.items()}
    return program.with_layers(layers, arithmetic="int8/int16")


def layer_report(before: Program, after: Program, fmt: IntegerFormat) -> tuple[LayerQuantisation, ...]:
    """The effect on each layer of quantising ``before`` to ``after`` in the integers of ``fmt``."""
    return tuple(_compared(name, layer, after.layers[name], fmt) for name, layer in before.layers.items())


def in_integers(layer: Layer, fmt: IntegerFormat, scale: float | None = None) -> Layer:
    """``layer``, whose neurons have one threshold, in the integers of ``fmt`` at ``scale`` (None: the rule's)."""
    neurons = layer.neurons
    integers = quantise_layer(layer.single.weights, layer.bias, float(neurons.threshold), neurons.floor, fmt, scale)
    start = integer_start(neurons.v_init, integers.scale, fmt)
    return replace(
        layer.with_single(weights=integers.weights),
        neurons=replace(neurons, threshold=integers.threshold, floor=integers.floor, v_init=start),
        bias=integers.bias,
        scale=integers.scale,
    )


def _lost(layer: Layer, fmt: IntegerFormat) -> Iterator[tuple[str, str, str]]:
    threshold, weights = layer.neurons.threshold, layer.single.weights
    if not in_integers(layer, fmt).single.weights.any():
        largest = float(np.abs(weights).max())
        yield (
            f"every weight becomes 0 (the largest is {largest:g}, the threshold {threshold:g})",
            "weights with which successive events can reach the threshold",
            "Train it, or lower its threshold.",
        )


def _compared(name: str, before: Layer, after: Layer, fmt: IntegerFormat) -> LayerQuantisation:
    weights, threshold = before.single.weights.astype(np.float64), float(before.neurons.threshold)
    integers, theta = after.single.weights.astype(np.float64), int(after.neurons.threshold)
    exact = weights / threshold
    norm = float(np.linalg.norm(exact))
    lost = vanished(before.single.weights, after.single.weights, threshold, after.scale, fmt)
    found = LayerQuantisation(
        layer=name,
        scale=after.scale,
        threshold=theta,
        floor=int(after.neurons.floor or 0),
        levels=len(np.unique(integers)),
        levels_before=len(np.unique(weights)),
        zeros=float((integers == 0).mean()),
        zeros_before=float((weights == 0).mean()),
        relative_error=float(np.linalg.norm(integers / theta - exact)) / norm,
        weight_max=float(exact.max()),
        outlier=_outlier(before.single.weights, after.single.weights),
        vanished=lost.share,
        silenced=lost.silenced,
        scale_set_by=lost.scale_set_by,
        warnings=(),
    )
    return replace(found, warnings=tuple(_warnings(found, before, after, lost)))


def _outlier(before: Array, after: Array) -> float | None:
    """The largest weight if it leaves fewer than FEW_LEVELS levels where there were more, else None."""
    integers = np.abs(after.astype(np.int16))
    if len(np.unique(after)) < FEW_LEVELS <= min(len(np.unique(before)), int(integers.max())):
        return float(before.flat[int(np.abs(before).argmax())])
    return None


def _warnings(found: LayerQuantisation, before: Layer, after: Layer, lost: Vanished) -> Iterator[str]:
    if lost.worth_a_warning:
        yield lost.says(found.layer)
    elif found.levels < FEW_LEVELS <= found.levels_before:
        weights, threshold = before.single.weights, float(before.neurons.threshold)
        largest = weights.flat[int(np.abs(weights).argmax())]
        typical = float(np.median(np.abs(weights[weights != 0])))
        yield (
            f"{found.layer}: only {found.levels} of {found.levels_before} different weights are left, because one "
            f"scale holds the largest ({largest:g}), the threshold ({threshold:g}) and the typical "
            f"({typical:g})"
        )
    if found.weight_max > 1:
        yield (
            f"{found.layer}: the largest weight is {found.weight_max:.2f} thresholds; after such an event a neuron "
            "stays above its threshold, and event-driven and clock-driven runs diverge"
        )
    floor = before.neurons.floor
    if floor is not None and found.floor != (exact := round(floor * found.scale)):
        yield f"{found.layer}: the floor becomes {found.floor} instead of {exact}, which a core cannot hold"
    if before.bias is not None and after.bias is not None:
        exact_bias = np.rint(before.bias * found.scale)
        if (exact_bias != after.bias).any():
            yield f"{found.layer}: the largest bias, {np.abs(exact_bias).max():.0f} in integers, is clipped to 16 bits"
        if lost_biases := int(((before.bias != 0) & (after.bias == 0)).sum()):
            yield (
                f"{found.layer}: the bias of {lost_biases} of {len(after.bias)} features becomes 0 in integers; with a "
                "slower clock each tick adds more"
            )
    exact_start = np.rint(np.asarray(before.neurons.v_init, np.float64) * found.scale)
    if (exact_start != after.neurons.v_init).any():
        yield f"{found.layer}: the largest v_init, {np.abs(exact_start).max():.0f} in integers, is clipped to 16 bits"
