"""Distances between spike times, each against its definition."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.validate.timing import van_rossum, victor_purpura

TRAINS = st.lists(st.integers(0, 400), max_size=6).map(lambda times: np.array(sorted(times)) / 4)
COSTS = st.sampled_from([0.0, 0.05, 0.3, 1.0, 7.0])


def edits(one: tuple[float, ...], other: tuple[float, ...], q: float) -> float:
    """The cheapest way to turn ``one`` into ``other``, by trying every edit of the first spikes."""

    @functools.cache
    def cost(i: int, j: int) -> float:
        if i == len(one) or j == len(other):
            return float(len(one) - i + len(other) - j)
        return min(cost(i + 1, j) + 1, cost(i, j + 1) + 1, cost(i + 1, j + 1) + q * abs(one[i] - other[j]))

    return cost(0, 0)


def integral(one: np.ndarray, other: np.ndarray, tau: float) -> float:
    """The integral over time of the squared difference of both filtered trains, on a fine grid."""
    step = tau / 400
    t = np.arange(0, 101 + 12 * tau, step) + step / 2

    def filtered(train: np.ndarray) -> np.ndarray:
        after = t[:, None] - train[None, :]
        return np.where(after >= 0, np.exp(-np.maximum(after, 0) / tau), 0).sum(axis=1)

    return float(((filtered(one) - filtered(other)) ** 2).sum() * step / tau)


@given(TRAINS, TRAINS, COSTS)
def test_victor_purpura_is_the_cheapest_edit(one: np.ndarray, other: np.ndarray, q: float) -> None:
    found = victor_purpura(one, other, q)
    assert found == pytest.approx(edits(tuple(one), tuple(other), q))
    assert found <= len(one) + len(other)
    assert found == pytest.approx(victor_purpura(other, one, q))


@pytest.mark.parametrize(
    ("one", "other", "q", "cost"),
    [
        ([], [], 1, 0),
        ([1.0, 2.0], [], 1, 2),
        ([10.0], [14.0], 0.1, 0.4),
        ([10.0], [40.0], 0.1, 2),
        ([1.0, 2.0, 3.0], [7.0], 0, 2),
    ],
)
def test_victor_purpura_by_hand(one: list[float], other: list[float], q: float, cost: float) -> None:
    """A spike removed costs 1, moved by 4 ms 0.4; by 30 ms it is cheaper to remove it and add another."""
    assert victor_purpura(np.array(one), np.array(other), q) == pytest.approx(cost)


@settings(max_examples=40)
@given(TRAINS, TRAINS, st.sampled_from([2.0, 10.0]))
def test_van_rossum_is_the_integral(one: np.ndarray, other: np.ndarray, tau: float) -> None:
    found = van_rossum(one, other, tau)
    assert found == pytest.approx(integral(one, other, tau), rel=0.02, abs=0.02)
    assert found >= 0
    assert van_rossum(one, one, tau) == pytest.approx(0, abs=1e-12)


def test_van_rossum_by_hand() -> None:
    assert van_rossum(np.array([5.0]), np.array([]), 10) == pytest.approx(0.5)
    assert van_rossum(np.array([0.0]), np.array([1000.0]), 10) == pytest.approx(1)
    assert van_rossum(np.array([0.0]), np.array([10.0]), 10) == pytest.approx(1 - np.exp(-1))
