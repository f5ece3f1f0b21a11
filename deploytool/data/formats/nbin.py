"""The .bin files of N-MNIST and N-Caltech101: five bytes per event, x, y, then 24 bits, the highest first.

Of these, bit 23 is the polarity (1 = ON) and bits 22..0 are the time in microseconds. What looks like an event in row
240, of which the sensor has no more than 240, says that the clock overflowed: later times are 2^13 us later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.reading import RawEvents, Reading

BYTES_PER_EVENT: Final = 5
OVERFLOW_ROW: Final = 240
OVERFLOW_US: Final = 2**13


def read(path: Path, _: Reading) -> RawEvents:
    """The events in the file ``path``. Raises InputError if it is empty or ends inside an event."""
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % BYTES_PER_EVENT:
        raise InputError(
            str(path),
            f"{len(data)} bytes",
            f"a positive multiple of {BYTES_PER_EVENT} bytes, one event each",
            "The file was cut short or is of another format.",
        )
    x, y, high, middle, low = data.reshape(-1, BYTES_PER_EVENT).T
    t = (high & 0x7F).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
    over = y == OVERFLOW_ROW
    if over.any():
        t += np.cumsum(over) * OVERFLOW_US
        t, x, y, high = (column[~over] for column in (t, x, y, high))
    return RawEvents(t, x, y, high >> 7)
