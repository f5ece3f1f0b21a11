"""The recording in one file of any format, read in parts: all of it, or a span of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.data.formats.parts import START, Place
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.table import Format, raw_parts
from deploytool.data.formats.uniform import NOTHING, Seen, Uniform, uniform
from deploytool.ir.events import EVENT, Events, check_order


class Mark(NamedTuple):
    """Where a part of a file begins, and what the file showed before it."""

    place: Place = START
    seen: Seen = NOTHING


BEGIN: Final = Mark()


def uniform_parts(
    path: Path, kind: Format, reading: Reading, shape: Shape | None, mark: Mark = BEGIN
) -> Iterator[tuple[Mark, Uniform]]:
    """The parts of the file ``path``, of the format ``kind``, from ``mark`` on, without those that have no events.

    Events are for maps of ``shape`` (C, H, W), or as the camera has them. Their order is not checked.
    Raises InputError and UsageError as `raw_parts` and `uniform` do.
    """
    seen = mark.seen
    for part in raw_parts(path, kind, reading, mark.place):
        found = uniform(part.events, reading, shape, str(path), seen)
        if len(found.events):
            yield Mark(part.place, seen), found
        seen = found.seen


def read_whole(path: Path, kind: Format, reading: Reading, shape: Shape | None) -> Uniform:
    """All events in the file ``path``. Arguments and errors are those of `uniform_parts`."""
    found = [part for _, part in uniform_parts(path, kind, reading, shape)]
    events = (
        found[0].events if len(found) == 1 else np.concatenate([np.empty(0, EVENT), *(each.events for each in found)])
    )
    return Uniform(events, found[-1].seen if found else NOTHING)


class EventFile:
    """The recording in the file ``path``, of the format ``kind``: events in order of time, from the first one on.

    On maps of ``shape`` (C, H, W), where one feature merges both polarities; without a shape the events are those of
    the camera. Nothing is read before it is asked for, and no more than a part of the file is in memory at a time. The
    times and places of its parts are remembered, so that a span of time is read from where it begins.
    """

    def __init__(self, path: Path, kind: Format, reading: Reading = AS_IT_IS, shape: Shape | None = None) -> None:
        self.path = path
        self._how = (kind, reading, shape)
        self._marks: list[Mark] = []
        self._firsts_us: list[int] = []
        self._sensor: tuple[int, int] | None = None
        self._seen: Seen | None = None

    def parts(self, start_us: int = 0, end_us: int | None = None) -> Iterator[Events]:
        """The events at ``start_us`` and later, before ``end_us``, few at a time; times are from the first event on.

        Raises InputError if the file cannot be read, or if time goes back in it.
        """
        for events in self._parts(bisect_left(self._firsts_us, start_us) - 1):
            low, high = np.searchsorted(events["t"], [start_us, start_us if end_us is None else end_us])
            if end_us is not None and high < len(events):
                yield events[low:high]
                return
            yield events[low:]

    def between(self, start_us: int = 0, end_us: int | None = None) -> Events:
        """(N,): the events at ``start_us`` and later, before ``end_us``. Raises as `parts` does."""
        return np.concatenate([np.empty(0, EVENT), *self.parts(start_us, end_us)])

    @property
    def seen(self) -> Seen:
        """What the whole file shows: its duration, its extent, its clock. Reads what was not read yet."""
        if self._seen is None:
            for _ in self._parts(len(self._marks) - 1):
                pass
        return self._seen or NOTHING

    @property
    def duration_us(self) -> int:
        """The time from the first event to the end of the last; 1 if there are no events."""
        return self.seen.duration_us

    @property
    def sensor(self) -> tuple[int, int] | None:
        """(H, W) of the camera as the file states it; None if it does not."""
        if not self._marks:
            next(self._parts(0), None)
        return self._sensor

    def _parts(self, number: int) -> Iterator[Events]:
        """The events of each part from ``number`` on; the mark of a part that is read for the first time is kept."""
        number = max(0, number)
        begin = self._marks[number] if self._marks else BEGIN
        seen = begin.seen
        for mark, found in uniform_parts(self.path, *self._how, begin):
            if number == len(self._marks):
                before = mark.seen.clock
                last_us = mark.seen.duration_us - before.step_us if before.events else None
                check_order(found.events["t"], str(self.path), before.events, last_us)
                self._marks.append(mark)
                self._firsts_us.append(int(found.events["t"][0]))
                self._sensor = found.seen.sensor
            number, seen = number + 1, found.seen
            yield found.events
        self._seen = seen
