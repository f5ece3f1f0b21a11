"""A recording read in parts: the same events as in one piece, and spans of time from where they begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import event_files
from helpers.event_files import Row

from deploytool.base.errors import InputError
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.recording import EventFile, read_whole
from deploytool.data.formats.table import FORMATS

WRITERS = {
    "dat": event_files.dat,
    "evt2": event_files.evt2,
    "evt3": event_files.evt3,
    "evt21": event_files.evt21,
    "aedat2": event_files.aedat2,
    "es": event_files.event_stream,
    "aedat3": lambda found: event_files.aedat3([found[at : at + 999] for at in range(0, len(found), 999)]),
}
SHAPE = (2, 200, 300)
LONG = 100_000
"""Events of a file that is read in several parts."""


def rows(number: int = LONG, seed: int = 0, gap_us: int = 300) -> list[Row]:
    """Random events, several of them at the same time."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(0, gap_us, number) // 2) + 5000
    columns = (t, rng.integers(0, 300, number), rng.integers(0, 200, number), rng.integers(0, 2, number))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def long_file(folder: Path, name: str) -> EventFile:
    """A file of the format ``name``, with `rows`."""
    path = folder / f"long.{name}"
    path.write_bytes(WRITERS[name](rows()))
    return EventFile(path, FORMATS[name], shape=SHAPE)


@pytest.mark.parametrize("name", WRITERS)
def test_parts_are_the_file(tmp_path: Path, name: str) -> None:
    file = long_file(tmp_path, name)
    parts = list(file.parts())
    assert len(parts) > 2
    events = np.concatenate(parts)
    wanted = np.array(rows())
    assert np.array_equal(events["t"], wanted[:, 0] - wanted[0, 0])
    assert np.array_equal(events["x"], wanted[:, 1])
    assert np.array_equal(events["y"], wanted[:, 2])
    assert np.array_equal(events["c"], wanted[:, 3])
    assert file.duration_us == events["t"][-1] + 1
    assert file.seen.extent == SHAPE
    assert np.array_equal(events, read_whole(file.path, FORMATS[name], AS_IT_IS, SHAPE).events)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("scanned", [True, False])
def test_a_span_is_what_is_in_it(tmp_path: Path, name: str, scanned: bool) -> None:
    file = long_file(tmp_path, name)
    events = file.between()
    if not scanned:
        file = EventFile(file.path, FORMATS[name], shape=SHAPE)
    t = events["t"]
    firsts = [int(part["t"][0]) for part in EventFile(file.path, FORMATS[name], shape=SHAPE).parts()]
    starts = np.random.default_rng(1).integers(0, int(t[-1]), 20).tolist()
    spans = [(start, start + 30_000) for start in [*starts, *firsts]] + [(int(t[-1]), None), (int(t[-1]) + 1, None)]
    for start, end in [*spans, (7, 7), (0, int(t[-1]) + 99)]:
        inside = (t >= start) & (t < (np.inf if end is None else end))
        assert np.array_equal(file.between(start, end), events[inside]), (start, end)


def test_a_span_is_read_from_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = long_file(tmp_path, "dat")
    duration_us = file.duration_us
    read: list[int] = []
    fromfile = np.fromfile

    def counted(*arguments: object) -> np.ndarray:
        read.append(len(words := fromfile(*arguments)))
        return words

    monkeypatch.setattr(np, "fromfile", counted)
    assert len(file.between(duration_us - 1000)) < 100
    assert 0 < sum(read) < LONG / 2


def test_events_of_the_camera_need_no_map(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(event_files.evt2(rows(50), "% evt 2.0\n% geometry 640x480\n% end\n"))
    file = EventFile(path, FORMATS["evt2"])
    assert file.sensor == (480, 640)
    assert file.seen.extent <= (2, 200, 300)
    assert set(np.unique(file.between()["c"])) == {0, 1}
    merged = EventFile(path, FORMATS["evt2"], shape=(1, 480, 640))
    assert set(np.unique(merged.between()["c"])) == {0}
    assert merged.seen.merged


def test_a_file_without_events(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(event_files.dat([]))
    file = EventFile(path, FORMATS["dat"], shape=SHAPE)
    assert list(file.parts()) == []
    assert len(file.between(3, 9)) == 0
    assert (file.duration_us, file.sensor) == (1, None)


def test_times_that_fall_from_part_to_part_are_refused(tmp_path: Path) -> None:
    found = rows()
    path = tmp_path / "a.dat"
    at = 1 << 15  # the first event of the second part
    path.write_bytes(event_files.dat([*found[:at], *((t - 40_000, *rest) for t, *rest in found[at:])]))
    with pytest.raises(InputError, match=f"time goes back at event {at}, from .* us; need events in order of time"):
        EventFile(path, FORMATS["dat"], shape=SHAPE).between()


def test_a_recording_begins_when_its_clock_did(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(event_files.dat(rows(50)))
    absolute = EventFile(path, FORMATS["dat"], Reading(absolute_time=True), SHAPE)
    assert absolute.between()["t"].tolist() == [t for t, *_ in rows(50)]


def test_overflows_of_one_part_count_in_the_next(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    true = np.cumsum(rng.integers(0, 4, LONG))
    x, y = rng.integers(0, 34, (2, LONG))
    rows_of_file: list[Row] = []
    overflows = 0
    for t, column, row in zip(true.tolist(), x.tolist(), y.tolist(), strict=True):
        while t >> 13 > overflows:
            overflows += 1
            rows_of_file.append((0, 0, 240, 0))
        rows_of_file.append((t % 2**13, column, row, t % 2))
    path = tmp_path / "a.bin"
    path.write_bytes(event_files.nbin(rows_of_file))
    file = EventFile(path, FORMATS["bin"], shape=(2, 34, 34))
    assert len(list(file.parts())) > 2
    assert np.array_equal(file.between()["t"], true - true[0])
    late = int(true[-1]) - 5000
    assert np.array_equal(file.between(late)["t"], file.between()["t"][file.between()["t"] >= late])
