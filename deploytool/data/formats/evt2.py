"""Prophesee EVT 2.0: 32-bit words, the highest four bits of which are their kind.

A word of kind 0 (OFF) or 1 (ON) is an event: six low bits of its time, eleven bits of x, eleven of y. A word of kind 8
states the 28 high bits of the time of the events after it. Time runs over after 2^34 us, nearly five hours.
Specification: docs.prophesee.ai, "EVT 2.0 Format".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.data.formats.parts import START, Part, Parts, Place, words_in
from deploytool.data.formats.prophesee import header_in, refuse_without_events, unwound
from deploytool.data.formats.reading import RawEvents, Reading

TIME_HIGH: Final = 8
HIGH_BITS: Final = 28
WORD: Final = np.dtype("<u4")


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``. Raises InputError if it is cut short, or has words but no event."""
    header = header_in(path)
    high, events, end = place.knows[0] if place.knows else -1, 0, place.at
    for at, words in words_in(path, header.end, WORD, place.at):
        found, after = decode(words, high)
        yield Part(replace(found, sensor=header.sensor), Place(at, (high,)))
        high, events, end = after, events + len(found), at + len(words)
    if place == START:
        refuse_without_events(path, header, end, events)


def decode(words: NDArray[np.uint32], high: int = -1) -> tuple[RawEvents, int]:
    """The events of ``words`` (N,), without those before the first high part of the time, and the last high part.

    ``high`` is the unwrapped high part of the time before them, -1 if there was none.
    """
    kinds = words >> 28
    states_high, is_event = kinds == TIME_HIGH, kinds < 2
    highs = unwound((words[states_high] & 0x0FFF_FFFF).astype(np.int64), HIGH_BITS, high)
    of_event = np.concatenate([[high], highs])[np.cumsum(states_high, dtype=np.int32)[is_event]]
    timed = of_event >= 0
    events, kind = words[is_event][timed], kinds[is_event][timed]
    t = (of_event[timed] << 6) + (events >> 22 & 0x3F)
    after = int(highs[-1]) if len(highs) else high
    return RawEvents(t, events >> 11 & 0x7FF, events & 0x7FF, kind), after
