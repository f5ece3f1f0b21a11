"""Samples of recordings: all of each, the spans that a label file names, or windows of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.data.recordings.classes import listed
from deploytool.data.recordings.folder import Folder
from deploytool.data.recordings.labels import refuse
from deploytool.data.recordings.reader import Recordings
from deploytool.data.samples import Samples
from deploytool.data.steps import applied
from deploytool.data.transforms import Transform
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection

WHOLE: Final = -1
"""The end of an excerpt that is a whole recording."""
WINDOWS_MAX: Final = 10**7
"""The most windows that recordings are cut into."""


@dataclass(frozen=True)
class Windows:
    """Windows of ``window_us``, one every ``stride_us``."""

    window_us: int
    stride_us: int

    def starts(self, length_us: int) -> range:
        """The starts of the windows that are complete in ``length_us``."""
        return range(0, length_us - self.window_us + 1, self.stride_us)

    def incomplete(self, length_us: int) -> bool:
        """Whether one more window begins in ``length_us``, but does not end there."""
        return len(self.starts(length_us)) * self.stride_us < length_us


def windows_of(spec: DataSection) -> Windows | None:
    """The windows that ``spec`` asks for, if it does."""
    if spec.window_ms is None:
        return None
    return Windows(round(spec.window_ms * 1000), round((spec.stride_ms or spec.window_ms) * 1000))


@dataclass(frozen=True, eq=False)
class Excerpts:
    """S stretches of recordings: ``recording`` (S,) of each, ``start_us`` (S,), ``end_us`` (S,), its class ``labels``.

    An end of `WHOLE` is a whole recording. ``incomplete`` is the number of windows that did not end before their
    recording or span; ``short`` are the recordings, or spans of them, in which none did. ``values`` (S, D) are stated
    instead of classes, empty if none are.
    """

    recording: NDArray[np.int64]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    labels: NDArray[np.int64]
    incomplete: int = 0
    short: tuple[str, ...] = ()
    values: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def excerpts(
    folder: Folder, recordings: Recordings, label_of: Callable[[str], int], windows: Windows | None = None
) -> Excerpts:
    """The excerpts of the ``recordings`` of ``folder``, in order: their spans, cut into ``windows`` if there are any.

    Raises InputError for spans that begin after their recording ends, and if no window is left.
    """
    rows: list[NDArray[np.int64]] = []
    values: list[list[float]] = []
    problems, short, incomplete = [], [], 0
    for index in range(len(recordings)):
        duration_us = recordings.seen[index].duration_us
        for span in folder.spans_of(index):
            if span.start_us >= duration_us:
                found = f"a span from {span.start_us / 1000:g} ms on, of a recording of {duration_us / 1000:g} ms"
                problems.append(InputError(folder.names[index], found, "a span inside the recording"))
                continue
            label, end_us = label_of(span.label), duration_us if span.end_us is None else span.end_us
            if windows is None:
                cut = np.array([[index, span.start_us, WHOLE if span.end_us is None else end_us, label]])
            else:
                length_us = end_us - span.start_us
                starts = windows.starts(length_us)
                _refuse_too_many(len(values) + len(starts), folder.names[index])
                first = span.start_us + np.array(starts, np.int64)
                same = np.ones_like(first)
                cut = np.stack([index * same, first, first + windows.window_us, label * same], axis=1)
                short += [] if starts else [folder.names[index]]
                incomplete += bool(starts) and windows.incomplete(length_us)
            rows.append(cut)
            values += [[value for _, value in span.values]] * len(cut)
    refuse(problems)
    recording, start_us, stop_us, labels = np.concatenate([np.empty((0, 4), np.int64), *rows]).T
    if not len(recording):
        found = next(iter(left_out([short], 0, windows)), "no recordings")
        raise InputError(str(folder.root), found.rstrip("."), "longer recordings, or shorter windows")
    stated = np.array(values, np.float32).reshape(len(recording), -1)
    return Excerpts(recording, start_us, stop_us, labels, incomplete, tuple(short), stated)


def _refuse_too_many(windows: int, name: str) -> None:
    """Raises InputError if the ``windows`` of all recordings up to ``name`` are more than `WINDOWS_MAX`."""
    if windows > WINDOWS_MAX:
        found, need = f"{windows:,} windows up to its end", f"at most {WINDOWS_MAX:,} in all recordings"
        raise InputError(name, found, need, "Take longer windows, or longer strides.")


def left_out(short: Iterable[Sequence[str]], incomplete: int, windows: Windows | None) -> Iterator[str]:
    """What ``windows`` leave out of recordings, in sentences; see `Excerpts`."""
    names = [name for each in short for name in each]
    if windows is not None and names:
        shorter = f"shorter than a window of {windows.window_us / 1000:g} ms"
        yield f"Not used, because they are {shorter}: {listed(names)} ({len(names):,} in all)."
    if incomplete:
        yield f"Not used, because they are incomplete: the last windows of {incomplete:,} recordings or spans."


def sizes(recordings: Recordings, found: Excerpts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(events, durations in us) of every excerpt of ``found``, before all steps."""
    events, durations_us = np.empty_like(found.start_us), np.empty_like(found.start_us)
    firsts = np.searchsorted(found.recording, np.arange(len(recordings) + 1))
    for index, (first, stop) in enumerate(itertools.pairwise(firsts.tolist())):
        start_us, end_us, t = found.start_us[first:stop], found.end_us[first:stop], recordings.events(index)["t"]
        between = np.searchsorted(t, end_us) - np.searchsorted(t, start_us)
        events[first:stop] = np.where(end_us == WHOLE, len(t), between)
        durations_us[first:stop] = np.where(end_us == WHOLE, recordings.seen[index].duration_us, end_us - start_us)
    return events, durations_us


def samples(
    recordings: Recordings, found: Excerpts, names: Sequence[str], steps: Sequence[Transform] = ()
) -> Samples[EventStream]:
    """The samples of the excerpts ``found`` after all ``steps``; ``names`` are those of the recordings.

    Samples of one recording are one group.
    """

    def make(index: int) -> EventStream:
        recording, start_us, end_us = (int(column[index]) for column in (found.recording, found.start_us, found.end_us))
        targets = found.values[index : index + 1] if found.values.size else None
        name, label = names[recording], int(found.labels[index]) if targets is None else -1
        shape = recordings.camera.shape
        if end_us == WHOLE:
            duration_us = recordings.seen[recording].duration_us
            return EventStream(recordings.events(recording), shape, duration_us, label, name, targets)
        events = recordings.events(recording, start_us, end_us).copy()
        events["t"] -= start_us
        name = f"{name}@{start_us / 1000:g}-{end_us / 1000:g}ms"
        return EventStream(events, shape, end_us - start_us, label, name, targets)

    made = Samples(found.labels, make, found.recording)
    return made.map(partial(applied, tuple(steps))) if steps else made
