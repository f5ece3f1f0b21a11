"""Events, and their conversion to neuron indices, counts and time steps, and back.

A neuron on a map (C, H, W) has two indices: its flat (row-major) index (c * H + y) * W + x, here called its place, and
its channels-last index (y * W + x) * C + c, here called its number, which the engines use to store state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape, all_finite, format_shape, frozen
from deploytool.base.errors import InputError

EVENT: Final = np.dtype([("t", "<i8"), ("c", "<u2"), ("y", "<u2"), ("x", "<u2")])
"""One event: time t in microseconds, feature c, row y, column x. A DVS polarity is the feature c, ON = 1."""

DURATION_MAX_US: Final = 2**52
"""More than a century. Smaller times are exact in float64, and in int64 when multiplied by up to 2,048 time steps."""

OUT_OF_ORDER_MAX_US: Final = 100_000
"""Events that are out of order by at most this may simply be sorted: packets on a cable arrive out of order."""
JUMPS_MAX: Final = 10
"""So may events whose time goes back more often than this, and more often than at every twentieth event."""

_OUT_OF_MAP_HINTS: Final = {
    "c": "Give the network as many input features as the events have, or merge the features of the events.",
    "y": "Crop or scale the events to the map.",
    "x": "Crop or scale the events to the map.",
}

Events: TypeAlias = NDArray[np.void]
"""A one-dimensional array of dtype EVENT."""

Bins: TypeAlias = Literal["time", "count"]
"""Time steps of equal duration ("time"), or of equal numbers of events of a sample ("count")."""
BINS: Final[tuple[Bins, ...]] = get_args(Bins)


@dataclass(frozen=True, eq=False)
class EventStream:
    """One sample: ``events`` (N,) of dtype EVENT in order of time, read-only, on a map of ``shape`` (C, H, W).

    ``shape`` includes silent channels and ``duration_us`` includes the silence after the last event.
    ``label`` is its class, -1 if unknown; ``name`` is its origin, used in messages. ``targets`` (W, D) float32 are the
    D values to find in each of W windows, which have equal durations and together are the sample; None if there are
    none.
    Raises InputError for wrong fields, unsorted or negative times, coordinates outside ``shape``, a duration
    that ends before the last event or is above `DURATION_MAX_US`, targets that are not finite.
    """

    events: Events
    shape: Shape
    duration_us: int
    label: int = -1
    name: str = "events"
    targets: NDArray[np.float32] | None = None

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
        if self.targets is not None:
            object.__setattr__(self, "targets", self._checked(np.asarray(self.targets, np.float32)))

    def _checked(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """``targets``, read-only."""
        if targets.ndim != 2 or not targets.size or len(targets) > self.duration_us:
            found = f"targets of shape {targets.shape}"
            raise InputError(self.name, found, "(windows, values), at least one of each, in windows of 1 us or longer")
        if not all_finite(targets):
            raise InputError(self.name, "targets that are not finite", "finite numbers")
        return frozen(targets)

    def __len__(self) -> int:
        return len(self.events)


def as_events(array: NDArray[np.void], name: str) -> Events:
    """``array`` as EVENT; accepts fields t, x, y and c or p (polarity) of any integer type, in any order.

    Raises InputError if a field is missing or is not an integer type, or if a value does not fit its field.
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
            raise InputError(name, f"field {source} has dtype {column.dtype}", "integers, times in microseconds")
        if to != "t" and len(column) and (int(column.min()) < 0 or int(column.max()) > 0xFFFF):
            raise InputError(name, f"field {source} spans {column.min()}..{column.max()}", "0..65535")
        if len(column) and int(column.max()) > np.iinfo(np.int64).max:
            raise InputError(name, f"field {source} goes up to {column.max()}", "signed 64-bit integers")
        events[to] = column
    return events


def check_events(events: Events, shape: Shape, name: str) -> None:
    """Raises InputError unless times are sorted and non-negative and every coordinate is inside ``shape``."""
    if not len(events):
        return
    t = events["t"]
    if t[0] < 0:
        raise InputError(name, f"the first event is at {t[0]} us", "times of 0 us or later")
    check_order(t, name)
    for axis, limit in zip("cyx", shape, strict=True):
        if (worst := int(events[axis].max())) >= limit:
            row = int(np.argmax(events[axis] >= limit))
            raise InputError(
                name,
                f"event {row} has {axis} = {events[axis][row]} (the largest is {worst})",
                f"{axis} in 0..{limit - 1} on a map of {format_shape(shape)}",
                _OUT_OF_MAP_HINTS[axis],
            )


def check_order(t_us: Array, name: str, number: int = 0, last_us: int | None = None) -> None:
    """Raises InputError if the times ``t_us`` (N,) go back; they are of events after a ``number`` of others, of which
    the last is at ``last_us``."""
    times = t_us if last_us is None else np.concatenate([[last_us], t_us])
    falls = times[1:] < times[:-1]
    if falls.any():
        steps = np.flatnonzero(falls)
        before, after = times[steps[0]], times[steps[0] + 1]
        row, most_us = number + int(steps[0]) + (last_us is None), int((times[:-1] - times[1:]).max())
        raise InputError(
            name,
            f"time goes back at event {row}, from {before} to {after} us",
            "events in order of time",
            _out_of_order_hint(most_us, len(steps), number + len(t_us)),
        )


