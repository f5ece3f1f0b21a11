"""Early exit: each policy by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.recording import SPIKE, Recording
from deploytool.validate.curves import AnyTime, cut_point
from deploytool.validate.early_exit import POLICIES, PolicyName, evidence, output_spikes

SPIKES = [(0, 20, 0), (0, 30, 1), (0, 40, 1), (0, 40, 1), (0, 70, 0), (1, 5, 2), (1, 6, 2)]
"""(sample, time, feature); the counts of sample 0 after 20, 30, 40, 70 us: 1 0 0, 1 1 0, 1 3 0, 2 3 0."""
RUN = Recording(
    rung="emulator",
    samples=("a", "b", "c"),
    labels=np.array([1, 2, 0]),
    outputs=("fc",),
    counts={"fc": np.array([[2, 3, 0], [0, 0, 2], [0, 0, 0]]).reshape(3, 3, 1, 1)},
    synops=np.zeros(0, np.int64),
    spikes={
        "fc": np.array([(sample, t, c, 0, 0) for sample, t, c in SPIKES], SPIKE),
        "input": np.array([(sample, t, 0, 0, 0) for sample, t, _ in SPIKES], SPIKE),
    },
    aliases={},
    durations_us=np.array([1000, 2000, 3000]),
)


@pytest.mark.parametrize(
    ("policy", "threshold", "exits"),
    [
        ("margin", 1, [21, 6, 3000]),
        ("margin", 2, [41, 7, 3000]),
        ("margin", 3, [1000, 2000, 3000]),
        ("spikes", 1, [21, 6, 3000]),
        ("spikes", 2, [41, 7, 3000]),
        ("spikes", 3, [41, 2000, 3000]),
        ("spikes", 4, [1000, 2000, 3000]),
        ("entropy", 1, [21, 6, 3000]),
        ("entropy", 0.89, [21, 6, 3000]),
        ("entropy", 0.88, [41, 7, 3000]),
        ("entropy", 0.6, [41, 2000, 3000]),
        ("entropy", 0.01, [1000, 2000, 3000]),
    ],
)
def test_when_a_sample_exits(policy: PolicyName, threshold: float, exits: list[int]) -> None:
    assert evidence(RUN, policy).exits_us(threshold).tolist() == exits


def test_the_entropy_of_a_softmax() -> None:
    measure = POLICIES["entropy"].measure
    e = math.e
    p = np.array([e, 1, 1]) / (e + 2)
    by_hand = float(-(p * np.log(p)).sum() / math.log(3))
    assert measure(np.array([[0, 0, 0], [1, 0, 0], [5, 4, 4]])) == pytest.approx([1, by_hand, by_hand])
    assert measure(np.array([[2000, 0]])) == pytest.approx([0])
    assert measure(np.array([[3], [0]])).tolist() == [0, 0]


def test_the_lead_of_a_single_class_is_its_spikes() -> None:
    assert POLICIES["margin"].measure(np.array([[3], [0]])).tolist() == [3, 0]


def test_what_an_early_exit_costs() -> None:
    """Exit at a lead of 1: sample a answers 0 at 20 us, which is wrong, b is right, c never decides."""
    anytime, margin = AnyTime(RUN), evidence(RUN, "margin")
    found = cut_point(1, [anytime.cut(margin.exits_us(1))], [anytime.whole], ["recording-1"])
    assert (found.right, found.silent) == (1, 1)
    assert found.events == pytest.approx(2 / 3, abs=1e-4)
    assert found.ms == pytest.approx((0.021 + 0.006 + 3) / 3, abs=1e-4)
    later = cut_point(2, [anytime.cut(margin.exits_us(2))], [anytime.whole], ["recording-1"])
    assert later.right == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 2)), max_size=30))
def test_no_exit_is_earlier_than_its_policy_allows(rows: list[tuple[int, int, int]]) -> None:
    """Against the definition: counts of all spikes up to each time."""
    rows = sorted(rows)
    counts = np.zeros((4, 3), np.int64)
    for sample, _, c in rows:
        counts[sample, c] += 1
    run = Recording(
        rung="emulator",
        samples=("a", "b", "c", "d"),
        labels=np.zeros(4),
        outputs=("fc",),
        counts={"fc": counts.reshape(4, 3, 1, 1)},
        synops=np.zeros(0),
        spikes={"fc": np.array([(sample, t, c, 0, 0) for sample, t, c in rows], SPIKE)},
        aliases={},
        durations_us=np.full(4, 50),
    )
    for name, policy in POLICIES.items():
        found = evidence(run, name)
        for threshold in policy.thresholds:
            for sample, exit_us in enumerate(found.exits_us(threshold).tolist()):
                enough = [
                    t
                    for t in sorted({t for at, t, _ in rows if at == sample})
                    if policy.enough(policy.measure(_until(rows, sample, t)), threshold)[0]
                ]
                assert exit_us == (enough[0] + 1 if enough else 50)


def _until(rows: list[tuple[int, int, int]], sample: int, t_us: int) -> np.ndarray:
    fired = [c for at, t, c in rows if at == sample and t <= t_us]
    return np.bincount(np.array(fired, np.int64), minlength=3)[None]


def test_outputs_of_two_layers_are_numbered_one_after_the_other() -> None:
    one = np.array([(0, 5, 0, 0, 0), (1, 2, 1, 0, 0)], SPIKE)
    two = np.array([(0, 3, 0, 0, 0), (1, 9, 0, 0, 0)], SPIKE)
    run = Recording(
        rung="emulator",
        samples=("a", "b"),
        labels=np.zeros(2),
        outputs=("one", "two"),
        counts={"one": np.zeros((2, 2, 1, 1)), "two": np.zeros((2, 1, 1, 1))},
        synops=np.zeros(0),
        spikes={"one": one, "two": two},
        aliases={},
        durations_us=np.full(2, 50),
    )
    assert [column.tolist() for column in output_spikes(run)] == [[0, 0, 1, 1], [3, 5, 2, 9], [2, 0, 1, 2]]
