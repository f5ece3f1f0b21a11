"""AEDAT 3.1, of cAER, in which DVS128 Gesture was recorded: a text header, then packets of one type of events each.

A packet begins with 28 bytes: type and source (16 bits each), then in 32 bits each the bytes of an event, where in it
its time is, how often the 31 bits of times overflowed, and how many events there is room for, there are, and are valid.
Events of pixels are type 1: 32 bits with a mark of validity in bit 0, polarity in bit 1, y in bits 2..16 and x in bits
17..31, then 32 bits of time. Specification: docs.inivation.com, "AEDAT 3.1".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.data.formats.reading import RawEvents, Reading

HEADER_END: Final = b"#!END-HEADER\r\n"
PACKET: Final = struct.Struct("<hhiiiiii")
POLARITY: Final = 1
WORD: Final = np.dtype([("data", "<u4"), ("t", "<i4")])
TIME_BITS: Final = 31


def read(path: Path, _: Reading) -> RawEvents:
    """The pixel events in the file ``path``. Raises InputError if it is damaged or cut short."""
    content = path.read_bytes()
    start = content.find(HEADER_END)
    if start < 0:
        raise InputError(str(path), "its header has no end", "an AEDAT 3.1 file", "Copy it again.")
    packets = list(_packets(content, start + len(HEADER_END), str(path)))
    t = np.concatenate([np.empty(0, np.int64), *(times for times, _ in packets)])
    data = np.concatenate([np.empty(0, np.uint32), *(words for _, words in packets)])
    return RawEvents(t, data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1)


def _packets(content: bytes, at: int, name: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint32]]]:
    """(times in us, words of data) of the valid pixel events, packet by packet, from byte ``at`` on."""
    while at < len(content):
        if len(content) - at < PACKET.size:
            raise InputError(name, "ends inside a packet header", "an AEDAT 3.1 file", "The file was cut short.")
        kind, _, size, _, ran_over, room, number, _ = PACKET.unpack_from(content, at)
        at += PACKET.size
        if not (0 <= number <= room and size > 0) or at + room * size > len(content):
            found = f"a packet of {number} events of {size} bytes, {len(content) - at} bytes before the end"
            raise InputError(name, found, "an AEDAT 3.1 file", "The file was cut short, or is damaged.")
        if kind == POLARITY and size == WORD.itemsize:
            words = np.frombuffer(content, WORD, number, at)
            words = words[words["data"] & 1 == 1]
            yield words["t"].astype(np.int64) + (ran_over << TIME_BITS), words["data"]
        at += room * size
