"""The integer arithmetic of a core: the only module that converts real numbers to the chip's integers.

The rule (`Quantisation` below) has one scale per layer for weights, threshold and floor:

    s = min(w_high / max w, w_low / min w, theta_max / theta)       the first (second) only if max w > 0 (min w < 0)
    w_int = round(w s)    theta_int = round(theta s)    floor_int = min(max(round(floor s), v_low), floor_max)

with rounding half to even. On measured silicon the spike difference is half that of ``w_high / max |w|``.
The floor and the bias do not affect the scale: a floor of -infinity or a large bias would reduce the precision of
every weight.
Training's fake quantisation and the compiler both call these functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IntegerFormat:
    """The integer format of a core. The values for each chip are in chips.py."""

    weight_bits: int
    state_bits: int
    threshold_max: int
    """Largest threshold. It is lower than the state's maximum, so that V + w does not exceed that maximum."""
    floor_max: int
    """Highest floor (lower clamp of V) that works on silicon."""

    @property
    def weight_range(self) -> tuple[int, int]:
        return -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1

    @property
    def state_range(self) -> tuple[int, int]:
        return -(1 << (self.state_bits - 1)), (1 << (self.state_bits - 1)) - 1


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """A quantised layer: value = integer / ``scale``."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int16] | None
    threshold: int
    floor: int
    scale: float


def weight_scale(w_min: float, w_max: float, threshold: float, fmt: IntegerFormat) -> float:
    """The scale s of a layer whose weights lie in [w_min, w_max] and that fires at ``threshold``.

    The result is always finite: if all weights are zero, the threshold alone determines it.
    """
    low, high = fmt.weight_range
    bounds = [fmt.threshold_max / threshold]
    if w_max > 0:
        bounds.append(high / w_max)
    if w_min < 0:
        bounds.append(low / w_min)
    return min(bounds)


def integer_threshold(threshold: float, scale: float, fmt: IntegerFormat) -> int:
    """round(threshold * scale), at least 1, because a core with threshold 0 would never stop firing."""
    return min(max(round(threshold * scale), 1), fmt.threshold_max)


def integer_floor(floor: float | None, scale: float, fmt: IntegerFormat) -> int:
    """round(floor * scale) clipped to the state's minimum and ``fmt.floor_max``; the state's minimum for no floor."""
    lowest = fmt.state_range[0]
    if floor is None or floor == -math.inf:
        return lowest
    return min(max(round(floor * scale), lowest), fmt.floor_max)


def integer_start(v_init: float | NDArray[Any], scale: float, fmt: IntegerFormat) -> int | NDArray[np.int16]:
    """round(v_init * scale), half to even, clipped to the state's range: one number, or one per neuron."""
    rounded = np.clip(np.rint(np.asarray(v_init, np.float64) * scale), *fmt.state_range).astype(np.int16)
    return rounded if rounded.ndim else int(rounded)


def exact_scale(scale: float) -> float:
    """The power of two nearest to ``scale``. Dividing integers by it needs no rounding."""
    return float(2.0 ** round(math.log2(scale)))


def dequantise(layer: QuantisedLayer) -> tuple[NDArray[np.float32], float, float]:
    """(weights, threshold, floor) of ``layer`` as real numbers, up to one common factor.

    The integers are divided by the power of two nearest to the scale, not by the scale itself. float32 then represents
    every sum exactly, so that the real-valued network spikes exactly as the integer network does, on any simulator.
    Quantising again gives the same integers. A floor at the state's minimum is returned as a number, and a weight that
    float32 cannot hold as an infinity, which no Graph takes.
    """
    scale = exact_scale(layer.scale)
    with np.errstate(over="ignore"):
        weights = layer.weights.astype(np.float32) / np.float32(scale)
    return weights, layer.threshold / scale, layer.floor / scale


def quantise(
    weights: NDArray[np.floating],
    bias: NDArray[np.floating] | None,
    threshold: float,
    floor: float | None,
    fmt: IntegerFormat,
    scale: float | None = None,
) -> QuantisedLayer:
    """``weights`` (O, I, KH, KW), ``bias`` (O,) or None, threshold and floor in the integers of ``fmt``.

    Weights are scaled in their own precision, so that training in float32 sees the same integers. A ``scale`` given by
    the caller replaces the rule's; weights outside the integer range are clipped.
    """
    if scale is None:
        scale = weight_scale(float(weights.min()), float(weights.max()), threshold, fmt)
    low, high = fmt.weight_range
    lowest, highest = fmt.state_range
    return QuantisedLayer(
        weights=np.clip(np.rint(weights * weights.dtype.type(scale)), low, high).astype(np.int8),
        bias=None if bias is None else np.clip(np.rint(bias * scale), lowest, highest).astype(np.int16),
        threshold=integer_threshold(threshold, scale, fmt),
        floor=integer_floor(floor, scale, fmt),
        scale=scale,
    )
