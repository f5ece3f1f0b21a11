"""Prophesee EVT 3.0: 16-bit words, the highest four bits of which are their kind; each states what changed.

    0 row         y of the events after it
    2 event       x, and in bit 11 the polarity
    3 base        x of the vectors after it, and in bit 11 their polarity
    4, 5 vector   a bit for each of 12 (8) pixels from the base on, lowest first; the base moves on by as many
    6 time low    the 12 low bits of the time of the events after it
    8 time high   the 12 high bits; where they change, the low bits are 0 until they are stated

Time runs over after 2^24 us, 16.8 seconds. Specification: docs.prophesee.ai, "EVT 3.0 Format".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.data.formats.parts import START, Part, Parts, Place, words_in
from deploytool.data.formats.prophesee import header_in, refuse_without_events, unwound
from deploytool.data.formats.reading import RawEvents, Reading

Integers: TypeAlias = NDArray[np.int64]

ROW, EVENT, BASE, VECTOR_12, VECTOR_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
HIGH_BITS: Final = 12
WORD: Final = np.dtype("<u2")
PAYLOAD: Final = 0xFFF
PLACE: Final = 0x7FF
LENGTHS: Final = np.array([12 if kind == VECTOR_12 else 8 if kind == VECTOR_8 else 0 for kind in range(16)], np.int32)
"""Pixels per word of each kind."""

POLARITY_AT, ROW_AT, TIME_AT = 21, 22, 33
"""The lowest bits of the fields in an integer that has all that is stated: below them x, then the polarity, the row,
and the number of words so far that state a time."""
X_MASK: Final = (1 << POLARITY_AT) - 1
X_ZERO: Final = 1 << 20
"""Added to x, because a base minus the pixels of all vectors before it can be negative."""
X_MAX: Final = X_ZERO // 2
"""Far outside of any sensor: the largest x that is kept for the next vector."""


class State(NamedTuple):
    """What the words up to some word state, -1 where none does: the high part of the time, without overflow, its low
    part, the row, and x and polarity of the next vector."""

    high: int = -1
    low: int = 0
    row: int = -1
    x: int = -1
    polarity: int = 0


UNSTATED: Final = State()


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``. Raises InputError if it is cut short, or has words but no event."""
    header = header_in(path)
    state, events, end = State(*place.knows), 0, place.at
    for at, words in words_in(path, header.end, WORD, place.at):
        found, after = decode(words, state)
        yield Part(replace(found, sensor=header.sensor), Place(at, state))
        state, events, end = after, events + len(found), at + len(words)
    if place == START:
        refuse_without_events(path, header, end, events)


def decode(words: NDArray[np.uint16], state: State = UNSTATED) -> tuple[RawEvents, State]:
    """The events of ``words`` (N,), 0 < N <= `PART_EVENTS`, that follow ``state``, and the state after them.

    Events before the first time and row are left out, and vectors before the first base.
    """
    kinds = words.view(np.uint8)[1::2] >> np.uint8(4)
    lengths = LENGTHS[kinds]
    moved = np.cumsum(lengths, dtype=np.int64)
    times, high, low = _times(words, kinds, state)
    stated = _stated(words, kinds, moved, state)
    timed_from, row_from, base_from = (
        0 if known >= 0 else int(np.argmax(kinds == kind)) if (kinds == kind).any() else len(words)
        for kind, known in ((TIME_HIGH, state.high), (ROW, state.row), (BASE, state.x))
    )

    at = np.flatnonzero((kinds == EVENT) | (lengths > 0))
    payload, length, of_event = (words[at] & PAYLOAD).astype(np.int64), lengths[at], stated[at]
    single = length == 0
    of_single = of_event & -(1 << ROW_AT) | (payload & PLACE) + X_ZERO | payload >> 11 << POLARITY_AT
    fields = np.where(single, of_single, of_event + moved[at] - length)
    bits = np.where(single, 1, payload & (1 << length) - 1)
    bits[at < max(timed_from, row_from)] = 0
    bits[~single & (at < base_from)] = 0

    pixels = np.flatnonzero(np.unpackbits(bits.astype("<u2").view(np.uint8), bitorder="little").view(np.bool_))
    fields = fields[pixels >> 4] + (pixels & 15)
    x, y, p = (fields & X_MASK) - X_ZERO, fields >> ROW_AT & PLACE, fields >> POLARITY_AT & 1
    last = int(stated[-1])
    row = last >> ROW_AT & PLACE if row_from < len(words) else -1
    base = min((last & X_MASK) - X_ZERO + int(moved[-1]), X_MAX) if base_from < len(words) else -1
    return RawEvents(times[fields >> TIME_AT], x, y, p), State(high, low, row, base, last >> POLARITY_AT & 1)


def _times(words: NDArray[np.uint16], kinds: NDArray[np.uint8], state: State) -> tuple[Integers, int, int]:
    """(times in us when 0, 1, ... words stated a part of it, the last high part, the last low part)."""
    at = np.flatnonzero((kinds == TIME_HIGH) | (kinds == TIME_LOW))
    payloads, is_high = (words[at] & PAYLOAD).astype(np.int64), kinds[at] == TIME_HIGH
    highs = np.concatenate([[state.high], unwound(payloads[is_high], HIGH_BITS, state.high)])
    sets_low = ~is_high
    sets_low[is_high] = np.diff(highs) != 0
    lows = np.concatenate([[state.low], np.where(is_high, 0, payloads)[sets_low]])
    high, low = (np.cumsum(np.concatenate([[False], sets])) for sets in (is_high, sets_low))
    return (highs[high] << HIGH_BITS) + lows[low], int(highs[-1]), int(lows[-1])


def _stated(words: NDArray[np.uint16], kinds: NDArray[np.uint8], moved: Integers, state: State) -> Integers:
    """(N,): all that is stated at each word, in one integer; x is that of the base minus the pixels ``moved`` before.

    It is a running sum, to which a word that states something adds the difference to what was stated before.
    """
    at_row, at_base = np.flatnonzero(kinds == ROW), np.flatnonzero(kinds == BASE)
    rows = np.concatenate([[max(state.row, 0)], words[at_row] & PLACE])
    bases = (words[at_base] & PAYLOAD).astype(np.int64)
    x = np.concatenate([[max(state.x, 0)], (bases & PLACE) - moved[at_base]]) + X_ZERO
    of_base = x | np.concatenate([[state.polarity], bases >> 11]) << POLARITY_AT
    steps = np.zeros(len(words), np.int64)
    steps[(kinds == TIME_HIGH) | (kinds == TIME_LOW)] = 1 << TIME_AT
    steps[at_row] = np.diff(rows) << ROW_AT
    steps[at_base] = np.diff(of_base)
    steps[0] += int(rows[0]) << ROW_AT | int(of_base[0])
    return np.cumsum(steps)
