"""Event files of any length for benchmarks, as a camera writes them: several events of a row at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array

WIDTH, HEIGHT = 1280, 720
ROW_EVENTS: Final = 6
"""Events of one row at one time, adjacent pixels among them."""
STEP_US: Final = 2
"""Time from one row to the next."""


class Columns(NamedTuple):
    """N events, ``t`` in microseconds, and of which every `ROW_EVENTS` are of one row, one time and one polarity."""

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    p: NDArray[np.int64]


def columns(number: int, seed: int = 0) -> Columns:
    """About ``number`` events of a camera of `HEIGHT` x `WIDTH` pixels."""
    rng = np.random.default_rng(seed)
    rows = number // ROW_EVENTS
    first = rng.integers(0, WIDTH - 2 * ROW_EVENTS, rows)
    x = first[:, None] + np.cumsum(rng.integers(1, 3, (rows, ROW_EVENTS)), axis=1)
    t, y, p = STEP_US * np.arange(rows), rng.integers(0, HEIGHT, rows), rng.integers(0, 2, rows)
    return Columns(np.repeat(t, ROW_EVENTS), x.ravel(), np.repeat(y, ROW_EVENTS), np.repeat(p, ROW_EVENTS))


def _dat(path: Path, found: Columns) -> None:
    t, x, y, p = found
    words = np.stack([t % 2**32, p << 28 | y << 14 | x], axis=1).astype("<u4")
    head = f"% Data file containing CD events\n% Version 2\n% Width {WIDTH}\n% Height {HEIGHT}\n".encode()
    path.write_bytes(head + bytes([12, 8]) + words.tobytes())


def _evt2(path: Path, found: Columns) -> None:
    """A word with the high part of the time for each row."""
    t, x, y, p = found
    events = p << 28 | (t & 63) << 22 | x << 11 | y
    highs = 8 << 28 | t[::ROW_EVENTS] >> 6
    words = np.concatenate([highs[:, None], events.reshape(-1, ROW_EVENTS)], axis=1).astype("<u4")
    path.write_bytes(f"% evt 2.0\n% geometry {WIDTH}x{HEIGHT}\n% end\n".encode() + words.tobytes())


def _evt3(path: Path, found: Columns) -> None:
    """Time and row, then half of the rows as events, half as a base and a vector of 12 pixels."""
    t, x, y, p = (column.reshape(-1, ROW_EVENTS) for column in found)
    stated = [8 << 12 | t[:, :1] >> 12 & 0xFFF, 6 << 12 | t[:, :1] & 0xFFF, y[:, :1]]
    singles = np.concatenate([*stated, 2 << 12 | p << 11 | x], axis=1)[::2]
    bits = (1 << x - x[:, :1]).sum(axis=1, keepdims=True)
    vectors = np.concatenate([*stated, 3 << 12 | p[:, :1] << 11 | x[:, :1], 4 << 12 | bits], axis=1)[1::2]
    pairs = min(len(singles), len(vectors))
    words = np.concatenate([singles[:pairs], vectors[:pairs]], axis=1).astype("<u2")
    path.write_bytes(f"% evt 3.0\n% geometry {WIDTH}x{HEIGHT}\n% end\n".encode() + words.tobytes())


def _aedat2(path: Path, found: Columns) -> None:
    """Of a DAVIS346."""
    address = 259 - found.y % 260 << 22 | 345 - found.x % 346 << 12 | found.p << 11
    head = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS346blue\r\n#End Of ASCII Header\r\n"
    path.write_bytes(head + np.stack([address, found.t], axis=1).astype(">u4").tobytes())


def _bin(path: Path, found: Columns) -> None:
    """On 34x34 pixels, with times that fit the 23 bits of the format."""
    t = found.t * (2**23 - 1) // int(found.t[-1])
    high = found.p << 7 | t >> 16
    rows = np.stack([found.x % 34, found.y % 34, high, t >> 8 & 0xFF, t & 0xFF], axis=1)
    path.write_bytes(rows.astype(np.uint8).tobytes())


def _npy(path: Path, found: Columns) -> None:
    with path.open("wb") as file:
        np.save(file, _structured(found))


def _npz(path: Path, found: Columns) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **found._asdict())


def _structured(found: Columns) -> Array:
    events = np.empty(len(found.t), [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    for name, column in found._asdict().items():
        events[name] = column
    return events


def _table(path: Path, found: Columns) -> None:
    lines = (f"{t},{x},{y},{p}\n" for t, x, y, p in zip(*(column.tolist() for column in found), strict=True))
    path.write_text("t,x,y,p\n" + "".join(lines))


WRITERS: Final[Mapping[str, Callable[[Path, Columns], None]]] = MappingProxyType(
    {
        "dat": _dat,
        "evt2": _evt2,
        "evt3": _evt3,
        "aedat2": _aedat2,
        "bin": _bin,
        "npy": _npy,
        "npz": _npz,
        "table": _table,
    }
)
"""What writes a file of each format, called as in FORMATS."""
