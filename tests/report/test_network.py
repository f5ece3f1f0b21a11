"""The program on the page: memories of cores, free cores, and the figures of layers."""

from __future__ import annotations

import math

import pytest
from helpers import report_example as example

from deploytool.chip.chips import CHIPS
from deploytool.report import network


@pytest.mark.parametrize(
    ("floor", "says"), [(None, "none"), (-32768.0, "−32,768"), (-0.25, "−0.25"), (-math.inf, "−inf")]
)
def test_floors_are_whole_numbers_where_they_are(floor: float | None, says: str) -> None:
    assert network._floor(floor) == says


def test_free_cores_are_listed_by_size() -> None:
    found = network.free_cores(network.cores(example.program(), CHIPS["speck2e"]))
    assert found == [([1, 2], 16384, 65536), ([5, 6], 65536, 16384), ([8], 16384, 16384)]
