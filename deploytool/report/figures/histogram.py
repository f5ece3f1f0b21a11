"""Histograms of the weights of a layer, in units of its threshold."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from deploytool.chip.chips import Chip
from deploytool.ir.program import Layer
from deploytool.report.figures.chart import Frame, scale
from deploytool.report.figures.curves import Chart

BINS_MAX: Final = 96
HEIGHT: Final = 90


def weight_histogram(name: str, layer: Layer, chip: Chip) -> Chart:
    """How often each integer weight of ``layer`` occurs, with its threshold and the largest weight of ``chip``."""
    limit = chip.integers.weight_range[1]
    values = np.concatenate([synapses.weights.reshape(-1) for synapses in layer.synapses]).astype(np.int64)
    edges, found = bars_of(values)
    width = int(edges[1] - edges[0])
    zeros, cut = int((values == 0).sum()), int((np.abs(values) >= limit).sum())
    frame = Frame(
        scale(float(edges[0]), float(edges[-1]), count=4, whole=True),
        scale(0, float(found.max(initial=1)) * 1.05, count=2, whole=True),
        HEIGHT,
    )
    threshold = float(np.mean(layer.neurons.threshold))
    marks: list[Markup] = [frame.upright(0, "axis-line")]
    marks += [frame.upright(s * threshold, "threshold") for s in (-1, 1) if abs(threshold) <= edges[-1]]
    within = "" if threshold <= edges[-1] else f"; the threshold {threshold:,.0f} is further out"
    bins = "one bar per integer" if width == 1 else f"bars of {width} integers"
    caption = f"{values.size:,} weights, {zeros:,} of them 0, {cut:,} at the limit of ±{limit}; {bins}{within}"
    return Chart(name, frame.draw(f"Weights of {name}: {caption}", [frame.bars(edges, found, "area")], marks), caption)


def bars_of(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(edges (N + 1,), counts (N,)) of whole numbers ``values``, in bars of equal width around 0."""
    most = int(np.abs(values.astype(np.int64)).max(initial=1))
    width = -(-(2 * most + 1) // BINS_MAX)
    reach = most + 0.5 if width == 1 else float(-(-(most + 1) // width) * width)
    edges = np.arange(-reach, reach + width / 2, width)
    return edges, np.histogram(values, edges)[0].astype(np.int64)
