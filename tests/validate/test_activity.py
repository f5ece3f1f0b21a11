"""Activity: rates, silent and saturated neurons, and the time to a decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from helpers.recordings import TWO_SAMPLES as RUN
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.recording import SPIKE
from deploytool.ir.verdict import Decision
from deploytool.validate.activity import decision, decisions_us, layer_figures


def spikes(*rows: tuple[int, int, int]) -> np.ndarray:
    """(sample, time, feature) of each spike."""
    found = np.zeros(len(rows), SPIKE)
    for index, (sample, t, c) in enumerate(rows):
        found[index] = (sample, t, c, 0, 0)
    return found


def test_a_row_per_layer() -> None:
    (row,) = layer_figures(RUN)
    assert row.neurons == 3
    assert row.spikes_per_sample == 6
    assert row.synops_per_sample == 10
    assert row.rate_hz == 1  # 12 spikes of 3 neurons in 4 s
    assert row.silent_neurons == 1
    assert row.saturated_neurons == 1  # 10 spikes on 10 updates
    assert (row.v_lowest, row.v_highest, row.v_is) == (-9, 99, "bound")
    assert row.weights_above == 7


def test_measured_v_comes_before_its_bound() -> None:
    known = replace(RUN.activity["fc"], reached=(-3, 12))
    (row,) = layer_figures(replace(RUN, activity={"fc": known}))
    assert (row.v_lowest, row.v_highest, row.v_is) == (-3, 12, "measured")


def test_an_old_recording_says_what_it_can() -> None:
    (row,) = layer_figures(replace(RUN, activity={}, durations_us=np.zeros(0)))
    assert row.silent_neurons == 1
    unknown = ("synops_per_sample", "rate_hz", "saturated_neurons", "v_lowest", "v_highest", "weights_above")
    assert all(getattr(row, key) is None for key in unknown)
    assert row.v_is == "not known"


def test_a_decision_falls_with_the_last_change_of_the_answer() -> None:
    # sample 0: neuron 1 leads at 200, 0 draws level at 300 and wins ties, 1 leads again at 400 for good
    out = spikes((0, 200, 1), (0, 300, 0), (0, 400, 1), (0, 900, 1), (2, 70, 2))
    inputs = spikes((0, 50, 0), (0, 60, 0), (1, 10, 0), (2, 20, 0))
    run = replace(RUN, spikes={"fc": out, "input": inputs})
    assert decisions_us(run).tolist() == [350, 50]
    assert decision(run) == Decision(samples=2, median_ms=0.2, min_ms=0.05, max_ms=0.35, p95_ms=0.335)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_before_the_decision_the_answer_was_another(fired: list[int]) -> None:
    out = spikes(*[(0, 10 * (i + 1), neuron) for i, neuron in enumerate(fired)])
    (taken,) = decisions_us(replace(RUN, spikes={"fc": out, "input": spikes((0, 0, 0))}))
    answers = [int(np.bincount(fired[: i + 1], minlength=3).argmax()) for i in range(len(fired))]
    at = int(taken) // 10 - 1
    assert set(answers[at:]) == {answers[-1]}
    assert at == 0 or answers[at - 1] != answers[-1]


def test_without_single_spikes_no_decision_is_known() -> None:
    assert decision(RUN) == Decision(0, None, None, None)


def test_a_run_that_measured_its_decisions_needs_no_single_spikes() -> None:
    assert decision(replace(RUN, decisions_us=np.array([4500, -1]))) == Decision(1, 4.5, 4.5, 4.5, 4.5)
