"""Recordings are checked once, kept as far as there is room, and read again in the same way."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.own_recordings import WRITERS, recording, write

from deploytool.base.errors import InputError
from deploytool.data.formats.table import format_of
from deploytool.data.recordings import content as contents
from deploytool.data.recordings.content import content, settled, signature
from deploytool.data.recordings.folder import Folder
from deploytool.data.recordings.reader import Camera, Recordings

CAMERA = Camera(2, (12, 12))


def folder(*paths: Path) -> Folder:
    files = tuple((path, kind) for path in paths if (kind := format_of(path)) is not None)
    return Folder(paths[0].parent, files, (None,) * len(files), ("",) * len(files))


@pytest.fixture
def some(tmp_path: Path) -> Folder:
    return folder(*(write(tmp_path / f"r{number}", recording(number, 0), number) for number in range(len(WRITERS))))


@pytest.mark.parametrize("held", [0, 500, 10_000])
def test_every_format_gives_the_same_events_from_memory_and_from_its_file(some: Folder, held: int) -> None:
    recordings = Recordings(some, CAMERA, held=held)
    assert len(recordings) == len(WRITERS)
    for index in (*range(len(some.files)), 0, 3):
        whole = recording(index, 0)
        assert np.array_equal(recordings.events(index), whole)
        assert recordings.seen[index].duration_us == whole["t"][-1] + 1
        part = whole[(whole["t"] >= 10_000) & (whole["t"] < 30_000)]
        assert np.array_equal(recordings.events(index, 10_000, 30_000), part)


def test_a_recording_that_does_not_fit_leaves_room_for_others(tmp_path: Path) -> None:
    long, short = recording(0, 0, count=900), recording(1, 0, count=100)
    found = folder(write(tmp_path / "a", long), write(tmp_path / "b", short))
    recordings = Recordings(found, CAMERA, held=500)
    for path, _ in found.files:
        path.unlink()
    assert np.array_equal(recordings.events(1), short)
    with pytest.raises(InputError, match=r"a\.npy"):
        recordings.events(0)


def test_one_feature_merges_polarities(some: Folder) -> None:
    for held in (0, 10_000):
        recordings = Recordings(some, Camera(1, (12, 12)), held=held)
        assert all(not recordings.events(index)["c"].any() for index in range(len(some.files)))


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    events = recording(0, 0)
    outside, back = events.copy(), events.copy()
    outside["x"][5] = 12
    back["t"][[3, 4]] = back["t"][[4, 3]] + [0, -1]
    (tmp_path / "c.bin").write_bytes(b"123")
    found = folder(write(tmp_path / "a", outside), write(tmp_path / "b", back), tmp_path / "c.bin")
    with pytest.raises(InputError) as caught:
        Recordings(found, CAMERA)
    one, two, three = caught.value.problems
    assert "event 5 has x = 12" in one
    assert "time goes back at event 4" in two
    assert "3 bytes; need a positive multiple of 5" in three


def test_a_recording_of_another_camera_is_refused_unless_a_person_states_the_camera(tmp_path: Path) -> None:
    head = "% Data file containing CD events.\n% Version 2\n% Height 240\n% Width 304\n"
    from helpers import event_files
    from helpers.own_recordings import rows

    (tmp_path / "a.dat").write_bytes(event_files.dat(rows(recording(0, 0)), head))
    found = folder(tmp_path / "a.dat")
    with pytest.raises(InputError, match=r"a\.dat: a recording of a camera of 240x304 pixels; need one of 12x12\. Do"):
        Recordings(found, Camera(2, (12, 12), todo="Do it."))
    assert len(Recordings(found, Camera(2, (240, 304))).events(0)) == 200
    assert len(Recordings(found, Camera(2, (12, 12), stated=True)).events(0)) == 200


def test_a_file_that_was_written_again_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with the same size and the same time of writing, by which a change is often judged."""
    monkeypatch.setattr(contents, "RACY_NS", 0)
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    before, first = path.stat(), content(path)
    assert content(path) == first
    assert path in contents._DIGESTS
    path.write_bytes(b"54321")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert content(path) != first


def test_a_digest_is_not_kept_of_a_file_that_has_just_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    assert not settled(signature(path))
    content(path)
    assert path not in contents._DIGESTS
