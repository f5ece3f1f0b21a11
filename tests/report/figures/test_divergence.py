"""The picture of the first divergence: both membranes through their updates, both rasters, on one axis of time."""

from __future__ import annotations

import re

import pytest
from helpers.report_divergence import EVENTS, NEURON, explained, side

from deploytool.ir.divergence import Explained, LayerDivergence
from deploytool.report.figures import divergence
from deploytool.report.figures.divergence import divergence_charts, in_steps, moment, shown_us

ONE, OTHER = side("emulator", 1, EVENTS), side("simulator", 0, [(t, w / 2, 0) for t, w, _ in EVENTS])


def test_membranes_go_through_every_value_of_their_updates() -> None:
    membrane, _ = divergence_charts(explained(ONE, OTHER))
    assert membrane.title == "Membrane of the neuron at feature 2, row 3, column 4 of conv1"
    assert (
        "emulator (blue): V 0.75 → 1.25, threshold 1, 1 spike; simulator (brown): V 0.375 → 0.625" in membrane.caption
    )
    lines = re.findall(r'<path d="([^"]*)" class="(run\d)"', membrane.drawing)
    assert [style for _, style in lines] == ["run0", "run1"]
    assert lines[0][0].count("L") + 1 == 3 * len(EVENTS)
    assert membrane.drawing.count('class="threshold"') == 2
    assert len(re.findall('class="dot run[01]"', membrane.drawing)) == 2


def test_values_are_drawn_at_their_height() -> None:
    """The axis goes from 0 to 1.25, and V = 0.75 before the event at 3 ms."""
    membrane, _ = divergence_charts(explained(ONE, OTHER))
    (path,) = re.findall(r'<path d="([^"]*)" class="run0"', membrane.drawing)
    points = [tuple(map(float, point.split())) for point in re.split("[ML]", path)[1:]]
    assert points[6][1] == pytest.approx(divergence.HEIGHT * (1 - 0.75 / 1.25))
    assert points[6][0] == points[7][0] == points[8][0]
    assert points[8][1] > points[6][1] > points[7][1]


def test_time_steps_take_effect_at_their_end() -> None:
    stepped = side("quantised", 0, [(0, 0.25, 0), (2000, 0.5, 0), (4000, 0.0, 0)], steps=True)
    assert in_steps(stepped)
    assert not in_steps(ONE)
    assert shown_us(stepped, [0, 2000]).tolist() == [2000, 4000]
    membrane, _ = divergence_charts(explained(ONE, stepped))
    assert membrane.caption.endswith("A time step takes effect at its end.")


def test_the_row_of_the_neuron_is_marked_and_rows_are_those_nearest_in_time() -> None:
    _, raster = divergence_charts(explained(ONE, OTHER))
    assert 'class="label"' in raster.drawing
    assert "emulator: 1 spikes" in raster.caption
    many = [(float(t), (t, 0, 0)) for t in range(100)]
    rows = divergence._nearest(many, (500, 0, 0), event=50.0)
    assert len(rows) == divergence.ROWS_MAX
    assert (500, 0, 0) in rows
    assert (50, 0, 0) in rows
    assert (0, 0, 0) not in rows


def test_without_a_difference_nothing_is_drawn() -> None:
    equal = LayerDivergence("conv1", None, None, None, (0, 0), (2, 2), (), (), "equal")
    assert divergence_charts(Explained(7, "seven", 1, "They do not differ.", None, (), (equal,))) == []
    assert moment(equal) == "does not differ"
    assert moment(LayerDivergence("conv1", 7089, 3, NEURON, (1, 0), (2, 1), (), (), "")) == "7.089 ms, time step 3"
