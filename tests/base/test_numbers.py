"""Numbers for a person: one rounding, and no number that hides on which side of a limit it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.numbers import figure, figure_and_limit, percent, real, rounded, whole


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (97.4931, "97.49"),
        (100.0, "100.00"),
        (-0.2786, "−0.28"),
        (0.00423, "0.0042"),
        (999.994, "999.99"),
        (999.996, "1,000"),
        (6160.4, "6,160"),
        (4_123_456.7, "4,123,457"),
    ],
)
def test_a_figure(value: float, text: str) -> None:
    assert figure(value) == text


def test_other_numbers() -> None:
    assert percent(96.4) == "96.40\u202f%"
    assert whole(6160) == "6,160"
    assert real(0.123456) == "0.1235"
    assert percent(None) == whole(None) == real(None) == "undefined"
    assert rounded(1.234567) == 1.2346
    assert rounded(None) is None


@pytest.mark.parametrize(
    ("value", "limit", "texts"),
    [
        (98.05, 95.0, ("98.05", "95")),
        (97.9996, 98.0, ("97.9996", "98")),
        (98.0, 98.0, ("98.00", "98")),
        (6160.4, 6160.0, ("6,160.4000", "6,160")),
        (98.046, 98.049, ("98.0460", "98.049")),
        (-0.2786, 0.5, ("−0.28", "0.5")),
        (3, 2, ("3", "2")),
    ],
)
def test_a_figure_beside_its_limit(value: float, limit: float, texts: tuple[str, str]) -> None:
    assert figure_and_limit(value, limit) == texts


@given(st.integers(-(10**8), 10**8), st.integers(0, 10**8), st.sampled_from((1, 10, 100, 1000)))
def test_a_figure_is_on_its_side_of_the_limit(value: int, limit: int, grid: int) -> None:
    stored, asked = value / 10**4, round(limit / grid) * grid / 10**4
    shown, needed = (float(text.replace("−", "-").replace(",", "")) for text in figure_and_limit(stored, asked))
    assert needed == asked
    assert (shown > asked, shown < asked) == (stored > asked, stored < asked)
