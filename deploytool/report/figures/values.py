"""Charts of values that are read from the output: read against true, the error window by window, traces of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.numbers import figure
from deploytool.ir.verdict import Rung
from deploytool.report.figures.chart import Frame, rounded_scale, scale
from deploytool.report.figures.curves import Chart

HEIGHT: Final = 150
SQUARE: Final = 220
DOTS_MAX: Final = 400
"""With more windows than this, evenly spread ones are drawn."""
STYLES: Final = ("second", "first", "third", "fourth")
"""The classes of lines, in the order of the runs; those of the style sheet."""
WORDS: Final = ("grey", "blue", "dashed", "dotted")

Floats = NDArray[np.float64]


def scatter(name: str, unit: str, targets: Floats, values: Floats) -> Chart:
    """The ``values`` (N,) that were read, against the true ``targets`` (N,); the line is where both are equal."""
    step = max(1, -(-len(targets) // DOTS_MAX))
    low, high = min(targets.min(), values.min()), max(targets.max(), values.max())
    axis = rounded_scale(float(low), float(high))
    frame = Frame(axis, axis, SQUARE)
    ends = [axis.low, axis.high]
    dots = [frame.dot(x, y, "dot", 2.5) for x, y in zip(targets[::step].tolist(), values[::step].tolist(), strict=True)]
    alt = f"{name} as read, against the true value, in {len(dots)} windows"
    shown = f"{len(dots)} of {len(targets):,} windows" if step > 1 else f"{len(targets):,} windows"
    return Chart(
        f"{name}: read (up) against true (right){f', in {unit}' if unit else ''}",
        frame.draw(alt, [frame.line(ends, ends, "line second")], dots, unit),
        f"{shown}; on the line they are equal",
    )


def window_errors(runs: Sequence[Rung], unit: str) -> Chart | None:
    """The root mean square error in every window of the samples, a line per run; None for a single window."""
    known = {run.name: run.regression.by_window for run in runs if run.regression and len(run.regression.by_window) > 1}
    if not known:
        return None
    numbers = [each.window for errors in known.values() for each in errors]
    highest = max(each.rmse for errors in known.values() for each in errors)
    frame = Frame(scale(min(numbers), max(numbers), whole=True), rounded_scale(0, highest), HEIGHT)
    lines = [
        frame.line([each.window for each in errors], [each.rmse for each in errors], f"line {STYLES[i % len(STYLES)]}")
        for i, errors in enumerate(known.values())
    ]
    named = ", ".join(f"{name} {WORDS[i % len(WORDS)]}" for i, name in enumerate(known))
    title = f"Root mean square error by window{f', in {unit}' if unit else ''}"
    return Chart(title, frame.draw(f"{title}: {named}", lines), named)


def traces(names: Sequence[str], unit: str, targets: Floats, values: Mapping[str, Floats]) -> list[Chart]:
    """A chart for each of the D ``names``: the ``targets`` (W, D) of one sample, and the ``values`` {run: (W, D)}.

    Every value holds for its window.
    """
    charts = []
    for d, name in enumerate(names):
        rows = [targets[:, d], *(each[:, d] for each in values.values())]
        known = np.concatenate([row[~np.isnan(row)] for row in rows])
        frame = Frame(scale(0, len(targets), whole=True), rounded_scale(float(known.min()), float(known.max())), HEIGHT)
        edges = np.arange(len(targets) + 1)
        lines = [
            frame.steps(edges, np.append(row, row[-1]), f"line {STYLES[i % len(STYLES)]}")
            for i, row in enumerate(rows)
            if not np.isnan(row).any()
        ]
        words = [word for word, row in zip(("true", *values), rows, strict=True) if not np.isnan(row).any()]
        styles = [WORDS[i % len(WORDS)] for i, row in enumerate(rows) if not np.isnan(row).any()]
        named = ", ".join(f"{word} {style}" for word, style in zip(words, styles, strict=True))
        title = f"{name} by window{f', in {unit}' if unit else ''}"
        last = "; ".join(f"{run} {figure(float(each[-1, d]))}" for run, each in values.items())
        charts.append(Chart(title, frame.draw(f"{title}: {named}; last window {last}", lines), named))
    return charts
