"""Two runs where they first part: the membrane of the neuron on both sides, and the spikes of its layer around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from deploytool.base.numbers import real
from deploytool.ir.divergence import Explained, LayerDivergence, Side
from deploytool.report.figures import svg
from deploytool.report.figures.chart import LEFT, Frame, Scale, rounded_scale, scale, x_labels
from deploytool.report.figures.curves import Chart

AROUND: Final = 7
"""The number of updates of the neuron shown before and after the event."""
HEIGHT: Final = 150
ROW: Final = 10
ROWS_MAX: Final = 32
STYLES: Final = ("run0", "run1")
COLOURS: Final = ("blue", "brown")


@dataclass(frozen=True)
class Window:
    """The time around the event that is shown, in ms, and when the event was."""

    low: float
    high: float
    event: float

    @property
    def scale(self) -> Scale:
        """The axis of time."""
        return scale(self.low, self.high, count=5)


def divergence_charts(found: Explained) -> list[Chart]:
    """The membrane and the raster of ``found``, on one axis of time; none if no layer differs."""
    first = found.first
    if first is None or first.t_us is None or len(found.sides) != 2:
        return []
    window = _window(first.t_us, found.sides)
    return [_membrane(first, found.sides, window), _raster(first, found.sides, window)]


def in_steps(side: Side) -> bool:
    """Whether ``side`` was computed in time steps, whose updates have no single source."""
    return len(side.trace) > 1 and all(update.source is None for update in side.trace)


def shown_us(side: Side, t_us: ArrayLike) -> NDArray[np.float64]:
    """The times at which what happens at ``t_us`` is drawn: a time step takes effect at its end."""
    times = np.asarray(t_us, np.float64)
    return times + (side.trace[1].t_us - side.trace[0].t_us if in_steps(side) else 0)


def _window(t_us: int, sides: Sequence[Side]) -> Window:
    """From `AROUND` updates before the event to as many after it, of the runs that were computed event by event."""
    low, high = t_us - 500.0, t_us + 500.0
    for side in [side for side in sides if not in_steps(side)] or sides:
        at = side.at if side.at is not None else sum(update.t_us <= t_us for update in side.trace)
        near = shown_us(side, [update.t_us for update in side.trace[max(0, at - AROUND) : at + AROUND + 1]])
        if near.size:
            low, high = min(low, float(near[0])), max(high, float(near[-1]))
    margin = 0.04 * (high - low)
    return Window((low - margin) / 1000, (high + margin) / 1000, t_us / 1000)


def _membrane(first: LayerDivergence, sides: Sequence[Side], window: Window) -> Chart:
    traces = [_path(side, window) for side in sides]
    values = [v for _, trace in traces for v in trace] + [side.threshold for side in sides]
    frame = Frame(window.scale, rounded_scale(min(values), max(values), real), HEIGHT)
    lines: list[Markup] = []
    over = [frame.upright(window.event, "moment")]
    for side, (times, trace), style in zip(sides, traces, STYLES, strict=True):
        lines.append(frame.line(times, trace, style))
        shared = len({side.threshold for side in sides}) == 1
        over.append(frame.level(side.threshold, "threshold" if shared else f"threshold {style}"))
        if side.at is not None and side.after is not None:
            at = float(shown_us(side, side.trace[side.at].t_us)) / 1000
            if window.low <= at <= window.high:
                over.append(frame.dot(at, side.after, f"dot {style}", 4.5))
    neuron = first.neuron
    assert neuron is not None
    title = (
        f"Membrane of the neuron at feature {neuron.feature}, row {neuron.row}, column {neuron.column} of {first.layer}"
    )
    said = "; ".join(
        f"{side.run} ({colour}): V {_value(side.before)} → {_value(side.after)}, threshold {real(side.threshold)}, "
        f"{side.spikes} spike{'' if side.spikes == 1 else 's'}"
        for side, colour in zip(sides, COLOURS, strict=True)
    )
    steps = " A time step takes effect at its end." if any(map(in_steps, sides)) else ""
    caption = f"{said}. Dashed: the threshold. The vertical line is the event, the dots are V after it.{steps}"
    return Chart(title, frame.draw(f"{title}. {said}", lines, over, "ms"), caption)


def _value(v: float | None) -> str:
    return "not updated" if v is None else real(v)


def _path(side: Side, window: Window) -> tuple[NDArray[np.float64], list[float]]:
    """(times in ms, V) of a line through the trace, cut to the window: each update goes up or down, and may fire."""
    times, trace = [], []
    for update, at in zip(side.trace, shown_us(side, [u.t_us for u in side.trace]).tolist(), strict=True):
        times += [at / 1000] * 3
        trace += [update.before, update.after, update.end]
    x, v = np.array(times), np.array(trace)
    inside = (x >= window.low) & (x <= window.high)
    before, after = np.flatnonzero(x < window.low), np.flatnonzero(x > window.high)
    ends = [(window.low, float(v[before[-1]]))] if before.size else []
    last = [(window.high, float(v[after[0]]))] if after.size else []
    points = [*ends, *zip(x[inside].tolist(), v[inside].tolist(), strict=True), *last]
    return np.array([t for t, _ in points]), [value for _, value in points]


def _raster(first: LayerDivergence, sides: Sequence[Side], window: Window) -> Chart:
    spikes = [_shown_spikes(side, window) for side in sides]
    neuron = first.neuron
    assert neuron is not None
    own = (neuron.feature, neuron.row, neuron.column)
    together = [spike for listed in spikes for spike in listed]
    firing = {place for _, place in together} | {own}
    rows = _nearest(together, own, window.event)
    height = ROW * len(rows)
    axis = window.scale
    content = [svg.element("rect", x=0, y=rows.index(own) * ROW, width="100%", height=ROW, class_="label")]
    at = svg.percent(axis.share(window.event))
    content.append(svg.element("line", x1=at, x2=at, y1=0, y2=height, class_="moment"))
    marks = []
    for i, (listed, style) in enumerate(zip(spikes, STYLES, strict=True)):
        drawn = [(t, rows.index(place)) for t, place in listed if place in rows]
        tops = [row * ROW + i * ROW / 2 for _, row in drawn]
        marks.append(svg.path(svg.ticks(axis.shares([t for t, _ in drawn]), tops, ROW / 2 - 0.5), f"{style} bold"))
    counts = "; ".join(
        f"{side.run}: {len(listed)} spikes ({colour}, {half} half of a row)"
        for side, listed, colour, half in zip(sides, spikes, COLOURS, ("upper", "lower"), strict=True)
    )
    title = f"Spikes of {first.layer} around the event, by neuron"
    left = f" Of {len(firing)} neurons that fire, the {len(rows)} nearest in time." if len(rows) < len(firing) else ""
    caption = f"{counts}. The row of the neuron is marked.{left}"
    labels = x_labels(axis, height + 15, "ms")
    drawing = svg.drawing(height + 20, f"{title}. {counts}", *content, svg.stretched(0, height, *marks), *labels)
    empty = svg.element("svg", width=LEFT, height=height, aria_hidden="true")
    return Chart(title, svg.element("div", empty, drawing, class_="plot"), caption)


def _shown_spikes(side: Side, window: Window) -> list[tuple[float, tuple[int, int, int]]]:
    """(time in ms, (feature, row, column)) of the spikes of ``side`` in the window."""
    times = (shown_us(side, [t for t, *_ in side.raster]) / 1000).tolist()
    found = zip(times, side.raster, strict=True)
    return [(t, (spike[1], spike[2], spike[3])) for t, spike in found if window.low <= t <= window.high]


def _nearest(
    spikes: Sequence[tuple[float, tuple[int, int, int]]], own: tuple[int, int, int], event: float
) -> list[tuple[int, int, int]]:
    """At most `ROWS_MAX` neurons, in order: ``own``, and those with a spike nearest in time to the ``event``."""
    distance: dict[tuple[int, int, int], float] = {}
    for t, place in spikes:
        distance[place] = min(abs(t - event), distance.get(place, np.inf))
    distance[own] = -1.0
    return sorted(sorted(distance, key=lambda place: (distance[place], place))[:ROWS_MAX])


def moment(found: LayerDivergence) -> str:
    """When a layer first differs, in words."""
    if found.t_us is None:
        return "does not differ"
    step = "" if found.step is None else f", time step {found.step}"
    return f"{real(found.t_us / 1000)} ms{step}"
