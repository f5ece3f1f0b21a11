"""Charts with two axes: a frame with ticks, and lines, dots and areas in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from deploytool.report.figures import svg

LEFT: Final = 36
"""Pixels left of the area, for the labels of y."""
TOP: Final = 8
"""Pixels above the area, for half a label."""
BOTTOM: Final = 20
"""Pixels below the lowest grid line, for the labels of x."""
TICKS_APART: Final = 0.09
"""Labels at values are at least this share of the axis apart."""


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high`` with labels at ``ticks``; ``form`` writes the label of a tick.

    With ``log`` it is logarithmic, and all its values are positive.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    form: Callable[[float], str] = svg.number
    log: bool = False

    def shares(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where ``values`` are on the axis: 0 at ``low``, 1 at ``high``."""
        place = np.log if self.log else np.asarray
        low, high = float(place(self.low)), float(place(self.high))
        shares: NDArray[np.float64] = (place(np.asarray(values, np.float64)) - low) / ((high - low) or 1.0)
        return shares

    def share(self, value: float) -> float:
        """Where ``value`` is on the axis: 0 at ``low``, 1 at ``high``."""
        return float(self.shares(value))


def scale(
    low: float, high: float, form: Callable[[float], str] = svg.number, count: int = 5, whole: bool = False
) -> Scale:
    """An axis from ``low`` to ``high`` with about ``count`` round ticks inside."""
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(count, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    reach = 1e-9 * max(abs(low), abs(high), 1e-9)
    return Scale(low, high, tuple(float(t) for t in found if low - reach <= t <= high + reach), form)


def rounded_scale(low: float, high: float, form: Callable[[float], str] = svg.number, count: int = 5) -> Scale:
    """An axis that begins and ends at round ticks, and holds ``low`` and ``high``."""
    from matplotlib.ticker import MaxNLocator

    if low == high:
        high = low + 1
    found = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    kept = [float(f"{tick:.12g}") for tick in found]
    return Scale(min(kept[0], low), max(kept[-1], high), tuple(kept), form)


def scale_at(values: Sequence[float], form: Callable[[float], str] = svg.number, log: bool = False) -> Scale:
    """An axis that spans ``values``, with labels at as many of them as have room.

    It is logarithmic if ``log`` is asked for and the values, all positive, span more than a factor of 8.
    """
    known = sorted(set(values))
    low, high = known[0], known[-1]
    logarithmic = log and low > 0 and high > 8 * low
    plain = Scale(low, high, (), form, logarithmic)
    ticks: list[float] = []
    for value in known:
        if not ticks or plain.share(value) - plain.share(ticks[-1]) >= TICKS_APART:
            ticks.append(value)
    return Scale(low, high, tuple(ticks), form, logarithmic)


@dataclass(frozen=True)
class Frame:
    """The axes of a chart; the area between them is ``height`` pixels high."""

    x: Scale
    y: Scale
    height: float

    def heights(self, values: ArrayLike) -> NDArray[np.float64]:
        """The pixels from the top of the area at which ``values`` are."""
        return (1 - self.y.shares(values)) * self.height

    def line(self, x: ArrayLike, y: ArrayLike, class_: str) -> Markup:
        """A line through points."""
        return svg.path(svg.polyline(self.x.shares(x), self.heights(y)), class_)

    def steps(self, x: ArrayLike, y: ArrayLike, class_: str) -> Markup:
        """A line that keeps each value until the next."""
        return svg.path(svg.steps(self.x.shares(x), self.heights(y)), class_)

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, class_: str) -> Markup:
        """The area between two lines."""
        there = svg.polyline(self.x.shares(x), self.heights(high))
        back = svg.polyline(self.x.shares(x)[::-1], self.heights(low)[::-1])
        return svg.path([*there, back[0].replace("M", "L"), *back[1:], "Z"], class_)

    def bars(self, edges: ArrayLike, values: ArrayLike, class_: str) -> Markup:
        """Bars from 0; there is one edge more than values."""
        return svg.path(svg.bars(self.x.shares(edges), self.heights(values), float(self.heights(0.0))), class_)

    def dot(self, x: float, y: float, class_: str, radius: float = 4) -> Markup:
        """A dot, which is not stretched."""
        return svg.element(
            "circle", cx=svg.percent(self.x.share(x)), cy=float(self.heights(y)), r=radius, class_=class_
        )

    def upright(self, x: float, class_: str) -> Markup:
        """A vertical line through the area."""
        at = svg.percent(self.x.share(x))
        return svg.element("line", x1=at, x2=at, y1=0, y2=self.height, class_=class_)

    def level(self, y: float, class_: str) -> Markup:
        """A horizontal line through the area."""
        at = float(self.heights(y))
        return svg.element("line", x1=0, x2="100%", y1=at, y2=at, class_=class_)

    def draw(self, alt: str, lines: Sequence[Markup], over: Sequence[Markup] = (), unit: str = "") -> Markup:
        """The chart: ``lines`` are stretched to the width of the page, and ``over`` lies above them, unstretched.

        ``unit`` is that of x.
        """
        grid = [self.level(tick, "grid") for tick in self.y.ticks]
        labels = [
            svg.label(self.y.form(tick), LEFT - 6, TOP + float(self.heights(tick)) + 4, "end", "tick")
            for tick in self.y.ticks
        ]
        below = x_labels(self.x, self.height + 15, unit)
        inside = svg.stretched(0, self.height, *lines)
        height = TOP + self.height + BOTTOM
        plot = svg.element("svg", *grid, inside, *over, *below, y=TOP, width="100%", height=self.height)
        left = svg.element("svg", *labels, width=LEFT, height=height, aria_hidden="true")
        return svg.element("div", left, svg.drawing(height, alt, plot), class_="plot")


def x_labels(scale: Scale, y: float, unit: str = "") -> list[Markup]:
    """The labels of the ticks of ``scale`` along the bottom; the last one carries the ``unit``."""
    labels = []
    for tick in scale.ticks:
        share = scale.share(tick)
        text = f"{scale.form(tick)} {unit}" if unit and tick == scale.ticks[-1] else scale.form(tick)
        anchor = "start" if share < 0.03 else "end" if share > 0.93 else "middle"
        labels.append(svg.label(text, svg.percent(share), y, anchor, "tick"))
    return labels
