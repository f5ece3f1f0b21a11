"""Damaged files of every format, with a fixed seed: each is read or refused in sentences, whatever its bytes are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import event_files
from helpers.aedat4 import aedat4

from deploytool.base.errors import DeployError
from deploytool.data.formats.reading import Reading
from deploytool.data.formats.recording import EventFile
from deploytool.data.formats.table import FORMATS, format_of

ROUNDS = 60
MARKS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\x80\0\0\0", b"nan\0")


def rows() -> np.ndarray:
    """(N, 4): times, columns, rows and polarities of events."""
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.integers(0, 60, 200))
    return np.stack([t, rng.integers(0, 200, 200), rng.integers(0, 200, 200), rng.integers(0, 2, 200)], axis=1)


def numpy_file(save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def hdf5_file() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        for name, column in zip("txyp", rows().T, strict=True):
            content.create_dataset(f"events/{name}", data=column, chunks=(50,), compression="gzip")
        content["ms_to_idx"], content["t_offset"] = np.arange(9), 7
    return file.getvalue()


def made() -> dict[str, bytes]:
    """{format: a file of it}."""
    listed = [tuple(row) for row in rows().tolist()]
    columns = dict(zip("txyp", rows().T, strict=True))
    return {
        "dat": event_files.dat(listed),
        "evt2": event_files.evt2(listed),
        "evt21": event_files.evt21(listed),
        "evt3": event_files.evt3(listed),
        "aedat2": event_files.aedat2(listed),
        "aedat3": event_files.aedat3([listed]),
        "aedat4": aedat4(listed),
        "es": event_files.event_stream(listed),
        "bin": event_files.nbin(listed),
        "npy": numpy_file(np.save, np.asfortranarray(rows())),
        "npz": numpy_file(np.savez_compressed, **columns),
        "hdf5": hdf5_file(),
        "table": ("t,x,y,p\n" + "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in listed)).encode(),
    }


MADE = made()


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` with some bits flipped, cut off, added, overwritten, copied to another place, or repeated."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(data) if rng.random() < 0.5 else min(len(data), 400)))
        size, other = int(rng.integers(1, 64)), int(rng.integers(0, len(data)))
        match int(rng.integers(0, 6)):
            case 0:
                data[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                data = data[: at + 1]
            case 2:
                data += rng.bytes(size)
            case 3:
                data[at : at + size] = data[other : other + size]
            case 4:
                mark = MARKS[rng.integers(0, len(MARKS))]
                data[at : at + len(mark)] = mark
            case 5:
                data[at:at] = data[at : at + size]
    return bytes(data)


def test_every_format_is_damaged() -> None:
    assert MADE.keys() == FORMATS.keys() - {"mat"}  # that has its own test, of which scipy makes the files


@pytest.mark.parametrize("kind", MADE)
def test_damaged_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    if library := FORMATS[kind].library:
        pytest.importorskip(library)
    path = tmp_path / f"a{FORMATS[kind].suffixes[0]}"
    reading = Reading(columns="txyp") if kind == "npy" else Reading()
    path.write_bytes(MADE[kind])
    assert len(EventFile(path, FORMATS[kind], reading).between()) == 200
    rng, problems = np.random.default_rng(5), []
    for _ in range(ROUNDS):
        path.write_bytes(damaged(MADE[kind], rng))
        try:
            if found := format_of(path):
                EventFile(path, found, reading).between(100, 2000)
        except DeployError as error:
            problems += error.problems
    assert len(problems) > 5
    assert all(len(problem.splitlines()) == 1 for problem in problems)
