"""Recordings as files: what is written is what is read, old files stay readable, damage is named."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.recordings import recording, stored, with_windows
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.ir import counts
from deploytool.ir.counts import Counts
from deploytool.ir.recording import SPIKE, Setup
from deploytool.ir.recording_file import VERSION, load_recording, open_recording, read_recording, save_recording


@settings(max_examples=20)
@given(st.integers(0, 5), st.integers(0, 9))
def test_round_trip(samples: int, seed: int) -> None:
    once = stored(recording(samples, seed))
    again = read_recording(io.BytesIO(once), "here")
    assert stored(again) == once
    assert again.activity["conv"].bound == (-5, 900)
    assert again.activity["conv"].reached is None
    assert again.activity["fc"].updates is None
    assert again.setup == recording(samples, seed).setup
    assert again.load == recording(samples, seed).load


def test_windows_and_their_decoder_come_back() -> None:
    value = with_windows(recording(4))
    again = read_recording(io.BytesIO(stored(value)), "here")
    assert stored(again) == stored(value)
    assert value.windows is not None
    assert again.windows is not None
    np.testing.assert_array_equal(again.windows.decoded, value.windows.decoded)
    assert read_recording(io.BytesIO(stored(recording(4))), "here").windows is None


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        ("windows/counts", np.zeros((2, 4), int), "sizes that contradict each other .*counts of 2 windows"),
        ("windows/targets", np.zeros((12, 2)), "found float64"),
        ("decoder/reads", np.array("smell"), "found 'smell'; need one of rate, potential"),
        ("decoder/weights", np.full((2, 4), np.nan), "not finite"),
    ],
)
def test_wrong_windows_are_named(name: str, column: np.ndarray, says: str) -> None:
    file = written({**columns_of(4, windows=True), name: column})
    with pytest.raises(ArtifactError, match=says):
        read_recording(file, "a.npz")


@given(st.integers(0, 9), st.integers(1, 60))
def test_counts_in_pieces_come_back(samples: int, piece: int) -> None:
    whole = recording(samples)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "PIECE", piece)
        path, once = Path(folder) / "a.npz", stored(whole)
        path.write_bytes(once)
        for found in (open_recording(path), open_recording(path, in_memory=0), read_recording(io.BytesIO(once), "a")):
            assert {name: maps.tolist() for name, maps in found.counts.items()} == {
                name: maps.tolist() for name, maps in whole.counts.items()
            }
            assert stored(found) == once


def test_pieces_stay_on_disk_and_damage_is_found_when_they_are_read(tmp_path: Path) -> None:
    save_recording(recording(4), tmp_path)
    found = open_recording(tmp_path / "recording.npz", in_memory=0)
    assert isinstance(found.counts["conv"], Counts)
    (tmp_path / "recording.npz").unlink()
    with pytest.raises(ArtifactError, match="counts/conv: not readable"):
        np.asarray(found.counts["conv"])


@pytest.mark.parametrize(
    ("piece", "named"),
    [
        (np.zeros((2, 2, 3, 3)), "found float64"),
        (np.zeros((2, 2, 3, 4), np.uint8), r"found uint8 of shape \(2, 2, 3, 4\)"),
        (np.zeros((3, 2, 3, 3), np.uint8), "counts of 5 samples in all; need 4"),
    ],
)
@pytest.mark.parametrize("in_memory", [0, 1000])
def test_a_wrong_piece_is_named(tmp_path: Path, piece: np.ndarray, named: str, in_memory: int) -> None:
    columns = columns_of(4)
    columns |= {"counts/conv": columns["counts/conv"][:2], "counts+000000002/conv": piece}
    path = tmp_path / "a.npz"
    path.write_bytes(written(columns).getvalue())
    with pytest.raises(ArtifactError, match=rf"a.npz: counts\+000000002/conv: {named}"):
        open_recording(path, in_memory)


def test_a_missing_piece_is_named() -> None:
    columns = columns_of(4)
    columns |= {"counts/conv": columns["counts/conv"][:1], "counts+000000002/conv": columns["counts/conv"][2:]}
    with pytest.raises(ArtifactError, match=r"000000002/conv: counts of other samples; need those from sample 1"):
        read_recording(written(columns), "a.npz")


NEW = ("version", "durations_us", "potentials", "decisions_us", "load", "load_names", "load_layers")
"""Columns of all recordings since version 2."""


def test_columns_of_version_1_are_still_read(tmp_path: Path) -> None:
    save_recording(recording(3), tmp_path)
    with np.load(tmp_path / "recording.npz") as archive:
        columns = {name: archive[name] for name in archive.files}
    new = ("weights_above/", "updates/", "reached/", "bound/")
    old = {
        name: array
        for name, array in columns.items()
        if name not in (*NEW, *vars(Setup())) and not name.startswith(new)
    }
    np.savez_compressed(tmp_path / "recording.npz", **old)
    found = load_recording(tmp_path)
    assert np.array_equal(found.counts["conv"], recording(3).counts["conv"])
    assert len(found.durations_us) == 0
    assert not found.activity
    assert found.setup == Setup()
    assert len(found.decisions_us) == 0
    assert not found.load


def test_newer_columns_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "recording.npz", version=np.array(VERSION + 1))
    with pytest.raises(ArtifactError, match=f"columns of version {VERSION + 1}"):
        load_recording(tmp_path)


WRONG: dict[str, Any] = {
    "rung": "stairs",
    "samples": [1, 2],
    "labels": [0],
    "outputs": ["fc", "other"],
    "synops": [0.5, 1.5],
    "durations_us": [[1, 2]],
    "network": 7,
    "program": [""],
    "arithmetic": "float64",
    "weight_bits": "eight",
    "time_steps": [1],
    "bins": "spikes",
    "perturbation": 7,
    "imported": 7,
    "potentials": [1.0, 2.0],
    "alias_layers": ["fc", "fc"],
    "counts/conv": np.zeros((3, 2, 3, 3), np.uint8),
    "spikes/fc": np.zeros(4),
    "weights_above/fc": [1],
    "updates/conv": np.zeros(3, np.uint8),
    "reached/fc": [1, 2, 3],
    "bound/conv": "high",
    "decisions_us": [5],
    "load_names": ["conv.0"],
    "load_layers": [1.0, 2.0],
    "load": [[1, 2, 3, 4]],
}
NAMED: dict[str, str] = {"outputs": "counts/other", "load_names": "load_layers"}


def written(columns: dict[str, Any]) -> io.BytesIO:
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    buffer.seek(0)
    return buffer


def columns_of(samples: int, windows: bool = False) -> dict[str, Any]:
    value = recording(samples)
    return dict(np.load(io.BytesIO(stored(with_windows(value) if windows else value))))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_column_is_named(name: str) -> None:
    assert name in columns_of(2)
    with pytest.raises(ArtifactError, match=f"^a.npz: {NAMED.get(name, name)}: "):
        read_recording(written(columns_of(2) | {name: np.array(WRONG[name])}), "a.npz")


@pytest.mark.parametrize("name", ["rung", "samples", "labels", "outputs", "synops", "alias_nodes", "alias_layers"])
def test_a_missing_column_is_named(name: str) -> None:
    columns = columns_of(2)
    del columns[name]
    with pytest.raises(ArtifactError, match=f"^a.npz: {name}: missing"):
        read_recording(written(columns), "a.npz")


@settings(max_examples=50)
@given(st.data())
def test_a_damaged_file_is_an_artifact_error_or_still_a_recording(data: st.DataObject) -> None:
    content = bytearray(stored(recording(2)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ArtifactError):
        assert len(read_recording(io.BytesIO(bytes(content)), "a.npz")) == 2


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        ("counts/fc", np.full((3, 4, 1, 1), -1), "counts/fc: found -1 to -1; need integers of 0 to"),
        ("labels", np.array([0, -2, 1]), "labels: found -2 to 1; need integers of -1 to"),
        ("synops", np.full(3, 2**63, np.uint64), "synops: found 9223372036854775808"),
        ("durations_us", np.arange(2), "durations_us: found 2 values; need 3, one for each sample, or none"),
        ("spikes/fc", np.array([(7, 0, 0, 0, 0)], SPIKE), "spikes/fc: found a spike with sample 7; need less than 3"),
        ("spikes/fc", np.array([(0, 0, 4, 0, 0)], SPIKE), "spikes/fc: found a spike with c 4; need less than 4"),
        ("updates/conv", np.zeros((1, 3, 3), np.int64), "updates/conv: found int64 of shape (1, 3, 3)"),
        ("potentials", np.zeros((2, 4), np.float32), "potentials: found those of 2 samples; need 3"),
        ("samples", np.array(["a", "b\ud800", "c"]), "samples: found a string that is no text; need text"),
    ],
)
def test_columns_that_contradict_each_other_are_named(name: str, column: np.ndarray, says: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_recording(written({**columns_of(3), name: column}), "here")
    assert f"here: {says}" in str(caught.value)
