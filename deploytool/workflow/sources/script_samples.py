"""Samples that a script holds: arrays of events, counts per time step, samples of a data set of tonic's, or streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape, are_whole
from deploytool.base.digest import digest
from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.arrays import events_in_array
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.uniform import uniform
from deploytool.data.samples import Held
from deploytool.ir.events import EventStream, events_of
from deploytool.workflow.sources.samples import IN_MEMORY, SampleSource

HELD: Final = 1 << 21
"""Number of events of a data set that are kept in memory; others are read again when they are needed."""
NEED: Final = (
    "a structured array or table with the fields t, x, y and p (or c), counts per time step (T, C, H, W), an "
    "EventStream, a pair (events, label), or a list or data set of these"
)


@dataclass(frozen=True)
class Stated:
    """What samples do not state themselves.

    ``shape`` (C, H, W) is their map, ``step_us`` the duration of a time step of counts, ``duration_us`` that of each
    sample of events (None: until its last event), and ``reading`` is as for event files. ``labels`` are the classes,
    and ``targets`` the values of each sample, (W, D) or, for one window, (D,). None: as the samples say, or unknown.
    """

    shape: Shape | None = None
    step_us: int | None = None
    duration_us: int | None = None
    labels: Sequence[int] | None = None
    targets: Sequence[Any] | None = None
    reading: Reading = AS_IT_IS


class OnDemand(Sequence[EventStream]):
    """``items``, each made an EventStream by ``make(item, number)`` when it is asked for."""

    def __init__(self, items: Any, make: Callable[[object, int], EventStream]) -> None:
        self._items = items
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> EventStream: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[EventStream]: ...
    def __getitem__(self, index: int | slice) -> EventStream | Sequence[EventStream]:
        chosen = range(len(self))[index]
        if not isinstance(chosen, int):
            return [self[each] for each in chosen]
        return self._make(self._items[chosen], chosen)


def streams_of(source: object, stated: Stated) -> Sequence[EventStream]:
    """The samples in ``source``: one, or a list, or a data set, which is read sample by sample when it is asked for.

    Raises InputError for anything else, naming the sample, and UsageError for what is not stated.
    """
    for name, found in (("labels", stated.labels), ("targets", stated.targets)):
        if found is not None and len(found) != (number := _number(source)):
            raise UsageError(name, f"{len(found)} for {number} samples", "one for each sample")
    if _is_one(source):
        return [_stream(source, 0, stated)]
    if _is_batch(source):
        return [_stream(item, number, stated) for number, item in enumerate(as_array(source))]
    if isinstance(source, list | tuple):
        return [_stream(item, number, stated) for number, item in enumerate(source)]
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, str | Mapping):
        stated = replace(stated, shape=stated.shape or sensor_of(source))
        name = type(source).__name__
        made = OnDemand(source, lambda item, number: _stream(item, number, stated, name))
        return Held(made, len, HELD)
    raise InputError("events", f"a {type(source).__name__}", NEED)


def source_of(streams: Sequence[EventStream]) -> SampleSource:
    """``streams`` as a source of samples. All are read once, because their content is the fingerprint."""
    content = digest([IN_MEMORY, [digest(streams[index]) for index in range(len(streams))]])
    return SampleSource({IN_MEMORY: len(streams)}, lambda: content, lambda _: streams)


def _number(source: Any) -> int:
    return 1 if _is_one(source) else len(source)


def _is_one(source: object) -> bool:
    if isinstance(source, EventStream) or _labelled(source) is not None:
        return True
    return _is_array(source) and not _is_batch(source)


def _is_batch(source: object) -> bool:
    """Whether ``source`` are the counts of several samples, (S, T, C, H, W)."""
    return _is_array(source) and as_array(source).ndim == 5


def _is_array(source: object) -> bool:
    return isinstance(source, np.ndarray) or type(source).__module__.partition(".")[0] in ("torch", "pandas")


def as_array(source: Any) -> NDArray[Any]:
    """An array, the values of a tensor of torch, or the columns of a table of pandas as fields."""
    if hasattr(source, "to_records"):
        return np.asarray(source.to_records(index=False))
    return np.asarray(source.detach().cpu() if hasattr(source, "detach") else source)


def _labelled(source: object) -> tuple[object, int] | None:
    """(events, label) of a sample with its label, as those of tonic; None for anything else."""
    if not isinstance(source, tuple) or len(source) != 2:
        return None
    label: Any = source[1]
    if _is_array(label) and as_array(label).ndim == 0:
        label = as_array(label).item()
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return source[0], int(label)
    return None


def _stream(item: object, number: int, stated: Stated, of: str = "sample") -> EventStream:
    """Sample ``number``, called after the data set ``of`` which it comes, with its targets if they are stated."""
    made = _made(item, number, stated, f"{of} {number}")
    if stated.targets is None:
        return made
    targets = np.asarray(as_array(stated.targets[number]), np.float32)
    return replace(made, targets=targets[np.newaxis] if targets.ndim == 1 else targets)


def _made(item: object, number: int, stated: Stated, name: str) -> EventStream:
    labelled = _labelled(item)
    events, label = (item, -1) if labelled is None else labelled
    if stated.labels is not None:
        label = int(stated.labels[number])
    if isinstance(events, EventStream):
        return replace(events, label=label) if label >= 0 else events
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], str):
        raise InputError(name, f"the label {item[1]!r}", "a whole number", "Number the classes.")
    if not _is_array(events):
        raise InputError(name, f"a {type(events).__name__}", NEED)
    array = as_array(events)
    if array.dtype.names is None and array.ndim == 4:
        return _counted(array, label, name, stated)
    if array.dtype.names is None and array.ndim != 2:
        raise InputError(name, f"an array {array.shape} of {array.dtype}", NEED)
    if stated.shape is None:
        raise UsageError(name, "events without the size of their map", "shape=(C, H, W)")
    raw = events_in_array(array, stated.reading, name)
    found = uniform(raw, stated.reading, stated.shape, name)
    return EventStream(found.events, stated.shape, stated.duration_us or found.seen.duration_us, label, name)


def _counted(frames: Array, label: int, name: str, stated: Stated) -> EventStream:
    """A sample of counts per time step, (T, C, H, W)."""
    if stated.step_us is None:
        raise UsageError(name, f"counts per time step {frames.shape}, without its duration", "dt_ms=")
    if not len(frames):
        raise InputError(name, "counts of no time step", "at least one")
    if frames.dtype.kind not in "iubf" or not are_whole(frames).all() or (frames < 0).any():
        found = f"counts of dtype {frames.dtype} that are not all whole numbers of at least 0"
        raise InputError(name, found, "the number of events in each time step")
    shape = (int(frames.shape[1]), int(frames.shape[2]), int(frames.shape[3]))
    events = events_of(frames.astype(np.int64), stated.step_us)
    return EventStream(events, shape, len(frames) * stated.step_us, label, name)


def sensor_of(source: object) -> Shape | None:
    """The map (C, H, W) that a data set of tonic's states as (W, H, polarities); None if ``source`` states none."""
    size = getattr(source, "sensor_size", None)
    if not isinstance(size, tuple) or len(size) != 3 or not all(isinstance(each, int) for each in size):
        return None
    width, height, polarities = size
    return polarities, height, width
