"""The load of cores on one axis: mean, busiest 10 ms and busiest millisecond where they belong."""

from __future__ import annotations

import re

from deploytool.ir.verdict import CoreLoad
from deploytool.report.figures.load import loads


def test_marks_are_where_their_loads_are() -> None:
    found = loads([CoreLoad("conv1", "conv1", 0, 1e6, 10e6, 5e6), CoreLoad("fc1", "fc1", 1, None, 2e6, 1e6)])
    assert found
    first, second = found.tracks
    assert 'width="50%"' in first
    assert re.search(r'<circle cx="10%"', first)
    assert "conv1: 1.00 M SynOps/s on average, 5.00 M SynOps/s in the busiest 10 ms, 10.00 M" in first
    assert "circle" not in second
    assert "20%" in second


def test_without_a_load_nothing_is_drawn() -> None:
    assert loads([]) is None
