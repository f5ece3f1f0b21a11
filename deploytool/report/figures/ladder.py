"""The accuracy of every rung on one axis, which spans the intervals and not 0 to 100 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deploytool.base.numbers import percent
from deploytool.ir.verdict import Rung
from deploytool.report.figures import svg
from deploytool.report.figures.chart import Scale, rounded_scale, x_labels

HEIGHT = 30


@dataclass(frozen=True)
class Ladder:
    """The axis, and {name of a rung: its interval and accuracy on the axis} for the rungs with labels."""

    axis: Markup
    tracks: dict[str, Markup]
    low: float
    high: float


def ladder(rungs: Sequence[Rung]) -> Ladder | None:
    """The rungs with an accuracy on one axis; None if there are none."""
    known = [(rung, rung.accuracy, rung.interval_95) for rung in rungs if rung.accuracy is not None]
    found = [(rung, accuracy, interval) for rung, accuracy, interval in known if interval is not None]
    if not found:
        return None
    axis = rounded_scale(
        min(interval[0] for _, _, interval in found), max(interval[1] for _, _, interval in found), _percent
    )
    axis = _within(axis)
    return Ladder(
        _axis(axis),
        {rung.name: _track(rung.name, accuracy, interval, axis) for rung, accuracy, interval in found},
        axis.low,
        axis.high,
    )


def _percent(value: float) -> str:
    return f"{value:g}\u202f%"


def _within(axis: Scale) -> Scale:
    """``axis`` without what lies below 0 % or above 100 %."""
    ticks = tuple(tick for tick in axis.ticks if 0 <= tick <= 100)
    return Scale(max(0.0, axis.low), min(100.0, axis.high), ticks, axis.form)


def _track(name: str, accuracy: float, interval: tuple[float, float], axis: Scale) -> Markup:
    middle = HEIGHT / 2
    low, high = (svg.percent(axis.share(end)) for end in interval)
    caps = [svg.element("line", x1=end, x2=end, y1=middle - 5, y2=middle + 5, class_="spread") for end in (low, high)]
    return svg.drawing(
        HEIGHT,
        f"{name}: {percent(accuracy)}, 95 % interval {percent(interval[0])} to {percent(interval[1])}",
        *(svg.element("line", x1=at, x2=at, y1=0, y2=HEIGHT, class_="grid") for at in _grid(axis)),
        svg.element("line", x1=low, x2=high, y1=middle, y2=middle, class_="spread"),
        *caps,
        svg.element("circle", cx=svg.percent(axis.share(accuracy)), cy=middle, r=5.5, class_="dot"),
        class_="track",
    )


def _grid(axis: Scale) -> list[str]:
    return [svg.percent(axis.share(tick)) for tick in axis.ticks]


def _axis(axis: Scale) -> Markup:
    return svg.element("svg", *x_labels(axis, 13), class_="axis", width="100%", height=18, aria_hidden="true")
