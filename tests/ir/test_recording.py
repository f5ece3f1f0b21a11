"""Recordings: their answers, and parts that join to the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from helpers.recordings import recording, stored

from deploytool.ir.recording import join
from deploytool.ir.recording_file import load_recording, save_recording


def test_potentials_answer_where_no_spikes_do(tmp_path: Path) -> None:
    potentials = np.array([[0.5, -1.0, 0.25], [-2.0, -1.0, -3.0]], np.float32)
    answered = replace(recording(2), outputs=(), potentials=potentials)
    assert answered.predictions.tolist() == [0, 1]
    assert answered.classes == 3
    save_recording(answered, tmp_path)
    assert np.array_equal(load_recording(tmp_path).potentials, potentials)
    assert np.array_equal(join([answered, answered]).potentials, np.concatenate([potentials, potentials]))


def test_a_recording_of_one_layer_has_no_answers(tmp_path: Path) -> None:
    partial = replace(recording(3), outputs=(), synops=np.zeros(0))
    assert partial.classes == 0
    assert partial.predictions.tolist() == [-1, -1, -1]
    assert partial.output_counts.shape == (3, 0)
    assert [each.tolist() for each in partial.answer(0)] == [[], []]
    save_recording(partial, tmp_path)
    assert len(load_recording(tmp_path).synops) == 0
    assert len(join([partial, partial]).synops) == 0


def test_parts_join_to_the_whole() -> None:
    first, second = recording(2, seed=1), recording(3, seed=2)
    whole = join([first, second])
    assert whole.samples == ("s0", "s1", "s0", "s1", "s2")
    assert np.array_equal(whole.counts["conv"][2:], second.counts["conv"])
    assert whole.spikes["fc"]["sample"].tolist() == [i for i in range(4) for _ in range(5)]
    assert np.array_equal(whole.durations_us, np.concatenate([first.durations_us, second.durations_us]))
    updates = [part.activity["conv"].updates for part in (first, second, whole)]
    assert np.array_equal(updates[0] + updates[1], updates[2])  # type: ignore[operator]
    lows = [part.activity["fc"].reached for part in (first, second)]
    assert np.array_equal(whole.decisions_us, np.concatenate([first.decisions_us, second.decisions_us]))
    assert whole.load["conv.0"].synops == first.load["conv.0"].synops + second.load["conv.0"].synops
    assert whole.load["conv.0"].busiest_10ms == max(part.load["conv.0"].busiest_10ms for part in (first, second))
    assert whole.activity["fc"].reached == (min(low for low, _ in lows if low is not None), 7)  # type: ignore[misc]


def test_one_part_is_the_whole() -> None:
    assert stored(join([recording(4)])) == stored(recording(4))
