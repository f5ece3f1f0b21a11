"""The ladder's axis: close accuracies are apart, and every place is the value's."""

from __future__ import annotations

import dataclasses
import re

import pytest
from helpers import report_example as example
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.verdict import Rung
from deploytool.recipe import ValidateSection
from deploytool.report.figures.ladder import Ladder, ladder
from deploytool.validate.ladder import judge
from deploytool.validate.metrics import confidence_interval

SOME = judge({"emulator": example.recordings("emulator")[0]}, ValidateSection()).ran["emulator"]


def rung(name: str, right: int, samples: int) -> Rung:
    accuracy = 100 * right / samples
    interval = confidence_interval(right, samples)
    changed = {"name": name, "accuracy": accuracy, "interval_95": interval, "right": right, "labelled": samples}
    return dataclasses.replace(SOME, **changed)


def place(found: Ladder, name: str) -> float:
    """Where the dot of ``name`` is, in % of the width."""
    dot = re.search(r'<circle cx="([\d.]+)%"', found.tracks[name])
    assert dot
    return float(dot[1])


def test_close_accuracies_are_far_apart() -> None:
    found = ladder([rung("a", 975, 1000), rung("b", 983, 1000)])
    assert found
    assert place(found, "b") - place(found, "a") > 15


@given(st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_a_dot_is_where_its_accuracy_is_on_the_axis(rights: list[int]) -> None:
    rungs = [rung(f"r{i}", right, 400) for i, right in enumerate(rights)]
    found = ladder(rungs)
    assert found
    assert 0 <= found.low < found.high <= 100
    for each in rungs:
        assert each.accuracy is not None
        expected = 100 * (each.accuracy - found.low) / (found.high - found.low)
        assert place(found, each.name) == pytest.approx(expected, abs=0.01)


def test_without_labels_there_is_no_ladder() -> None:
    assert ladder([Rung.not_run("board")]) is None
