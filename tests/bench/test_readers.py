"""The event files of the benchmark hold what they were made from, and its figures are of all formats it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploytool.bench.speed import readers
from deploytool.bench.speed.recordings import WRITERS, columns
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.formats.recording import read_whole
from deploytool.data.formats.table import FORMATS, format_of

SIZES = {"aedat2": (260, 346), "bin": (34, 34)}
"""(H, W) of the cameras of formats that allow no other."""


@pytest.mark.parametrize("kind", WRITERS)
def test_files_hold_what_they_were_made_from(tmp_path: Path, kind: str) -> None:
    found = columns(6000)
    height, width = SIZES.get(kind, (readers.HEIGHT, readers.WIDTH))
    path = tmp_path / f"a{FORMATS[kind].suffixes[0]}"
    WRITERS[kind](path, found)
    assert format_of(path) is FORMATS[kind]
    events = read_whole(path, FORMATS[kind], AT_CLOCK, (2, height, width)).events
    assert np.array_equal(events["x"], found.x % width)
    assert np.array_equal(events["y"], found.y % height)
    assert np.array_equal(events["c"], found.p)
    if kind != "bin":
        assert np.array_equal(events["t"], found.t)


def test_every_format_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "EVENTS", 6000)
    monkeypatch.setattr(readers, "LONG", {"dat": 6000})
    tables = readers.readers()
    assert [row["format"] for row in tables["speed"]] == list(WRITERS)
    assert all(row["M events/s"] > 0 and row["x time of np.fromfile"] > 0 for row in tables["speed"])
    assert [(row["format"], row["events"]) for row in tables["memory"]] == [("dat", 6000)]
