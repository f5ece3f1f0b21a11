"""The decision is the spike after which the answer never changes, here by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.decision import UNDECIDED, decided_us


@pytest.mark.parametrize(
    ("neurons", "decided"),
    [
        ([2], 0),
        ([2, 2, 2], 0),
        ([2, 1], 1),  # equal: the first of equals is the answer, which was another
        ([1, 2], 0),  # equal, and the answer stays
        ([1, 2, 2], 2),
        ([1, 2, 2, 1, 1], 3),  # the fourth spike makes 1 the first of equals, and 1 stays
        ([0, 1, 1, 1, 0], 2),
    ],
)
def test_the_last_change_of_the_answer(neurons: list[int], decided: int) -> None:
    t_us = 100 + 10 * np.arange(len(neurons))
    assert decided_us(t_us, np.array(neurons), start_us=40) == 60 + 10 * decided


def test_no_spike_and_no_event_are_no_decision() -> None:
    assert decided_us(np.zeros(0, np.int64), np.zeros(0, np.int64), 0) == UNDECIDED
    assert decided_us(np.array([3]), np.array([0]), None) == UNDECIDED


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_it_follows_from_the_counts_after_every_spike(neurons: list[int]) -> None:
    answers = [np.bincount(neurons[: number + 1], minlength=5).argmax() for number in range(len(neurons))]
    decided = max((i for i in range(1, len(answers)) if answers[i] != answers[i - 1]), default=0)
    assert decided_us(np.arange(len(neurons)), np.array(neurons), 0) == decided
