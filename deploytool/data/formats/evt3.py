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
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploytool.data.formats.prophesee import header_in, refuse_without_events, unwound, words_in
from deploytool.data.formats.reading import START, Part, Parts, Place, RawEvents, Reading

ROW, EVENT, BASE, VECTOR_12, VECTOR_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
HIGH_BITS: Final = 12
WORD: Final = np.dtype("<u2")
X_MAX: Final = 0x7FF
LENGTHS: Final = np.array([12 if kind == VECTOR_12 else 8 if kind == VECTOR_8 else 0 for kind in range(16)], np.int32)
"""Pixels per word of each kind."""


class State(NamedTuple):
    """The decoder state before a word: the unwrapped high part of the time and the payloads of the latest words of
    other kinds; -1 if there was none."""

    high: int = -1
    low: int = -1
    row: int = -1
    base: int = -1

    @property
    def words(self) -> NDArray[np.uint16]:
        """Words that produce this state."""
        stated = ((TIME_HIGH, self.high % 4096), (TIME_LOW, self.low), (ROW, self.row), (BASE, self.base))
        known = (self.high, self.low, self.row, self.base)
        return np.array([k << 12 | v for (k, v), given in zip(stated, known, strict=True) if given >= 0], np.uint16)


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
    """The events of ``words`` (N,) that follow ``state``, and the state after them.

    Events before the first time and row are left out.
    """
    words = np.concatenate([state.words, words])
    kinds, payloads = words >> 12, (words & 0xFFF).astype(np.int64)
    is_event = (kinds == EVENT) | (kinds == VECTOR_12) | (kinds == VECTOR_8)
    at = np.append(np.flatnonzero(is_event), len(words) - 1)  # the last one is for the state after all words
    is_high = kinds == TIME_HIGH
    highs = np.full(len(words), -1)
    highs[is_high] = unwound(payloads[is_high], HIGH_BITS, state.high)
    changes = is_high.copy()
    changes[is_high] = np.diff(highs[is_high], prepend=-1) != 0
    lengths = LENGTHS[kinds]
    moved = np.cumsum(lengths, dtype=np.int64)

    high, changed = _latest(is_high, at), _latest(changes, at)
    low, row, base = (_latest(kinds == kind, at) for kind in (TIME_LOW, ROW, BASE))
    lows = np.where(low > changed, payloads[low], 0)
    bases = (payloads[base] & X_MAX) + moved[at] - moved[base]
    after = State(
        high=int(highs[high[-1]]) if high[-1] >= 0 else -1,
        low=int(lows[-1]),
        row=int(payloads[row[-1]]) if row[-1] >= 0 else -1,
        base=min(int(bases[-1]), X_MAX) | int(payloads[base[-1]]) & 0x800 if base[-1] >= 0 else -1,
    )

    kind, payload = kinds[at][:-1], payloads[at][:-1]
    single = kind == EVENT
    placed = ((high >= 0) & (row >= 0))[:-1] & (single | (base[:-1] >= 0))
    t = (highs[high[:-1]] << HIGH_BITS) + lows[:-1]
    x = np.where(single, payload & X_MAX, bases[:-1] - lengths[at][:-1])
    p = np.where(single, payload, payloads[base[:-1]]) >> 11
    bits = np.where(single, 1, payload & np.where(kind == VECTOR_12, 0xFFF, 0xFF)) * placed
    pixels = np.flatnonzero(np.unpackbits(bits.astype("<u2").view(np.uint8), bitorder="little").view(np.bool_))
    word, place = pixels >> 4, pixels & 15
    return RawEvents(t[word], x[word] + place, payloads[row[:-1]][word] & X_MAX, p[word]), after


def _latest(chosen: NDArray[np.bool_], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,): the index of the latest ``chosen`` word up to each word ``at`` (N,); -1 if there is none."""
    return np.concatenate([[-1], np.flatnonzero(chosen)])[np.cumsum(chosen, dtype=np.int32)[at]]
