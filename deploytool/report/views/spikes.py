"""Views of spikes over time: a recording, and samples of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.numbers import figure
from deploytool.ir.events import EventStream, places_of
from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Regression
from deploytool.report.figures import svg
from deploytool.report.figures.timeline import marks_of
from deploytool.report.views.frame import Cell, paragraph, table, view

HEIGHT: Final = 56
"""The height of a raster, in pixels."""
MARKS: Final = 2500
"""The maximum number of marks of a raster, if columns of time can be coarse enough."""
SAMPLES: Final = 5
"""The number of samples in a table of events."""


def recording_view(
    title: str, recording: Recording, layers: Sequence[Sequence[Cell]], errors: Regression | None = None
) -> str:
    """The rows ``layers`` (name, map, spikes per sample, synaptic updates per sample), and the rasters of a sample.

    ``errors`` are those of the values that the recording reads, if it reads any.
    """
    columns = ("layer", "map (C,\u00a0H,\u00a0W)", "spikes per sample", "synaptic updates per sample")
    kept = np.unique(np.concatenate([spikes["sample"] for spikes in recording.spikes.values()] or [np.zeros(0, int)]))
    if not len(kept):
        note = paragraph("No single spikes were kept: rasters=1 keeps those of the first sample.", quiet=True)
        return view(title, _errors(errors), table(columns, layers), note)
    return view(title, _errors(errors), table(columns, layers), *_rasters(recording, int(kept[0])))


def _errors(errors: Regression | None) -> Markup | None:
    """The errors of every value in a table."""
    if errors is None:
        return None
    unit = f" ({errors.unit})" if errors.unit else ""
    rows = [
        (each.value, figure(each.rmse), figure(each.mae), None if each.r2 is None else figure(each.r2))
        for each in errors.values
    ]
    return table(("value", f"RMSE{unit}", f"MAE{unit}", "R²"), rows)


def _rasters(recording: Recording, index: int) -> list[Markup]:
    """The rasters of sample ``index``, the input first."""
    duration_us = int(recording.durations_us[index]) if len(recording.durations_us) else _last(recording, index) + 1
    label, answer = int(recording.labels[index]), int(recording.predictions[index])
    facts = [f"label {label}"] * (label >= 0)
    if not recording.reads_values:
        facts.append(f"answer {'no spike' if answer < 0 else answer}")
    facts.append(f"{figure(duration_us / 1000)} ms")
    drawn = [paragraph(f"Sample {recording.samples[index]}: {', '.join(facts)}")]
    for name, spikes in recording.spikes.items():
        of_sample = spikes[spikes["sample"] == index]
        shape = recording.counts[name].shape[1:] if name in recording.counts else _extent(of_sample)
        says = f"{name}: {len(of_sample):,} {'events' if name == INPUT else 'spikes'}"
        drawn.append(raster(says, of_sample, shape, duration_us))
    return drawn


def _last(recording: Recording, index: int) -> int:
    times = [spikes["t"][spikes["sample"] == index] for spikes in recording.spikes.values()]
    return max((int(each.max()) for each in times if len(each)), default=0)


def _extent(events: NDArray[Any]) -> Shape:
    """The smallest map (C, H, W) of ``events``."""
    c, y, x = (int(events[axis].max(initial=0)) + 1 for axis in "cyx")
    return c, y, x


def events_view(title: str, streams: Sequence[EventStream]) -> str:
    """The first samples in a table, and the raster of the first one."""
    rows = [
        (
            stream.name,
            stream.label if stream.label >= 0 else None,
            format_shape(stream.shape),
            len(stream),
            f"{figure(stream.duration_us / 1000)} ms",
        )
        for stream in streams[:SAMPLES]
    ]
    more = len(streams) - len(rows)
    return view(
        title,
        table(("sample", "label", "map (C,\u00a0H,\u00a0W)", "events", "duration"), rows),
        paragraph(f"and {more:,} more", quiet=True) if more > 0 else None,
        *(raster(each.name, each.events, each.shape, each.duration_us) for each in streams[:1]),
    )


def raster(says: str, events: NDArray[Any], shape: Shape, duration_us: int) -> Markup:
    """Events or spikes over time, a row per neuron of a map of ``shape``: feature by feature, row by row."""
    places = places_of(events, shape)
    row = HEIGHT / max(1, int(np.prod(shape)))
    tops = np.floor(places * row) if row < 1 else places * row
    marks = marks_of(events["t"] / max(duration_us, 1), tops, max(row * 0.8, 1.5), MARKS)
    frame = svg.element("rect", width="100%", height=HEIGHT, class_="dt-line")
    text = f"{says}, neurons {format_shape(shape)} from top to bottom"
    drawn = svg.element(
        "svg",
        frame,
        svg.stretched(0, HEIGHT, svg.path(marks, "dt-on")),
        width="100%",
        height=HEIGHT,
        role="img",
        aria_label=text,
    )
    return svg.element("div", paragraph(says, quiet=True), drawn)
