"""Prophesee EVT 2.0: 32-bit words, the highest four bits of which are their kind.

A word of kind 0 (OFF) or 1 (ON) is an event: six low bits of its time, eleven bits of x, eleven of y. A word of kind 8
states the 28 high bits of the time of the events after it. Time runs over after 2^34 us, nearly five hours.
Specification: docs.prophesee.ai, "EVT 2.0 Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.data.formats.prophesee import CHUNK, header_in, joined, unwound, words_in
from deploytool.data.formats.reading import RawEvents, Reading

TIME_HIGH: Final = 8
HIGH_BITS: Final = 28


def read(path: Path, _: Reading) -> RawEvents:
    """The events in the file ``path``. Raises InputError if it is cut short, or has words but no event."""
    header = header_in(path)
    words = words_in(path, header, np.dtype("<u4"))
    return joined(path, header, len(words), decoded(words))


def decoded(words: NDArray[np.uint32], chunk: int = CHUNK) -> Iterator[RawEvents]:
    """The events of ``words`` (N,), ``chunk`` words at a time, without those before the first high part of the time."""
    high = -1
    for start in range(0, len(words), chunk):
        part = words[start : start + chunk]
        kinds = part >> 28
        states_high, is_event = kinds == TIME_HIGH, kinds < 2
        highs = unwound((part[states_high] & 0x0FFF_FFFF).astype(np.int64), HIGH_BITS, high)
        of_event = np.concatenate([[high], highs])[np.cumsum(states_high, dtype=np.int32)[is_event]]
        timed = of_event >= 0
        events, kind = part[is_event][timed], kinds[is_event][timed]
        t = (of_event[timed] << 6) + (events >> 22 & 0x3F)
        yield RawEvents(t, events >> 11 & 0x7FF, events & 0x7FF, kind)
        high = int(highs[-1]) if len(highs) else high
