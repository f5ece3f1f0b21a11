"""Rasters: every spike at its time, every neuron in its row."""

from __future__ import annotations

import re

import numpy as np

from deploytool.ir.events import EVENT
from deploytool.report.views.spikes import HEIGHT, MARKS, raster


def marks(*events: tuple[int, int, int, int], shape: tuple[int, int, int]) -> list[tuple[int, float]]:
    """(place in thousandths of the width, pixels from the top) of every mark of ``events`` in 1,000 us."""
    drawn = raster("x", np.array(list(events), EVENT), shape, 1000)
    return [(int(at), float(top)) for at, top in re.findall(r"M(\d+) ([\d.]+)v", drawn)]


def test_a_mark_is_at_its_time_and_in_the_row_of_its_neuron() -> None:
    row = HEIGHT / 8
    found = marks((0, 0, 0, 0), (500, 1, 0, 1), (998, 1, 1, 1), shape=(2, 2, 2))
    assert found == [(0, 0), (500, round(5 * row, 2)), (998, round(7 * row, 2))]


def test_a_raster_has_so_few_marks_that_a_notebook_stays_small() -> None:
    rng = np.random.default_rng(0)
    events = np.zeros(200_000, EVENT)
    events["t"] = np.sort(rng.integers(0, 1000, len(events)))
    for axis, size in zip("cyx", (2, 128, 128), strict=True):
        events[axis] = rng.integers(0, size, len(events))
    drawn = raster("x", events, (2, 128, 128), 1000)
    assert drawn.count("v") < 2 * MARKS
    assert len(drawn) < 60_000


def test_nothing_gives_an_empty_raster() -> None:
    assert marks(shape=(1, 1, 1)) == []
