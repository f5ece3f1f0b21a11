"""Recordings: what is written is what is read, old files stay readable, and parts join to the whole."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.ir.recording import (
    SPIKE,
    VERSION,
    LayerActivity,
    Recording,
    join,
    load_recording,
    read_recording,
    save_recording,
    write_recording,
)


def recording(samples: int, seed: int = 0, kept: int = 2) -> Recording:
    rng = np.random.default_rng(seed)
    spikes = np.zeros(5 * min(kept, samples), SPIKE)
    spikes["sample"] = np.repeat(np.arange(min(kept, samples)), 5)
    return Recording(
        rung="emulator",
        samples=tuple(f"s{i}" for i in range(samples)),
        labels=np.arange(samples),
        outputs=("fc",),
        counts={"conv": rng.integers(0, 300, (samples, 2, 3, 3)), "fc": rng.integers(0, 9, (samples, 4, 1, 1))},
        synops=rng.integers(0, 10**6, samples),
        spikes={"fc": spikes} if len(spikes) else {},
        aliases={"if": "fc"},
        durations_us=rng.integers(1, 10**6, samples),
        activity={
            "conv": LayerActivity(3, rng.integers(0, 70_000, (2, 3, 3)), None, (-5, 900)),
            "fc": LayerActivity(0, None, (-int(rng.integers(0, 99)), 7), None),
        },
        perturbation="drop=1% seed 0 repeat 0",
    )


def stored(value: Recording) -> bytes:
    buffer = io.BytesIO()
    write_recording(value, buffer)
    return buffer.getvalue()


@settings(max_examples=20)
@given(st.integers(0, 5), st.integers(0, 9))
def test_round_trip(samples: int, seed: int) -> None:
    once = stored(recording(samples, seed))
    again = read_recording(io.BytesIO(once), "here")
    assert stored(again) == once
    assert again.activity["conv"].bound == (-5, 900)
    assert again.activity["conv"].reached is None
    assert again.activity["fc"].updates is None


def test_columns_of_version_1_are_still_read(tmp_path: Path) -> None:
    save_recording(recording(3), tmp_path)
    with np.load(tmp_path / "recording.npz") as archive:
        columns = {name: archive[name] for name in archive.files}
    new = ("weights_above/", "updates/", "reached/", "bound/")
    old = {
        name: array
        for name, array in columns.items()
        if name not in ("version", "durations_us", "perturbation", "potentials") and not name.startswith(new)
    }
    np.savez_compressed(tmp_path / "recording.npz", **old)
    found = load_recording(tmp_path)
    assert np.array_equal(found.counts["conv"], recording(3).counts["conv"])
    assert len(found.durations_us) == 0
    assert not found.activity
    assert found.perturbation == ""


def test_newer_columns_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "recording.npz", version=np.array(VERSION + 1))
    with pytest.raises(ArtifactError, match=f"columns of version {VERSION + 1}"):
        load_recording(tmp_path)


def test_potentials_answer_where_no_spikes_do(tmp_path: Path) -> None:
    potentials = np.array([[0.5, -1.0, 0.25], [-2.0, -1.0, -3.0]], np.float32)
    answered = replace(recording(2), outputs=(), potentials=potentials)
    assert answered.predictions.tolist() == [0, 1]
    assert answered.classes == 3
    save_recording(answered, tmp_path)
    assert np.array_equal(load_recording(tmp_path).potentials, potentials)
    assert np.array_equal(join([answered, answered]).potentials, np.concatenate([potentials, potentials]))


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
    assert whole.activity["fc"].reached == (min(low for low, _ in lows if low is not None), 7)  # type: ignore[misc]


def test_one_part_is_the_whole() -> None:
    assert stored(join([recording(4)])) == stored(recording(4))


def test_a_rung_that_is_none_is_damage() -> None:
    columns = dict(np.load(io.BytesIO(stored(recording(2)))))
    buffer = io.BytesIO()
    np.savez(buffer, **(columns | {"rung": np.array("stairs")}))
    with pytest.raises(ArtifactError, match="no rung is called 'stairs'"):
        read_recording(io.BytesIO(buffer.getvalue()), "a.npz")
