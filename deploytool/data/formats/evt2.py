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
    """The events of ``words`` (N,), and the last high part of the time. Arguments are those of `stated_times`."""
    chosen, t, after = stated_times(words, high)
    events = words[chosen]
    return RawEvents(t, events >> 11 & 0x7FF, events & 0x7FF, events >> 28), after


def stated_times(words: NDArray[np.uint32], high: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(index of each event in ``words``, its time in us, the last high part of the time).

    ``high`` is the high part of the time before ``words``, without overflow, -1 if there was none; events before the
    first one are left out.
    """
    kinds = words >> 28
    states_high = kinds == TIME_HIGH
    highs = unwound((words[states_high] & 0x0FFF_FFFF).astype(np.int64), HIGH_BITS, high)
    chosen = np.flatnonzero(kinds < 2)
    of_event = np.concatenate([[high], highs])[np.cumsum(states_high, dtype=np.int32)[chosen]]
    if high < 0:
        chosen, of_event = chosen[of_event >= 0], of_event[of_event >= 0]
    t = (of_event << 6) + (words[chosen] >> 22 & 0x3F)
    return chosen, t, int(highs[-1]) if len(highs) else high
