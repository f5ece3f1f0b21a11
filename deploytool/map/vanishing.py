"""Vanishing weights: weights that quantisation rounds to 0, their cause, and hints.

A core has one threshold, and so one scale for all weights of a layer. A single large weight, or one large output
feature, makes the steps too coarse for all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.chip.integers import IntegerFormat, weight_scale

VANISHED_SHARE: Final = 0.25
"""A warning is given if at least this share of the nonzero weights becomes 0."""
MANY_TIMES: Final = 8
"""Weights this many times larger than the typical weight are reported with their position."""
FEW: Final = 0.01
"""The largest share of a layer's weights that counts as "few"."""

ScaleSetBy: TypeAlias = Literal["threshold", "calibration", "features", "few weights", "all weights"]
CALIBRATE: Final = "map --quantise calibrated --data SET looks for a scale that cuts the largest weights."


@dataclass(frozen=True)
class Vanished:
    """The weights of one layer that became 0, and the cause.

    ``share`` of the nonzero weights became 0. The output features ``silenced`` had several nonzero weights and lost
    all. ``weight`` bounds the scale, at ``place`` (output feature, input feature, row, column). ``large`` are the
    output features about as large as its own, if few. ``typical`` is the median size of the other weights; weights
    below ``smallest_left`` became 0. All weights are given as before quantisation.
    """

    share: float
    silenced: tuple[int, ...]
    features: int
    scale_set_by: ScaleSetBy
    weight: float
    place: tuple[int, ...]
    large: tuple[int, ...]
    typical: float
    threshold: float
    smallest_left: float

    @property
    def worth_a_warning(self) -> bool:
        return bool(self.silenced) or self.share >= VANISHED_SHARE

    @property
    def why(self) -> str:
        """The cause of the scale, as a clause."""
        feature, source, row, column = self.place
        times = f"{abs(self.weight) / self.typical:,.0f} times the typical one ({self.typical:.3g})"
        match self.scale_set_by:
            case "threshold":
                times = f"{self.threshold / self.typical:,.0f} times the typical weight ({self.typical:.3g})"
                return f"the threshold sets the scale: it is {self.threshold:g}, {times}"
            case "calibration":
                return "calibration chose the scale"
            case "features":
                return f"the weights of {_named('feature', self.large)} set the scale: up to {self.weight:.3g}, {times}"
            case "few weights":
                place = f"from feature {source} to feature {feature}, row {row}, column {column}"
                return f"one weight sets the scale: {self.weight:.3g} ({place}), {times}"
            case "all weights":
                return f"the largest weight sets the scale: {self.weight:.3g}, {times}"

    @property
    def hint(self) -> str:
        """Hints, in full sentences."""
        match self.scale_set_by:
            case "threshold":
                return "Train with larger weights or a lower threshold; scaling both has no effect."
            case "calibration":
                return "--quantise plain keeps more weights, but its spikes are further off on the calibration samples."
            case "features":
                return (
                    "A batch norm channel whose variance is near 0 does this: set gamma and beta of "
                    f"{_named('channel', self.large)} to 0, or train again. A core has one threshold, so a feature "
                    f"cannot keep a scale of its own. {CALIBRATE}"
                )
            case "few weights":
                return f"Clip it before conversion, or train again with a limit on the weights. {CALIBRATE}"
            case "all weights":
                return f"Train with quantised weights (constraints.weight_bits), or use more bits. {CALIBRATE}"

    def says(self, layer: str) -> str:
        """The warning about ``layer``."""
        lost = f"{self.share:.0%} of the nonzero weights become 0"
        if self.silenced:
            lost += f", and {_named('feature', self.silenced)} of {self.features} lose all their weights"
        return f"{layer}: {lost}, because {self.why}. Weights below {self.smallest_left:.3g} become 0. {self.hint}"


def vanished(before: Array, after: Array, threshold: float, scale: float, fmt: IntegerFormat) -> Vanished:
    """The weights ``before`` (O, I, KH, KW), of a layer with ``threshold``, that became 0 in the integers ``after``.

    ``before`` has a nonzero weight; ``scale`` is the scale of the integers of ``fmt``.
    """
    weights = before.astype(np.float64)
    low, high = fmt.weight_range
    place = np.unravel_index(int(np.maximum(weights / high, weights / low).argmax()), weights.shape)
    alive, left = weights.reshape(len(weights), -1) != 0, after.reshape(len(after), -1) != 0
    silenced = np.flatnonzero(alive.any(axis=1) & ~left.any(axis=1))
    large = _large_features(weights, int(place[0]))
    set_by: ScaleSetBy
    rule = weight_scale(float(before.min()), float(before.max()), threshold, fmt)
    if not np.isclose(scale, rule, rtol=1e-6):
        set_by = "calibration"
    elif rule == fmt.threshold_max / threshold:
        set_by = "threshold"
    else:
        set_by = "features" if len(large) else "few weights" if _is_alone(weights) else "all weights"
    return Vanished(
        share=float((alive & ~left).sum() / alive.sum()),
        silenced=tuple(int(feature) for feature in silenced),
        features=len(weights),
        scale_set_by=set_by,
        weight=float(weights[place]),
        place=tuple(int(index) for index in place),
        large=tuple(int(feature) for feature in large),
        typical=_typical(np.delete(weights, large, axis=0)),
        threshold=threshold,
        smallest_left=0.5 / scale,
    )


def _large_features(weights: NDArray[Any], feature: int) -> NDArray[np.int64]:
    """Output ``feature`` and those about as large, if few and many times larger than all others; otherwise empty."""
    sizes = np.array([_typical(each) for each in weights])
    large = sizes >= sizes[feature] / MANY_TIMES**0.5
    rest = weights[~large]
    if 2 * large.sum() > len(weights) or not rest.any() or sizes[feature] < MANY_TIMES * _typical(rest):
        return np.empty(0, np.int64)
    return np.flatnonzero(large)


def _is_alone(weights: NDArray[Any]) -> bool:
    """Whether the largest of ``weights`` is many times larger than all but a few others."""
    sizes = np.abs(weights)
    near = int((sizes >= sizes.max() / 4).sum())
    return bool(sizes.max() >= MANY_TIMES * _typical(weights)) and near <= max(1, FEW * sizes.size)


def _typical(weights: NDArray[Any]) -> float:
    """The median size of the nonzero ``weights``; 0 if there are none."""
    sizes = np.abs(weights[weights != 0])
    return float(np.median(sizes)) if sizes.size else 0.0


def _named(kind: str, numbers: tuple[int, ...]) -> str:
    """``feature 3``, or ``features 3, 5``."""
    listed = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"{kind} {listed}" if len(numbers) == 1 else f"{kind}s {listed}"
