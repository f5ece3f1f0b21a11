from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.streams_file import (
    COLUMNS_FILE,
    EVENTS_FILE,
    VERSION,
    TooManyEventsError,
    load_streams,
    save_streams,
)


def stream(number: int, length: int, targets: np.ndarray | None = None) -> EventStream:
    rng = np.random.default_rng(number)
    events = np.zeros(length, EVENT)
    events["t"] = np.sort(rng.integers(0, 1000, length))
    events["c"], events["y"], events["x"] = (rng.integers(0, size, length) for size in (2, 3 + number, 4))
    return EventStream(events, (2, 3 + number, 4), 1000 + number, number - 1, f"a/{number}é", targets)


def assert_equal(found: EventStream, expected: EventStream) -> None:
    assert np.array_equal(found.events, expected.events)
    for name in ("shape", "duration_us", "label", "name"):
        assert getattr(found, name) == getattr(expected, name), name
    assert np.array_equal(found.targets, expected.targets) if expected.targets is not None else found.targets is None


@given(st.lists(st.integers(0, 5), max_size=6), st.booleans())
def test_samples_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], valued: bool
) -> None:
    folder = tmp_path_factory.mktemp("streams")
    values = [np.full((1 + number, 2), number + 0.1, np.float32) if valued else None for number in range(len(lengths))]
    streams = [stream(number, length, values[number]) for number, length in enumerate(lengths)]
    save_streams(streams, folder)
    found = load_streams(folder)
    assert len(found) == len(streams)
    assert found.labels.tolist() == [each.label for each in streams]
    for one, expected in zip(found, streams, strict=True):
        assert_equal(one, expected)
    for one, expected in zip(found[1::2], streams[1::2], strict=True):
        assert_equal(one, expected)


def test_events_are_mapped_not_read_and_cannot_be_changed(tmp_path: Path) -> None:
    save_streams([stream(0, 5), stream(1, 7)], tmp_path)
    found = load_streams(tmp_path)
    assert isinstance(found.events.base, np.memmap)
    assert np.shares_memory(found[1].events, found.events)
    with pytest.raises(ValueError, match="read-only"):
        found[1].events["t"] = 0


def test_more_bytes_than_are_kept_are_not_written(tmp_path: Path) -> None:
    streams = [stream(0, 5), stream(1, 7)]
    save_streams(streams, tmp_path, 12 * EVENT.itemsize)
    with pytest.raises(TooManyEventsError):
        save_streams(streams, tmp_path, 12 * EVENT.itemsize - 1)


def test_damaged_and_newer_files_are_errors(tmp_path: Path) -> None:
    save_streams([stream(0, 5)], tmp_path)
    columns = dict(np.load(tmp_path / COLUMNS_FILE))
    np.savez(tmp_path / COLUMNS_FILE, **{**columns, "version": np.int64(VERSION + 1)})
    with pytest.raises(ArtifactError, match=f"format version {VERSION + 1}"):
        load_streams(tmp_path)
    np.savez(tmp_path / COLUMNS_FILE, **columns)
    (tmp_path / EVENTS_FILE).write_bytes(bytes(4 * EVENT.itemsize))
    with pytest.raises(ArtifactError, match=r"4 events in events\.bin, not 5"):
        load_streams(tmp_path)
    (tmp_path / COLUMNS_FILE).write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="not readable"):
        load_streams(tmp_path)


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        ("ends", np.array([4, 2, 5]), "ends: ends of events in events.bin that do not ascend"),
        ("labels", np.array([0.0, 1.0, 2.0]), "labels: found float64 of shape (3,)"),
        ("shapes", np.array([[2, 3, 0]] * 3), "shapes: found 0 to 3; need integers of 1 to"),
        ("names", np.array(["a"]), "names: found <U1 of shape (1,); need 3 strings"),
        ("durations_us", np.array([[1], [2], [3]]), "durations_us: found int64 of shape (3, 1)"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, name: str, column: np.ndarray, says: str) -> None:
    save_streams([stream(0, 2), stream(1, 2), stream(2, 1)], tmp_path)
    np.savez(tmp_path / COLUMNS_FILE, **{**dict(np.load(tmp_path / COLUMNS_FILE)), name: column})
    with pytest.raises(ArtifactError) as caught:
        load_streams(tmp_path)
    assert f"{tmp_path / COLUMNS_FILE}: {says}" in str(caught.value)


def test_events_that_are_none_are_named_by_their_sample(tmp_path: Path) -> None:
    save_streams([stream(0, 2)], tmp_path)
    (tmp_path / EVENTS_FILE).write_bytes(b"\xff" * 2 * EVENT.itemsize)
    with pytest.raises(ArtifactError, match="sample 0 is none"):
        load_streams(tmp_path)[0]
