"""AEDAT 3.1, of cAER, in which DVS128 Gesture was recorded: a text header, then packets of one type of events each.

A packet begins with 28 bytes: type and source (16 bits each), then in 32 bits each the bytes of an event, where in it
its time is, how often the 31 bits of times overflowed, and how many events there is room for, there are, and are valid.
Events of pixels are type 1: 32 bits with a mark of validity in bit 0, polarity in bit 1, y in bits 2..16 and x in bits
17..31, then 32 bits of time. Specification: docs.inivation.com, "AEDAT 3.1".
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.parts import START, Part, Parts, Place, gathered
from deploytool.data.formats.reading import RawEvents, Reading

HEADER_END: Final = b"#!END-HEADER\r\n"
PACKET: Final = struct.Struct("<hhiiiiii")
POLARITY: Final = 1
WORD: Final = np.dtype([("data", "<u4"), ("t", "<i4")])
TIME_BITS: Final = 31
HEADER_MAX: Final = 1 << 20
"""Number of leading bytes that are searched for the end of the header."""


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The pixel events in the file ``path``. Raises InputError if it is damaged or cut short."""
    yield from gathered(_packets(path, place.at))


def _packets(path: Path, at: int) -> Parts:
    """The valid pixel events, packet by packet, from byte ``at`` on; 0 is the header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = at or _header_end(file, str(path))
        while at < size:
            file.seek(at)
            header = file.read(PACKET.size)
            if len(header) < PACKET.size:
                raise InputError(
                    str(path), "ends inside a packet header", "an AEDAT 3.1 file", "The file was cut short."
                )
            kind, _, bytes_each, _, ran_over, room, number, _ = PACKET.unpack(header)
            end = at + PACKET.size + room * bytes_each
            if not (0 <= number <= room and bytes_each > 0) or end > size:
                found = (
                    f"a packet of {number} events of {bytes_each} bytes, {size - at - PACKET.size} bytes before the end"
                )
                raise InputError(str(path), found, "an AEDAT 3.1 file", "The file was cut short, or is damaged.")
            if kind == POLARITY and bytes_each == WORD.itemsize:
                words = np.fromfile(file, WORD, number)
                words = words[words["data"] & 1 == 1]
                t, data = words["t"].astype(np.int64) + (ran_over << TIME_BITS), words["data"]
                yield Part(RawEvents(t, data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1), Place(at))
            at = end


def _header_end(file: BinaryIO, name: str) -> int:
    """The position after the header of the ``file`` called ``name``. Raises InputError if its end is missing."""
    head = file.read(HEADER_MAX)
    end = head.find(HEADER_END)
    if end < 0:
        raise InputError(name, "its header has no end", "an AEDAT 3.1 file", "Copy it again.")
    return end + len(HEADER_END)
