"""Curves of a sweep: a chart per measure that is known, every point where it belongs."""

from __future__ import annotations

import re

import pytest

from deploytool.ir.sweep import Curve, Point, QuantityName, Sweep
from deploytool.report.figures.sweeps import sweep_charts


def point(value: float, accuracy: float, synops: float | None = None) -> Point:
    interval = (accuracy - 5, accuracy + 5)
    return Point(
        value, 100, 100, round(accuracy), accuracy, interval, 0, None, None, None, synops, None, value, ("recording-1",)
    )


def curve(model: str, *points: Point, quantity: QuantityName = "time_steps") -> Curve:
    return Curve(model, "model-1", quantity, "torch", "the simulator", points)


def test_only_measures_that_are_known_are_drawn() -> None:
    charts = sweep_charts(Sweep("digits", 100, (curve("sdt", point(1, 50), point(4, 70)),)))
    assert [chart.title for chart in charts] == ["Accuracy (%) against time steps per sample"]
    known = sweep_charts(Sweep("digits", 100, (curve("sdt", point(1, 50, 10.0), point(4, 70, 20.0)),)))
    assert len(known) == 2
    assert "sdt: 10.00 at 1 to 20.00 at 4" in known[1].drawing


def test_points_are_on_a_logarithmic_axis_where_they_span_much() -> None:
    (chart,) = sweep_charts(Sweep("digits", 100, (curve("sdt", *(point(2**i, 50 + i) for i in range(5))),)))
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', chart.drawing)]
    assert places == pytest.approx([0, 25, 50, 75, 100])
    (near,) = sweep_charts(Sweep("digits", 100, (curve("sdt", *(point(i, 50 + i) for i in (1, 2, 5))),)))
    assert [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', near.drawing)] == pytest.approx([0, 25, 100])


def test_networks_and_early_exits_are_told_apart() -> None:
    curves = (curve("a", point(1, 50)), curve("b", point(1, 60)), curve("a", point(3, 70), quantity="margin"))
    accuracy, exits = sweep_charts(Sweep("digits", 100, curves))
    assert accuracy.caption == "a on torch: blue; b on torch: brown, dashed"
    assert exits.caption == "a, exit by margin: blue"
    assert exits.title == "Accuracy (%) against time used (ms, mean)"
