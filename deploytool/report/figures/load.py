"""The load of every core: on average, in its busiest 10 ms, and in its busiest millisecond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deploytool.base.numbers import figure
from deploytool.ir.verdict import CoreLoad
from deploytool.report.figures import svg
from deploytool.report.figures.chart import Scale, rounded_scale, x_labels

HEIGHT = 24


@dataclass(frozen=True)
class Loads:
    """A track per core, in the order of its loads, and the axis below them, in millions of SynOps per second."""

    tracks: tuple[Markup, ...]
    axis: Markup


def loads(found: Sequence[CoreLoad]) -> Loads | None:
    """The load of every core on one axis; None if not known."""
    if not found:
        return None
    axis = rounded_scale(0, max(load.busiest_ms_synops_per_s for load in found) / 1e6)
    return Loads(tuple(_track(load, axis) for load in found), _axis(axis))


def _track(load: CoreLoad, axis: Scale) -> Markup:
    middle = HEIGHT / 2
    mean = None if load.mean_synops_per_s is None else load.mean_synops_per_s / 1e6
    ten, one = load.busiest_10ms_synops_per_s / 1e6, load.busiest_ms_synops_per_s / 1e6
    ends = [svg.percent(axis.share(value)) for value in (ten, one)]
    parts = [
        f"{figure(value)} M SynOps/s {when}"
        for value, when in ((ten, "in the busiest 10 ms"), (one, "in the busiest ms"))
    ]
    content = [
        *(
            svg.element("line", x1=at, x2=at, y1=0, y2=HEIGHT, class_="grid")
            for at in map(svg.percent, axis.shares(axis.ticks))
        ),
        svg.element("line", x1=0, x2=ends[1], y1=middle, y2=middle, class_="spread"),
        svg.element("rect", x=0, y=middle - 4, width=ends[0], height=8, class_="area"),
        svg.element("line", x1=ends[1], x2=ends[1], y1=middle - 5, y2=middle + 5, class_="spread"),
    ]
    if mean is not None:
        content.append(svg.element("circle", cx=svg.percent(axis.share(mean)), cy=middle, r=4.5, class_="dot"))
        parts.insert(0, f"{figure(mean)} M SynOps/s on average")
    return svg.drawing(HEIGHT, f"{load.part}: {', '.join(parts)}", *content, class_="track")


def _axis(axis: Scale) -> Markup:
    labels = x_labels(axis, 13)
    return svg.element("svg", *labels, class_="axis", width="100%", height=18, aria_hidden="true")
