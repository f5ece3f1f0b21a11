"""The decision over time is the prediction that the counts give at each moment."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from deploytool.ir.recording import answers
from deploytool.report.figures.timeline import Answered, decision_panel, output_panel, predictions_over_time

SPIKES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=40)


@given(SPIKES, st.integers(0, 60))
def test_predictions_over_time_are_those_of_the_counts_so_far(spikes: list[tuple[int, int]], at_us: int) -> None:
    t_us = np.array([t for t, _ in spikes], np.int64)
    neurons = np.array([neuron for _, neuron in spikes], np.int64)
    order = np.argsort(t_us, kind="stable")
    changes = predictions_over_time(Answered("emulator", t_us, neurons))
    assume(all(changed_us != at_us for changed_us, _ in changes))
    counts = np.bincount(neurons[order][t_us[order] <= at_us], minlength=4)[None]
    before = [prediction for changed_us, prediction in changes if changed_us <= at_us]
    assert (before[-1] if before else -1) == answers(counts)[0]


def test_two_runs_are_drawn_over_each_other_and_the_label_is_marked() -> None:
    runs = [Answered(name, np.array([10, 50]), np.array([1, 2])) for name in ("quantised", "emulator")]
    raster = output_panel(runs, 4, label=2, duration_us=100)
    assert raster.title == "output spikes by neuron: quantised 2 (blue, upper half), emulator 2 (brown, lower half)"
    assert 'class="label"' in raster.drawing
    decisions = decision_panel(runs, label=2, duration_us=100)
    assert "quantised: 1 from 0.01 ms on, after 0 changes" in decisions.drawing
    assert 'class="decision miss"' in decisions.drawing
