"""Samples are chosen because they are wrong or differ, and each says why."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.recording import Recording, RungName
from deploytool.report.choice import choose
from deploytool.report.runs import tied, tied_classes


def recording(rung: RungName, counts: list[list[int]], labels: list[int]) -> Recording:
    found = np.array(counts, np.int64).reshape(len(labels), -1, 1, 1)
    names = tuple(f"s{i}" for i in range(len(labels)))
    return Recording(rung, names, np.array(labels), ("fc1",), {"fc1": found}, np.zeros(len(labels)), {}, {})


TRAINED = recording("torch", [[5, 1], [5, 1], [1, 5], [4, 4], [5, 2], [5, 1]], [0, 0, 1, 0, 1, 0])
DEPLOYED = recording("emulator", [[5, 1], [1, 5], [1, 5], [3, 3], [6, 1], [0, 0]], [0, 0, 1, 0, 1, 0])


def test_a_sample_is_chosen_for_each_reason_and_says_all_of_them() -> None:
    chosen = {choice.index: choice.reasons for choice in choose({"emulator": DEPLOYED, "torch": TRAINED}, 4)}
    assert list(chosen)[:2] == [1, 4]
    assert chosen[1][:2] == ("torch is right and emulator is wrong", "the runs predict different classes")
    assert "every run is wrong" in chosen[4]
    assert "classes are tied on emulator" in chosen[3]


def test_the_one_that_differs_most_comes_first() -> None:
    trained = recording("torch", [[5, 1], [5, 1]], [0, 0])
    deployed = recording("emulator", [[1, 2], [1, 9]], [0, 0])
    assert [choice.index for choice in choose({"torch": trained, "emulator": deployed}, 1)] == [1]


def test_where_nothing_is_wrong_a_typical_sample_is_shown() -> None:
    (choice,) = choose({"emulator": recording("emulator", [[5, 1], [4, 1]], [0, 0])}, 1)
    assert choice.reasons == ("a typical sample: its spike difference at the output is near the median",)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-1, 1)), min_size=1, max_size=12))
def test_samples_are_chosen_once_with_a_reason_each(rows: list[tuple[int, int, int]]) -> None:
    made = recording("emulator", [[a, b] for a, b, _ in rows], [label for _, _, label in rows])
    other = recording("torch", [[b, a] for a, b, _ in rows], [label for _, _, label in rows])
    for limit in (0, 1, 4):
        chosen = choose({"emulator": made, "torch": other}, limit)
        assert len({choice.index for choice in chosen}) == len(chosen) <= limit
        assert all(choice.reasons for choice in chosen)
        assert len(chosen) == min(limit, len(rows))


def test_a_tie_has_several_classes_with_the_most_spikes() -> None:
    assert tied(DEPLOYED).tolist() == [False, False, False, True, False, False]
    assert tied_classes(DEPLOYED, 3) == (0, 1)
    assert tied_classes(DEPLOYED, 5) == ()
