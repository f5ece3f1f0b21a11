"""Prophesee DAT: a text header, a byte for the type of events and one for their size, then 8 bytes per event.

An event is its time in 32 bits, then 32 bits with x, y and polarity; where time falls by nearly 2^32 us, its counter
overflowed. Version 2 has 14 bits of x, 14 of y and the polarity in bit 28; older ones 9 bits of x, 8 of y and the
polarity in bit 17. Specification: docs.prophesee.ai, "DAT File Format".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.parts import START, Part, Parts, Place, words_in
from deploytool.data.formats.prophesee import header_in, unwound
from deploytool.data.formats.reading import RawEvents, Reading

CONTRAST: Final = (0, 12)
"""Types of pixel events: Event2d and EventCd."""
BYTES_PER_EVENT: Final = 8
TIME_BITS: Final = 32
WORD: Final = np.dtype([("t", "<u4"), ("place", "<u4")])


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``. Raises InputError if it holds other than pixel events, or is cut short."""
    header = header_in(path)
    with path.open("rb") as file:
        file.seek(header.end)
        kind = file.read(2)
    if len(kind) < 2 or kind[0] not in CONTRAST or kind[1] != BYTES_PER_EVENT:
        found = f"events of type {kind[0]} and {kind[1]} bytes" if len(kind) == 2 else "nothing after its header"
        raise InputError(str(path), found, f"events of pixels (type 0 or 12) of {BYTES_PER_EVENT} bytes")
    old = header.version is not None and header.version < 2
    last = place.knows[0] if place.knows else -1
    for at, words in words_in(path, header.end + 2, WORD, place.at):
        t, pixel = unwound(words["t"].astype(np.int64), TIME_BITS, last), words["place"]
        if old:
            x, y, p = pixel & 0x1FF, pixel >> 9 & 0xFF, pixel >> 17 & 1
        else:
            x, y, p = pixel & 0x3FFF, pixel >> 14 & 0x3FFF, pixel >> 28 & 1
        yield Part(RawEvents(t, x, y, p, sensor=header.sensor), Place(at, (last,)))
        last = int(t[-1])
