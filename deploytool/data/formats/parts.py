"""A file's events part by part: what a reader yields, and how it goes through a file of words of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.formats.reading import COLUMNS, RawEvents


class Place(NamedTuple):
    """A place in a file where reading can begin: the byte, row or word ``at``, and what the reader ``knows`` there."""

    at: int = 0
    knows: tuple[int, ...] = ()


START: Final = Place()


class Part(NamedTuple):
    """Consecutive ``events`` of a file, and the place where they begin."""

    events: RawEvents
    place: Place


PART_EVENTS: Final = 1 << 15
"""Number of events read at a time, few enough to stay in the cache."""

Parts: TypeAlias = Iterator[Part]
"""The events of a file from a place on, few at a time, so that memory does not grow with the file."""


EVENTS_MIN: Final = 1 << 24
EVENTS_PER_BYTE: Final = 8
"""A file may have `EVENTS_MIN` events, or this many for each of its bytes, more than any format stores; beyond, events
are what a file claims that has little in it."""
TOO_MANY: Final = (
    "more events than a file of this size can have",
    f"at most {EVENTS_MIN:,}, or {EVENTS_PER_BYTE} for each of its bytes",
)


def events_allowed(path: Path) -> int:
    """The most events that the file ``path`` may have."""
    return max(EVENTS_MIN, EVENTS_PER_BYTE * path.stat().st_size)


def words_in(
    path: Path, start: int, word: np.dtype[Any], at: int = 0, size: int = PART_EVENTS
) -> Iterator[tuple[int, Array]]:
    """(number of its first word, words): the words of type ``word`` behind byte ``start``, from word ``at`` on.

    There are at most ``size`` of them at a time. Raises InputError if the file ends inside a word.
    """
    length = path.stat().st_size - start
    if length % word.itemsize:
        found, need = f"{length} bytes after its header", f"a multiple of {word.itemsize}"
        raise InputError(str(path), found, need, "The file was cut short.")
    with path.open("rb") as file:
        file.seek(start + at * word.itemsize)
        while len(words := np.fromfile(file, word, size)):
            yield at, words
            at += len(words)


def gathered(parts: Parts, number: int = PART_EVENTS) -> Parts:
    """The same events in parts of at least ``number`` events, except for the last."""
    held: list[Part] = []
    room = number
    for part in parts:
        held.append(part)
        room -= len(part.events)
        if room <= 0:
            yield Part(joined(held), held[0].place)
            held, room = [], number
    if held:
        yield Part(joined(held), held[0].place)


def joined(parts: Iterable[Part]) -> RawEvents:
    """The events of all ``parts``, one after the other; no events if there is no part."""
    found = [part.events for part in parts]
    if len(found) == 1:
        return found[0]
    if not found:
        nothing = np.empty(0, np.int64)
        return RawEvents(nothing, nothing, nothing, nothing)
    t, x, y, p = (np.concatenate([getattr(events, column) for events in found]) for column in COLUMNS)
    return RawEvents(t, x, y, p, found[0].unit, found[0].features, found[0].sensor)
