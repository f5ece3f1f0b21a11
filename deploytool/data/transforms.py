"""Transforms: frozen values that turn an EventStream into a new one and leave the old one as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.ir.events import Events, EventStream

MERGED: Final = "ON and OFF events are merged: the network has one input feature."
"""The note to the user when `Merge` is applied automatically."""

_NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0))


class Transform(Protocol):
    """What becomes of a sample, and of its map."""

    def __call__(self, stream: EventStream) -> EventStream:
        """``stream`` transformed."""
        ...

    def shape(self, shape: Shape) -> Shape:
        """The map (C, H, W) of what was on a map of ``shape``."""
        ...


class _SameMap:
    """A transform that leaves the map as it is."""

    def shape(self, shape: Shape) -> Shape:
        """``shape``."""
        return shape


@dataclass(frozen=True)
class Denoise(_SameMap):
    """Keeps an event if one of the four neighbouring pixels had an event, of any feature, less than ``filter_ms`` ago.

    With t_q the time of the last event before event i at a neighbour q of its pixel, event i at t_i is kept if
    t_i - t_q < filter for some q, or t_i < filter: all events in the first ``filter_ms`` of a sample pass, because
    the events before them are unknown. This is the rule of tonic.transforms.Denoise(filter_ms * 1000), the
    background-activity filter of Delbruck 2008, "Frame-free dynamic digital vision"; tonic differs only where a sample
    holds nothing but events at pixel (0, 0), which it drops.
    """

    filter_ms: float

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` that pass, at their times."""
        events = stream.events
        filter_us = self.filter_ms * 1000
        keep = (events["t"] < filter_us) | (_since_neighbour_us(events, stream.shape[2]) < filter_us)
        return replace(stream, events=events[keep])


def _since_neighbour_us(events: Events, width: int) -> NDArray[np.int64]:
    """(N,): microseconds since the last earlier event at any neighbouring pixel; the largest int64 if there is none."""
    count = len(events)
    since = np.full(count, np.iinfo(np.int64).max)
    if not count:
        return since
    stride = width + 1  # one extra column separates the end of a row from the start of the next
    pixel = events["y"].astype(np.int64) * stride + events["x"]
    place = pixel * count + np.arange(count)  # sorted, this lists the events of each pixel in order of time
    order = np.argsort(place)
    places, pixels, times = place[order], pixel[order], events["t"][order]
    for dy, dx in _NEIGHBOURS:
        neighbour = pixels + dy * stride + dx
        before = np.searchsorted(places, places + (dy * stride + dx) * count) - 1
        found = (before >= 0) & (pixels[before] == neighbour)
        gap = times - times[before]
        since[order[found]] = np.minimum(since[order[found]], gap[found])
    return since


@dataclass(frozen=True)
class Refractory(_SameMap):
    """Drops an event if its pixel had another one, of any feature, at most ``period_ms`` before it.

    With t_p the time of the last event before event i at its pixel, dropped or not, event i at t_i is kept if
    t_i - t_p > period, or if there is none. This is the rule of tonic.transforms.RefractoryPeriod(period_ms * 1000);
    tonic also drops the first event of a pixel if it is at time 0.
    """

    period_ms: float

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` that pass, at their times."""
        events = stream.events
        pixel = events["y"].astype(np.int64) * stream.shape[2] + events["x"]
        order = np.argsort(pixel, kind="stable")
        pixels, times = pixel[order], events["t"][order]
        late = (pixels[1:] != pixels[:-1]) | (times[1:] - times[:-1] > self.period_ms * 1000)
        keep = np.ones(len(events), np.bool_)
        keep[order[1:]] = late
        return replace(stream, events=events[keep])


@dataclass(frozen=True)
class First(_SameMap):
    """The first ``duration_us`` of a sample; a shorter sample is extended without events to the same duration."""

    duration_us: int

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` before ``duration_us``, at their times."""
        count = int(np.searchsorted(stream.events["t"], self.duration_us))
        return replace(stream, events=stream.events[:count], duration_us=self.duration_us)


@dataclass(frozen=True)
class Merge:
    """Both polarities as one feature, for a chip whose input has one feature (tonic.transforms.MergePolarities)."""

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` as feature 0, at their times."""
        events = stream.events.copy()
        events["c"] = 0
        return replace(stream, events=events, shape=self.shape(stream.shape))

    def shape(self, shape: Shape) -> Shape:
        """``shape`` with one feature."""
        return (1, *shape[1:])


@dataclass(frozen=True)
class Crop:
    """The events in ``height`` rows from row ``top`` on, and ``width`` columns from column ``left`` on.

    Around the middle of the map this is tonic.transforms.CenterCrop.
    """

    top: int
    left: int
    height: int
    width: int

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` inside, at their times; rows and columns are counted from the corner."""
        y, x = stream.events["y"].astype(np.int64) - self.top, stream.events["x"].astype(np.int64) - self.left
        inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        events = stream.events[inside]
        events["y"], events["x"] = y[inside], x[inside]
        return replace(stream, events=events, shape=self.shape(stream.shape))

    def shape(self, shape: Shape) -> Shape:
        """``shape`` with the rows and columns that stay."""
        return (shape[0], self.height, self.width)


@dataclass(frozen=True)
class Pool:
    """Makes one pixel of ``side`` x ``side``, which gets the events of all: x // side, y // side.

    This is tonic.transforms.Downsample(spatial_factor=1 / side). ``side`` must divide the sides of the map.
    """

    side: int

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` on the smaller map, at their times."""
        events = stream.events.copy()
        events["y"] //= self.side
        events["x"] //= self.side
        return replace(stream, events=events, shape=self.shape(stream.shape))

    def shape(self, shape: Shape) -> Shape:
        """``shape`` with fewer rows and columns."""
        return (shape[0], shape[1] // self.side, shape[2] // self.side)


@dataclass(frozen=True)
class Resize:
    """Scales events to a map of ``height`` x ``width`` pixels: x becomes x * width // the sensor's width, y likewise.

    No event is lost: where several sensor pixels become one, it gets all their events.
    """

    height: int
    width: int

    def __call__(self, stream: EventStream) -> EventStream:
        """The events of ``stream`` on the other map, at their times."""
        _, height, width = stream.shape
        events = stream.events.copy()
        events["y"] = stream.events["y"].astype(np.int64) * self.height // height
        events["x"] = stream.events["x"].astype(np.int64) * self.width // width
        return replace(stream, events=events, shape=self.shape(stream.shape))

    def shape(self, shape: Shape) -> Shape:
        """``shape`` with other rows and columns."""
        return (shape[0], self.height, self.width)
