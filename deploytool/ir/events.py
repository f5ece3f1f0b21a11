"""Events: the one representation of what flows into a network and out of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError

EVENT: Final = np.dtype([("t", "<i8"), ("c", "<u2"), ("y", "<u2"), ("x", "<u2")])
"""One event: time t in microseconds, feature c, row y, column x. A DVS polarity is the feature c, ON = 1."""

DURATION_MAX_US: Final = 2**52
"""Over a century: times below it are exact as float64, and as int64 when multiplied by up to 2,048 time steps."""

Events: TypeAlias = NDArray[np.void]
"""A one-dimensional array of dtype EVENT."""


@dataclass(frozen=True, eq=False)
class EventStream:
    """One sample: ``events`` (N,) of dtype EVENT in order of time, read-only, on a map of ``shape`` (C, H, W).

    It knows its silent channels (``shape``) and its silent tail (``duration_us``), which an event list alone does not.
    ``label`` is its class, -1 where unknown; ``name`` says where it came from and is used in messages.
    Raises InputError for wrong fields, unsorted or negative times, coordinates outside ``shape``, a duration
    that ends before the last event or is above `DURATION_MAX_US`.
    """

    events: Events
    shape: Shape
    duration_us: int
    label: int = -1
    name: str = "events"

    def __post_init__(self) -> None:
        events = np.ascontiguousarray(as_events(self.events, self.name))
        check_events(events, self.shape, self.name)
        if len(events) and events["t"][-1] >= self.duration_us:
            raise InputError(
                self.name,
                f"the last event is at {events['t'][-1]} us but the sample lasts {self.duration_us} us",
                "a duration longer than the last event's time",
            )
        if self.duration_us > DURATION_MAX_US:
            found = f"the sample lasts {self.duration_us} us"
            raise InputError(self.name, found, f"at most {DURATION_MAX_US} us", "Give times from the sample's start.")
        events.setflags(write=False)
        object.__setattr__(self, "events", events)

    def __len__(self) -> int:
        return len(self.events)


def as_events(array: NDArray[np.void], name: str) -> Events:
    """``array`` as EVENT; accepts fields t, x, y and c or p (polarity) of any integer type, in any order.

    Raises InputError when a field is missing or is not of integers, or a value does not fit its field.
    """
    if array.dtype == EVENT and array.ndim == 1:
        return array
    fields = array.dtype.names or ()
    feature = "c" if "c" in fields else "p"
    if array.ndim != 1 or not {"t", "y", "x", feature} <= set(fields):
        found = f"fields {', '.join(fields)}" if fields else f"an array of {array.dtype} with {array.ndim} axes"
        raise InputError(name, found, "a one-dimensional structured array with the fields t, x, y and c (or p)")
    events = np.empty(len(array), EVENT)
    for to, source in (("t", "t"), ("c", feature), ("y", "y"), ("x", "x")):
        column = array[source]
        if column.dtype.kind not in "iub" or column.ndim > 1:
            raise InputError(name, f"field {source} is of {column.dtype}", "integers, times in microseconds")
        if to != "t" and len(column) and (int(column.min()) < 0 or int(column.max()) > 0xFFFF):
            raise InputError(name, f"field {source} spans {column.min()}..{column.max()}", "0..65535")
        if len(column) and int(column.max()) > np.iinfo(np.int64).max:
            raise InputError(name, f"field {source} goes up to {column.max()}", "signed 64-bit integers")
        events[to] = column
    return events


def check_events(events: Events, shape: Shape, name: str) -> None:
    """Raises InputError unless times are sorted and not negative and every coordinate lies inside ``shape``."""
    if not len(events):
        return
    t = events["t"]
    if t[0] < 0:
        raise InputError(name, f"the first event is at {t[0]} us", "times of 0 us or later")
    if (steps := np.flatnonzero(t[1:] < t[:-1])).size:
        row = int(steps[0]) + 1
        raise InputError(
            name,
            f"time goes back at event {row}, from {t[row - 1]} to {t[row]} us",
            "events in order of time",
            "Sort them by t with a stable sort.",
        )
    for axis, limit in zip("cyx", shape, strict=True):
        if (worst := int(events[axis].max())) >= limit:
            row = int(np.argmax(events[axis] >= limit))
            raise InputError(
                name,
                f"event {row} has {axis} = {events[axis][row]} (the largest is {worst})",
                f"{axis} in 0..{limit - 1} on a map of {format_shape(shape)}",
            )