def _out_of_order_hint(back_us: int, jumps: int, number: int) -> str:
    """The hint for a ``number`` of events whose time goes back by at most ``back_us``, in so many ``jumps``."""
    if back_us <= OUT_OF_ORDER_MAX_US or jumps > max(JUMPS_MAX, number // 20):
        return "Sort them by t with a stable sort."
    return (
        f"Time goes back by up to {back_us} us: cut the file where the clock was reset or where recordings were joined."
    )


class Strides(NamedTuple):
    """Index steps of a neuron per feature, per row and per column."""

    c: int
    y: int
    x: int


def flat(shape: Shape) -> Strides:
    """The strides of flat indices on a map of ``shape`` (C, H, W)."""
    _, height, width = shape
    return Strides(height * width, width, 1)


def channels_last(shape: Shape) -> Strides:
    """The strides of channels-last indices on a map of ``shape`` (C, H, W)."""
    channels, _, width = shape
    return Strides(1, width * channels, channels)


def places_of(events: Events, shape: Shape) -> NDArray[np.int64]:
    """(N,): the flat indices of ``events`` (N,) on a map of ``shape`` (C, H, W)."""
    strides = flat(shape)
    places: NDArray[np.int64] = events["c"].astype(np.int64) * strides.c
    places += events["y"].astype(np.int64) * strides.y
    places += events["x"]
    return places


def neurons_of(events: Events, shape: Shape) -> NDArray[np.int32]:
    """(N,): the channels-last indices of ``events`` (N,) on a map of ``shape`` (C, H, W)."""
    strides = channels_last(shape)
    neurons: NDArray[np.int32] = events["y"].astype(np.int32) * strides.y
    neurons += events["x"].astype(np.int32) * strides.x
    neurons += events["c"]
    return neurons


def at_places(t_us: Array, places: Array, shape: Shape) -> Events:
    """Events at ``t_us``, (N,) or one time for all, with flat indices ``places`` (N,)."""
    events = np.empty(len(places), EVENT)
    events["t"] = t_us
    events["c"], events["y"], events["x"] = np.unravel_index(places, shape)
    return events


def at_neurons(t_us: Array, neurons: Array, shape: Shape) -> Events:
    """Events at ``t_us``, (N,) or one time for all, with channels-last indices ``neurons`` (N,)."""
    strides = channels_last(shape)
    events = np.empty(len(neurons), EVENT)
    events["t"] = t_us
    events["c"] = neurons % strides.x
    events["x"] = neurons // strides.x % shape[2]
    events["y"] = neurons // strides.y
    return events


def to_channels_last(values: Array) -> Array:
    """A copy of ``values`` (..., C, H, W) as (..., C * H * W) in channels-last order."""
    return np.array(np.moveaxis(values, -3, -1), order="C").reshape(*values.shape[:-3], -1)


def from_channels_last(values: Array, shape: Shape) -> Array:
    """A view (..., C, H, W) of ``values`` (..., C * H * W) in channels-last order."""
    channels, height, width = shape
    return np.moveaxis(values.reshape(*values.shape[:-1], height, width, channels), -1, -3)


def count(events: Events, shape: Shape) -> NDArray[np.int64]:
    """(C, H, W): the number of ``events`` (N,) at each position of a map of ``shape``."""
    return np.bincount(places_of(events, shape), minlength=math.prod(shape)).reshape(shape)


def steps_of(stream: EventStream, time_steps: int, bins: Bins = "time") -> NDArray[np.int64]:
    """(N,): the time step of each event, 0 to ``time_steps`` - 1, in ascending order.

    An event at t falls into step t T // duration; with ``bins`` "count" event i of N falls into step i T // N.
    """
    if bins == "count":
        return np.arange(len(stream)) * time_steps // max(1, len(stream))
    return steps_at(stream.events["t"], time_steps, stream.duration_us)


def steps_at(times_us: Array, time_steps: int, duration_us: int) -> NDArray[np.int64]:
    """(N,): the step, of ``time_steps`` of equal duration, to which each of ``times_us`` (N,) belongs."""
    steps: NDArray[np.int64] = times_us * time_steps // duration_us
    return steps


def bounds_of(stream: EventStream, time_steps: int, bins: Bins = "time") -> NDArray[np.int64]:
    """(``time_steps`` + 1,): step k holds events ``bounds[k]`` up to, but not including, ``bounds[k + 1]``."""
    return np.searchsorted(steps_of(stream, time_steps, bins), np.arange(time_steps + 1))


def starts_of(stream: EventStream, time_steps: int, bins: Bins = "time") -> NDArray[np.int64]:
    """(``time_steps``,): when each step begins, in us; by count, at its first event, or at the next one where it has
    none, or at the last of all."""
    if bins == "count" and len(stream):
        first = bounds_of(stream, time_steps, bins)[:-1]
        starts: NDArray[np.int64] = stream.events["t"][np.minimum(first, len(stream) - 1)]
        return starts
    return np.arange(time_steps) * stream.duration_us // time_steps


def cells_of(stream: EventStream, time_steps: int, bins: Bins = "time") -> NDArray[np.int64]:
    """(N,): the flat index of each event in an array (T, C, H, W) of ``time_steps``, step * C * H * W + place."""
    return steps_of(stream, time_steps, bins) * math.prod(stream.shape) + places_of(stream.events, stream.shape)


def frames_of(stream: EventStream, time_steps: int, bins: Bins = "time") -> NDArray[np.int64]:
    """(T, C, H, W): the number of events at each position in each of ``time_steps`` steps."""
    shape = (time_steps, *stream.shape)
    return np.bincount(cells_of(stream, time_steps, bins), minlength=math.prod(shape)).reshape(shape)


def events_of(frames: NDArray[np.int64], step_us: int) -> Events:
    """The events of ``frames`` (T, C, H, W), counts per time step of ``step_us``: each at the start of its step.

    Within a step they are in row-major order. `frames_of` gives the counts back, from a stream of T * ``step_us``.
    """
    cells = np.repeat(np.arange(frames.size), frames.ravel())
    steps, places = np.divmod(cells, math.prod(frames.shape[1:]))
    return at_places(steps * step_us, places, frames.shape[1:])
