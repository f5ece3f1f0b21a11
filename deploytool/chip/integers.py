"""The integer arithmetic of a core: the one place where real numbers become the chip's integers.

The rule (`Quantisation` below) has one scale per layer for weights, threshold and floor:

    s = min(w_high / max w, w_low / min w, theta_max / theta)       a side that is empty does not bind
    w_int = round(w s)    theta_int = round(theta s)    floor_int = min(max(round(floor s), v_low), floor_max)

with rounding half to even. On measured silicon it halves the spike difference of ``w_high / max |w|``.
Neither the floor nor the bias chooses the scale: a floor of -infinity or a large bias would cost every weight.
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
    """The integers a core computes with; the chip's data (chip.py) holds the numbers."""

    weight_bits: int
    state_bits: int
    threshold_max: int
    """Largest threshold; lower than the state's maximum so that V + w cannot pass it."""
    floor_max: int
    """Highest lower clamp that works on silicon."""

    @property
    def weight_range(self) -> tuple[int, int]:
        return -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1

    @property
    def state_range(self) -> tuple[int, int]:
        return -(1 << (self.state_bits - 1)), (1 << (self.state_bits - 1)) - 1


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """A layer in integers: value = integer / ``scale``."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int16] | None
    threshold: int
    floor: int
    scale: float


def weight_scale(w_min: float, w_max: float, threshold: float, fmt: IntegerFormat) -> float:
    """The scale s of a layer whose weights lie in [w_min, w_max] and that fires at ``threshold``.

    ``math.inf`` never comes back: with all weights zero the threshold alone chooses.
    """
    low, high = fmt.weight_range
    bounds = [fmt.threshold_max / threshold]
    if w_max > 0:
        bounds.append(high / w_max)
    if w_min < 0:
        bounds.append(low / w_min)
    return min(bounds)


def integer_threshold(threshold: float, scale: float, fmt: IntegerFormat) -> int:
    """round(threshold * scale), at least 1: a core whose threshold is 0 would fire without end."""
    return min(max(round(threshold * scale), 1), fmt.threshold_max)


def integer_floor(floor: float | None, scale: float, fmt: IntegerFormat) -> int:
    """round(floor * scale) clipped into the state, at most ``fmt.floor_max``; no floor is the state's minimum."""
    lowest = fmt.state_range[0]
    if floor is None or floor == -math.inf:
        return lowest
    return min(max(round(floor * scale), lowest), fmt.floor_max)


def integer_start(v_init: float | NDArray[Any], scale: float, fmt: IntegerFormat) -> int | NDArray[np.int16]:
    """round(v_init * scale), half to even, clipped into the state: one number, or one for each neuron."""
    rounded = np.clip(np.rint(np.asarray(v_init, np.float64) * scale), *fmt.state_range).astype(np.int16)
    return rounded if rounded.ndim else int(rounded)


def exact_scale(scale: float) -> float:
    """The power of two nearest to ``scale``, by which integers become real numbers without rounding."""
    return float(2.0 ** round(math.log2(scale)))


def dequantise(layer: QuantisedLayer) -> tuple[NDArray[np.float32], float, float]:
    """(weights, threshold, floor) of ``layer`` as real numbers: the network trained by this rule, up to one factor.

    The integers are divided by the power of two nearest to the scale and not by the scale: float32 then holds every
    sum of them exactly, and the real-valued network spikes as its integers do, on any simulator. Quantising again
    gives the same integers. A floor at the state's minimum comes back as a number.
    """
    scale = exact_scale(layer.scale)
    return layer.weights.astype(np.float32) / np.float32(scale), layer.threshold / scale, layer.floor / scale


def quantise(
    weights: NDArray[np.floating],
    bias: NDArray[np.floating] | None,
    threshold: float,
    floor: float | None,
    fmt: IntegerFormat,
    scale: float | None = None,
) -> QuantisedLayer:
    """``weights`` (O, I, KH, KW), ``bias`` (O,) or None, threshold and floor in the integers of ``fmt``.

    Weights are scaled in their own precision, so that training in float32 sees the same integers. Another ``scale``
    than the rule's cuts the weights that it takes out of range.
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
