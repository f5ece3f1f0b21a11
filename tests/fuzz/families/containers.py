"""Files of events in containers: numpy's, MATLAB's and HDF5's, and tables of text."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from tests.fuzz import forged, hostile_columns
from tests.fuzz.families.events import file_of, read_file
from tests.fuzz.family import Family


def _numpy(random: Random) -> tuple[str, bytes]:
    match random.randrange(6):
        case 0:
            return "a.npy", forged.npy(random)
        case 1:
            return "a.npy", hostile_columns.saved(hostile_columns.plain(random))
        case 2:
            return "a.npy", hostile_columns.saved(
                hostile_columns.structured(random, hostile_columns.event_columns(random))
            )
        case 3:
            members = {
                f"{name}.npy": hostile_columns.saved(part)
                for name, part in hostile_columns.event_columns(random).items()
            }
            return "a.npz", forged.zipped(random, members)
        case 4:
            members = {f"{name}.npy": forged.npy(random) for name in "txyp"}
            return "a.npz", forged.zipped(random, members)
    bomb = np.zeros(
        random.choice((10, 1000, 1 << 20) if random.random() < 0.9 else (1 << 26,)),
        random.choice(("|u1", "|b1", "<i2")),
    )
    members = dict.fromkeys(("t.npy", "x.npy", "y.npy", "p.npy"), hostile_columns.saved(bomb))
    return "a.npz", forged.zipped(random, members, random.random() < 0.3)


def _hdf5(random: Random, folder: Path) -> Path:
    path = folder / random.choice(("a.h5", "a.h5", "a.h5", "a.hdf5", "a.mat"))
    made = hostile_columns.Hdf5(random, path)
    try:
        prefix = random.choice(("events/", "events/", "", "davis/left/events", "CD/events", "a/b/c/"))
        if prefix and prefix[-1] != "/":
            array = (
                hostile_columns.plain(random)
                if random.random() < 0.5
                else hostile_columns.structured(random, hostile_columns.event_columns(random))
            )
            made.put(
                prefix,
                array
                if array.dtype.kind != "V" or all(array.dtype[n].kind in "iufb" for n in array.dtype.names or ())
                else hostile_columns.plain(random),
            )
        else:
            for name, part in hostile_columns.event_columns(random).items():
                made.put(prefix + name.replace("/", "_"), part)
        if random.random() < 0.3:
            made.put("ms_to_idx", np.arange(9))
            made.put("t_offset", np.array(random.choice((7, -1, 2**62))))
        if random.random() < 0.3:
            made.attribute("geometry", "640x480", "0x0", "99999999999x1", "9" * 5000 + "x1")
        if random.random() < 0.1:
            made.nested(random.choice((3, 30, 1000)))
        if random.random() < 0.1:
            more = made.group("more")
            for number in range(random.choice((5, 2000))):
                more[str(number)] = made.file if random.random() < 0.5 else number
        if random.random() < 0.1:
            made.put("other/events", hostile_columns.plain(random))
    finally:
        made.close()
    return path


def element(random: Random, kind: int, data: bytes, lies: float = 0.03) -> bytes:
    """An element of a MATLAB file; in some cases its type or its length lies."""
    length = len(data)
    if random.random() < lies:
        kind = random.choice((kind, forged.number(random) % 2**16, random.randrange(20)))
        length = forged.number(random) % 2**32
    if length <= 4 and len(data) <= 4 and random.random() < 0.5 and kind < 2**16:
        return struct.pack("<I", length << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack("<II", kind, length) + data + bytes(-len(data) % 8)


def _matrix(random: Random, name: str, array: np.ndarray[Any, Any]) -> bytes:
    """A variable of a MATLAB file."""
    codes = {
        "|i1": (8, 1),
        "|u1": (9, 2),
        "<i2": (10, 3),
        "<u2": (11, 4),
        "<i4": (12, 5),
        "<f4": (7, 7),
        "<f8": (6, 9),
        "<i8": (14, 12),
    }
    if array.dtype.str not in codes:
        array = array.astype("<f8") if array.dtype.kind in "iufb" else np.zeros(array.shape)
    kind, type_ = codes[array.dtype.str]
    shape = array.shape if array.ndim > 1 else (array.size, 1)
    flags = (
        kind
        if random.random() < 0.95
        else random.choice((1, 2, 3, 4, 5, 16, 17, kind | 1 << 11, forged.number(random) % 2**32))
    )
    dims = (
        [*shape] if random.random() < 0.92 else [forged.number(random) for _ in range(random.choice((0, 1, 2, 3, 40)))]
    )
    parts = [
        element(random, 6, forged.words([flags, 0], "I")),
        element(random, 5, forged.words(dims, "i")),
        element(random, 1, name.encode("utf-8")),
    ]
    if random.random() < 0.97:
        parts.append(element(random, type_, array.tobytes("F")))
    random.shuffle(parts) if random.random() < 0.02 else None
    return element(random, 14, b"".join(parts))


def _struct(random: Random, fields: dict[str, np.ndarray[Any, Any]]) -> bytes:
    wide = random.choice((8, 32, 32, 0, forged.number(random)))
    names = b"".join(name.encode()[:31].ljust(max(0, min(wide, 64)), b"\0") for name in fields)
    parts = [
        element(random, 6, forged.words([2, 0], "I")),
        element(random, 5, forged.words([1, 1], "i")),
        element(random, 1, b"TD"),
        element(random, 5, forged.words([wide], "i")),
        element(random, 1, names),
    ]
    body = b"".join([*parts, *(_matrix(random, "", part) for part in fields.values())])
    found = element(random, 14, body)
    for _ in range(random.choice((0, 0, 0, 3, 2000)) if random.random() < 0.1 else 0):
        inner = [
            *parts[:3],
            element(random, 5, forged.words([8], "i")),
            element(random, 1, b"t".ljust(8, b"\0")),
            found,
        ]
        found = struct.pack("<II", 14, len(b"".join(inner))) + b"".join(inner)
    return found


def _matlab(random: Random) -> tuple[str, bytes]:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + random.choice((b"\0\1IM", b"\0\1IM", b"\0\1IM", b"\1\0MI", b"\0\0\0\0"))
    match random.randrange(5):
        case 0:
            body = b"".join(_matrix(random, name, part) for name, part in hostile_columns.event_columns(random).items())
        case 1:
            body = _struct(random, hostile_columns.event_columns(random))
        case 2:
            body = _matrix(random, "events", hostile_columns.plain(random))
        case 3:
            train = np.random.default_rng(random.getrandbits(32)).integers(-1, 2, (101, random.randrange(50)))
            train = train.astype(random.choice(("<f8", "<f8", "|i1")))
            train[-1] = (
                np.sort(np.abs(train[-1]))
                if random.random() < 0.8
                else float(random.choice(forged.REALS[:3]))
                if train.dtype == "<f8"
                else 1
            )
            body = _matrix(random, "spiketrain", train)
        case _:
            name, shape = random.choice(
                (
                    ("spiketrain", (101, random.choice((9, 9, 9, 1 << 15)))),
                    ("a", (random.choice((9, 9, 9, 1 << 22)), 4)),
                    ("a", (1 << 12, 6)),
                )
            )
            body = _matrix(random, name, np.ones(shape, "|i1"))
    if random.random() < 0.5:
        body = element(random, 15, zlib.compress(body))
    return "a.mat", head + (forged.struck(random, body) if random.random() < 0.1 else body)


def _cell(random: Random) -> str:
    return (
        random.choice((*forged.TEXTS, *forged.REALS, str(forged.number(random))))
        if random.random() < 0.03
        else str(random.randrange(128))
    )


def _table(random: Random) -> tuple[str, bytes]:
    separator = random.choice((",", ",", ";", "\t", " ", "  "))
    names = random.sample(["t", "x", "y", "p"], 4)
    if random.random() < 0.2:
        names[random.randrange(4)] = random.choice((*forged.TEXTS, "timestamp", "c", "t", "x"))
    lines = [random.choice(("", "# ")) + separator.join(names)] if random.random() < 0.8 else []
    lines = [
        "# " + random.choice(forged.TEXTS) * random.choice((1, 1, 1, 300)) for _ in range(forged.some(random, 5000, 1))
    ] + lines
    hostile, t = random.random() < 0.5, 0
    for _ in range(forged.some(random, 4000, 60)):
        t += random.randrange(90)
        cells = [str(t), str(random.randrange(128)), str(random.randrange(128)), str(random.randrange(2))]
        if hostile and random.random() < 0.1:
            cells[random.randrange(4)] = _cell(random)
        if hostile and random.random() < 0.01:
            cells = cells[: random.randrange(5)] + [_cell(random)] * random.choice((0, 1, 5, 40_000))
        lines.append(separator.join(cells))
    text = random.choice(("\n", "\n", "\r\n", "\r")).join(lines) + random.choice(("", "\n"))
    content = text.encode(random.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
    if random.random() < 0.1:
        at = random.randrange(len(content) + 1)
        content = content[:at] + random.choice(forged.BYTES) + content[at:]
    return random.choice(("a.csv", "a.txt", "a.tsv")), content


FAMILIES: Final = (
    Family("events-numpy", file_of(_numpy), read_file),
    Family("events-hdf5", _hdf5, read_file),
    Family("events-matlab", file_of(_matlab), read_file),
    Family("events-table", file_of(_table), read_file),
)
