"""Event Stream, version 2, of faery and event_stream: the type of events, the size of the sensor, then bytes.

A DVS event is 5 bytes: the time since the event before (7 bits) and the polarity (the lowest bit), then x and y in 16
bits each; a byte 255 in place of the first adds 127 us, a byte 254 nothing. An ATIS event has 6 bits of time, the
polarity and a mark of exposure; bytes from 252 on add 63 us for each that they are above 252. Rows count from below.
Specification: github.com/neuromorphic-paris/event_stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.data.formats.parts import PART_EVENTS, START, Part, Parts, Place
from deploytool.data.formats.reading import RawEvents, Reading

MAGIC: Final = b"Event Stream"
TYPES: Final = ("generic messages", "DVS events", "ATIS events", "display events", "color events")
DVS, ATIS = 1, 2
HEADER: Final = 20
BYTES_PER_EVENT: Final = 5
BLOCK: Final = PART_EVENTS * BYTES_PER_EVENT
"""Number of bytes read at a time."""
MARKS: Final = {DVS: 254, ATIS: 252}
"""No event starts with this byte or a larger one."""


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The pixel events in the file ``path``. Raises InputError for other events, or if it is cut short."""
    with path.open("rb") as file:
        kind, sensor = _header(file.read(HEADER), str(path))
        at, t = place if place.knows else (HEADER, (0,))
        file.seek(at)
        rest = b""
        while read := file.read(BLOCK):
            data = np.frombuffer(rest + read, np.uint8)
            firsts = np.concatenate([np.empty(0, np.int64), *_firsts(data, MARKS[kind])])
            end = len(data)
            if len(firsts) and firsts[-1] + BYTES_PER_EVENT > end:
                end, firsts = int(firsts[-1]), firsts[:-1]
            events, after = _events(data[:end], firsts, kind, sensor, *t)
            yield Part(events, Place(at, t))
            at, t, rest = at + end, (after,), data[end:].tobytes()
    if rest:
        raise InputError(str(path), "ends inside an event", "5 bytes per event", "The file was cut short.")


def _header(head: bytes, name: str) -> tuple[int, tuple[int, int]]:
    """(type of events, (height, width)) of the file ``name`` with this ``head``. Raises InputError for other events."""
    kind = head[15] if len(head) == HEADER else -1
    if head[12:13] != b"\x02" or kind not in MARKS:
        found = TYPES[kind] if 0 <= kind < len(TYPES) else "events of an unknown type"
        version = ".".join(map(str, head[12:15]))
        need = "DVS or ATIS events of version 2, which have pixels"
        raise InputError(name, f"an Event Stream of version {version} with {found}", need)
    width, height = np.frombuffer(head, "<u2", 2, 16).tolist()
    return kind, (height, width)


def _firsts(data: NDArray[np.uint8], mark: int) -> Iterator[NDArray[np.int64]]:
    """The positions where events begin, one part at a time; between two marks events are contiguous."""
    at, step = 0, 64
    while at < len(data):
        if data[at] >= mark:
            at += 1
            continue
        heads = data[at : at + step * BYTES_PER_EVENT : BYTES_PER_EVENT] >= mark
        number = int(np.argmax(heads)) if heads.any() else len(heads)
        yield at + BYTES_PER_EVENT * np.arange(number)
        at += BYTES_PER_EVENT * number
        step = min(2 * step, 1 << 16) if number == len(heads) else max(4, 2 * number)


def _events(
    data: NDArray[np.uint8], firsts: NDArray[np.int64], kind: int, sensor: tuple[int, int], start_us: int
) -> tuple[RawEvents, int]:
    """The pixel events that begin at ``firsts``, and the time after ``data``, which begins at ``start_us``.

    A time is the sum of the steps in the events and in the bytes between them.
    """
    head = data[firsts]
    since = np.zeros(len(data), np.int64)
    between = np.ones(len(data), np.bool_)
    between[(firsts[:, None] + np.arange(BYTES_PER_EVENT)).ravel()] = False
    marks = data[between].astype(np.int64)
    since[between] = 127 * (marks == 255) if kind == DVS else 63 * (marks - 252)
    since[firsts] = head >> (1 if kind == DVS else 2)
    since[:1] += start_us
    times = np.cumsum(since)
    t = times[firsts]
    x, y = (data[firsts + low] | data[firsts + low + 1].astype(np.uint16) << 8 for low in (1, 3))
    y = sensor[0] - 1 - y.astype(np.int32)
    p = head & 1 if kind == DVS else head >> 1 & 1
    kept = np.ones(len(firsts), np.bool_) if kind == DVS else head & 1 == 0
    return RawEvents(t[kept], x[kept], y[kept], p[kept], sensor=sensor), int(times[-1]) if len(times) else start_us
