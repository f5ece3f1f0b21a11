"""The .bin files of N-MNIST and N-Caltech101: five bytes per event, x, y, then 24 bits, the highest first.

Of these, bit 23 is the polarity (1 = ON) and bits 22..0 are the time in microseconds. What looks like an event in row
240, of which the sensor has no more than 240, says that the clock overflowed: later times are 2^13 us later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.parts import START, Part, Parts, Place, words_in
from deploytool.data.formats.reading import RawEvents, Reading

BYTES_PER_EVENT: Final = 5
OVERFLOW_ROW: Final = 240
OVERFLOW_US: Final = 2**13


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``. Raises InputError if it is empty or ends inside an event."""
    size = path.stat().st_size
    if not size or size % BYTES_PER_EVENT:
        raise InputError(
            str(path),
            f"{size} bytes",
            f"a positive multiple of {BYTES_PER_EVENT} bytes, one event each",
            "The file was cut short or is of another format.",
        )
    overflows = place.knows[0] if place.knows else 0
    for at, data in words_in(path, 0, np.dtype((np.uint8, BYTES_PER_EVENT)), place.at):
        x, y, high, middle, low = data.T
        t = (high & 0x7F).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
        over = y == OVERFLOW_ROW
        after = overflows + int(np.count_nonzero(over))
        if after:
            t += (overflows + np.cumsum(over)) * OVERFLOW_US
            t, x, y, high = (column[~over] for column in (t, x, y, high))
        yield Part(RawEvents(t, x, y, high >> 7), Place(at, (overflows,)))
        overflows = after
