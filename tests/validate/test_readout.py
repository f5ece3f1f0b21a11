"""The readings of the readout layer: hand-made spikes with known windows, and a slow count of the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.validate.readout import IDLE, Averaging, readings

MS = 1000


def test_the_class_above_the_threshold_in_the_period_that_just_ended() -> None:
    """A clock of 100 Hz: periods of 10 ms. A spike at the time of a tick is in the next period."""
    t_us = np.array([1, 2, 3, 12, 13, 20, 29, 30]) * MS
    neurons = np.array([1, 1, 0, 2, 2, 0, 0, 0])
    found = readings(t_us, neurons, 3, 35 * MS, Averaging(100, periods=1, threshold=1))
    assert found.t_us.tolist() == [10 * MS, 20 * MS, 30 * MS]
    assert found.counts.tolist() == [[1, 2, 0], [0, 0, 2], [2, 0, 0]]
    assert found.classes.tolist() == [1, 2, 0]
    # Two spikes are not above a threshold of 2: the readout is idle.
    assert readings(t_us, neurons, 3, 35 * MS, Averaging(100, 1, 2)).classes.tolist() == [IDLE] * 3


def test_the_first_of_equal_classes_and_silence_at_threshold_zero() -> None:
    found = readings(np.array([1, 2, 11]) * MS, np.array([2, 1, 2]), 3, 30 * MS, Averaging(100, 1, 0))
    assert found.classes.tolist() == [1, 2, IDLE]


def test_a_moving_average_over_16_periods_is_not_rounded_and_forgets() -> None:
    """At 1 kHz, 2 spikes of class 0 in each of the first 16 ms, and 40 of class 1 in ms 20."""
    t_us = np.concatenate([np.arange(32) * 500, np.full(40, 20 * MS + 1)])
    neurons = np.repeat([0, 1], [32, 40])
    found = readings(t_us, neurons, 2, 40 * MS, Averaging(1000, periods=16, threshold=1))
    assert len(found.t_us) == 40
    assert found.counts[[0, 7, 8, 15, 16, 20, 35, 36]].tolist() == [
        *([2, 0], [16, 0], [18, 0], [32, 0]),
        *([30, 0], [22, 40], [0, 40], [0, 0]),
    ]
    # 16 spikes are 1 per period and not above it; 17 or more are.
    assert found.classes.tolist() == [IDLE] * 8 + [0] * 12 + [1] * 16 + [IDLE] * 4


def test_the_last_reading_is_at_the_end_of_the_sample_and_a_short_sample_has_none() -> None:
    spike = np.array([9 * MS]), np.array([0])
    assert readings(*spike, 1, 10 * MS, Averaging(100, 1, 0)).t_us.tolist() == [10 * MS]
    assert readings(*spike, 1, 10 * MS - 1, Averaging(100, 1, 0)).t_us.tolist() == []
    # Ticks of 3 Hz are at whole microseconds below k / 3 s.
    assert readings(*spike, 1, 1_000_000, Averaging(3, 1, 0)).t_us.tolist() == [333_333, 666_666, 1_000_000]


@pytest.mark.parametrize("periods", [1, 16, 32])
@given(seed=st.integers(0, 2**31), hz=st.sampled_from([10, 70, 1000, 10_000]), threshold=st.integers(0, 2))
def test_readings_are_counts_of_spikes_between_ticks(periods: int, seed: int, hz: int, threshold: int) -> None:
    rng = np.random.default_rng(seed)
    classes, duration_us, size = int(rng.integers(1, 5)), int(rng.integers(1, 300 * MS)), int(rng.integers(0, 80))
    t_us, neurons = rng.integers(0, duration_us, size), rng.integers(0, classes, size)
    found = readings(t_us, neurons, classes, duration_us, Averaging(hz, periods, threshold))
    ticks = [k * 1_000_000 // hz for k in range(4000) if k >= 1 and k * 1_000_000 // hz <= duration_us]
    assert found.t_us.tolist() == ticks
    for number in rng.permutation(len(ticks))[:5].tolist():
        start_us = 0 if number < periods else ticks[number - periods]
        inside = neurons[(t_us >= start_us) & (t_us < ticks[number])]
        counts = [int((inside == each).sum()) for each in range(classes)]
        assert found.counts[number].tolist() == counts
        best = counts.index(max(counts))
        assert found.classes[number] == (best if counts[best] / periods > threshold else IDLE)
