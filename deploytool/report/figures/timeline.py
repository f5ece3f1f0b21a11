"""One sample over time: input events, spikes of every layer, output spikes, and the decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from deploytool.base.numbers import figure
from deploytool.ir.decision import answer_changes
from deploytool.report.figures import svg
from deploytool.report.figures.chart import scale, x_labels

COLUMNS: Final = (500, 250, 125, 60)
"""Marks in one of this many columns and in one row fall together: the first number that leaves few enough marks."""
MARKS: Final = 5000
"""The maximum number of marks of a feature or of a run, if the columns can be coarse enough."""
BINS: Final = 120
LAYER_HEIGHT: Final = 30
STRIP: Final = 22
NARROW: Final = 0.035
"""A decision that lasts for less than this share of the time gets no text."""


@dataclass(frozen=True)
class Panel:
    """A part of the timeline: a line of text above it, and the drawing."""

    title: str
    drawing: Markup


@dataclass(frozen=True, eq=False)
class Answered:
    """The output spikes of one run of a sample: times (N,) in us, output neurons (N,)."""

    run: str
    t_us: NDArray[np.int64]
    neurons: NDArray[np.int64]


CURSOR: Final = svg.element("line", x1="-1", x2="-1", y1=0, y2="100%", class_="cursor")
"""The line that the player moves."""


def input_panel(events: NDArray[Any], rows: int, features: int, duration_us: int, marks_max: int = MARKS) -> Panel:
    """Input events by time and row of the map; ON and OFF apart if there are two features."""
    height = min(110, max(48, 3 * rows))
    step = height / rows
    marks = []
    for feature, class_ in ((0, "off"), (1, "on")):
        chosen = events[events["c"] == feature] if feature == 0 else events[events["c"] >= 1]
        if features == 1:
            class_ = "on"
        marks.append(
            svg.path(marks_of(chosen["t"] / max(duration_us, 1), chosen["y"] * step, max(step, 1), marks_max), class_)
        )
    colours = " (OFF in grey, ON in blue)" if features == 2 else ""
    title = f"input: {len(events):,} events, by row of the map{colours}"
    return Panel(title, svg.drawing(height, title, svg.stretched(0, height, *marks), CURSOR))


def marks_of(shares: NDArray[Any], tops: NDArray[Any], length: float, marks_max: int) -> list[str]:
    """Path commands of vertical marks at ``shares`` of the width and ``tops`` in pixels, in as fine columns as fit."""
    rows = np.floor(tops) if length <= 1 else tops
    for columns in COLUMNS:
        places = np.unique(np.stack([np.floor(shares * columns) / columns, rows]), axis=1)
        if places.shape[1] <= marks_max:
            break
    return svg.ticks(places[0], places[1], length)


def layer_panel(name: str, t_us: NDArray[np.int64], duration_us: int) -> Panel:
    """Spikes of a layer over time, as bars."""
    edges = np.linspace(0, duration_us, BINS + 1)
    found, _ = np.histogram(t_us, edges)
    most = int(found.max(initial=0))
    tops = (1 - found / max(most, 1)) * (LAYER_HEIGHT - 1) + 1
    title = f"{name}: {len(t_us):,} spikes, up to {most:,} in {duration_us / 1000 / BINS:.2g} ms"
    area = svg.path(svg.bars(np.linspace(0, 1, BINS + 1), tops, LAYER_HEIGHT), "area")
    return Panel(title, svg.drawing(LAYER_HEIGHT, title, svg.stretched(0, LAYER_HEIGHT, area), CURSOR))


def output_panel(runs: Sequence[Answered], outputs: int, label: int, duration_us: int, marks_max: int = MARKS) -> Panel:
    """Output spikes by time and neuron: the first run in the upper half of each row, the second in the lower."""
    step = max(2.0, min(14.0, 150 / outputs))
    height = step * outputs
    length = step / max(len(runs), 1)
    content = []
    if 0 <= label < outputs:
        content.append(svg.element("rect", x=0, y=label * step, width="100%", height=step, class_="label"))
    marks = [
        svg.path(
            marks_of(run.t_us / max(duration_us, 1), run.neurons * step + i * length, length * 0.86, marks_max),
            f"run{i}",
        )
        for i, run in enumerate(runs)
    ]
    every = max(1, math.ceil(outputs / 10))
    numbers = [
        svg.label(str(i), 0, i * step + min(step, 12) * 0.82, class_="tick")
        for i in range(0, outputs, every)
        if step * every >= 9
    ]
    places = _COLOURS if len(runs) > 1 else ("blue",)
    listed = [f"{run.run} {len(run.t_us):,} ({place})" for run, place in zip(runs, places, strict=True)]
    title = f"output spikes by neuron: {', '.join(listed)}"
    return Panel(title, svg.drawing(height, title, *content, svg.stretched(0, height, *marks), *numbers, CURSOR))


_COLOURS: Final = ("blue, upper half", "brown, lower half")


def decision_panel(runs: Sequence[Answered], label: int, duration_us: int) -> Panel:
    """The prediction at every moment, a strip per run: the neuron with the most spikes so far, the first of equals."""
    time = scale(0, duration_us / 1000, count=6)
    content: list[Markup] = []
    for i, run in enumerate(runs):
        content += _strip(run, label, duration_us, i * (STRIP + 16) + 14)
    height = len(runs) * (STRIP + 16) + 18
    content += x_labels(time, height - 3, "ms")
    said = "; ".join(f"{run.run}: {_said(run)}" for run in runs)
    title = "prediction so far" + (", blue where it is the label" if label >= 0 else "")
    return Panel(title, svg.drawing(height, f"Prediction over time. {said}", *content, CURSOR))


def _strip(run: Answered, label: int, duration_us: int, y: float) -> list[Markup]:
    content = [svg.label(run.run, 0, y - 4, class_="tick")]
    changes = [(0, -1), *predictions_over_time(run)]
    ends = [*(start for start, _ in changes[1:]), duration_us]
    for (start, prediction), end in zip(changes, ends, strict=True):
        left, width = start / duration_us, (end - start) / duration_us
        kind = "none" if prediction < 0 else "hit" if prediction == label else "other" if label < 0 else "miss"
        content.append(
            svg.element(
                "rect", x=svg.percent(left), y=y, width=svg.percent(width), height=STRIP, class_=f"decision {kind}"
            )
        )
        if width >= NARROW and prediction >= 0:
            middle = svg.percent(left + width / 2)
            content.append(svg.label(str(prediction), middle, y + STRIP * 0.7, "middle", f"on-{kind}"))
    return content


def _said(run: Answered) -> str:
    changes = predictions_over_time(run)
    if not changes:
        return "no output spike"
    last_us, prediction = changes[-1]
    return f"{prediction} from {figure(last_us / 1000)} ms on, after {len(changes) - 1} changes"


def predictions_over_time(run: Answered) -> list[tuple[int, int]]:
    """[(time in us at which the prediction changes, the prediction from then on)]."""
    order = np.argsort(run.t_us, kind="stable")
    return list(answer_changes(run.t_us[order], run.neurons[order]))
