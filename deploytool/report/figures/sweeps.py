"""The curves of a sweep: accuracy, spike difference and synaptic updates against what is varied."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from deploytool.base.numbers import figure
from deploytool.ir.sweep import Curve, Point, Sweep
from deploytool.report.figures.chart import Frame, rounded_scale, scale, scale_at
from deploytool.report.figures.curves import Chart
from deploytool.report.paper import ACCURACY, DIFFERENCE, MS, SYNOPS, Measure, Panel

HEIGHT: Final = 150
STYLES: Final = (
    ("line first", "blue"),
    ("line third", "brown, dashed"),
    ("line fourth", "black, dotted"),
    ("line second", "grey"),
)
"""(class, its words) of the first curves; further ones begin again."""


def sweep_charts(sweep: Sweep) -> list[Chart]:
    """A chart per measure that is known, of all curves; early exits have one of accuracy against the time they use."""
    varied = [curve for curve in sweep.curves if curve.of.how != "exit"]
    panels = [Panel(tuple((curve, {}) for curve in varied), None, y) for y in (ACCURACY, DIFFERENCE, SYNOPS)]
    panels.append(Panel(tuple((curve, {}) for curve in sweep.varying("exit")), MS, ACCURACY))
    return [_chart(panel) for panel in panels if any(panel.line(curve) for curve, _ in panel.curves)]


def _chart(panel: Panel) -> Chart:
    curves = [curve for curve, _ in panel.curves if panel.line(curve)]
    lines = [panel.line(curve) for curve in curves]
    x = [value for line in lines for value, _, _ in line]
    y = [value for line in lines for _, value, _ in line]
    first = curves[0]
    across = scale_at(x, log=first.of.log) if panel.x is None else scale(min(x), max(x), count=4)
    shown = panel.y is ACCURACY and panel.x is None
    bands = [_band(curve, line) if shown else [] for curve, line in zip(curves, lines, strict=True)]
    y += [end for band in bands for _, low, high in band for end in (low, high)]
    frame = Frame(across, rounded_scale(min(y), max(y), _short), HEIGHT)
    drawn, dots = [], []
    for (style, _), line, band in zip(itertools.cycle(STYLES), lines, bands, strict=False):
        if band:
            at, low, high = zip(*band, strict=True)
            drawn.append(frame.band(at, low, high, style.replace("line", "band")))
        drawn.append(frame.line([at for at, _, _ in line], [value for _, value, _ in line], style))
        dots += [frame.dot(at, value, style.replace("line", "dot"), 3) for at, value, _ in line]
    title = f"{panel.y.label[:1].upper()}{panel.y.label[1:]} against {_axis(panel.x, first)}"
    return Chart(title, frame.draw(_said(title, curves, lines), drawn, dots), _legend(curves))


def _band(curve: Curve, line: Sequence[tuple[float, float, Point]]) -> list[tuple[float, float, float]]:
    """(x, low, high) of the band around the accuracies of ``line``."""
    found = [(at, curve.band(point)) for at, _, point in line]
    return [(at, *band) for at, band in found if band is not None]


def _axis(x: Measure | None, curve: Curve) -> str:
    return curve.of.axis if x is None else x.label


def _legend(curves: Sequence[Curve]) -> str:
    named = [
        f"{curve.model}, exit by {curve.quantity}" if curve.of.how == "exit" else f"{curve.model} on {curve.on}"
        for curve in curves
    ]
    return "; ".join(f"{name}: {STYLES[i % len(STYLES)][1]}" for i, name in enumerate(named))


def _said(title: str, curves: Sequence[Curve], lines: Sequence[Sequence[tuple[float, float, object]]]) -> str:
    ends = [
        f"{curve.model}: {figure(line[0][1])} at {line[0][0]:g} to {figure(line[-1][1])} at {line[-1][0]:g}"
        for curve, line in zip(curves, lines, strict=True)
    ]
    return f"{title}. {'; '.join(ends)}"


def _short(value: float) -> str:
    """``value`` with k for thousands and M for millions."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"
