"""What readers find in files, made into events of one kind: microseconds from the first event, polarity as feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape, are_whole, format_shape
from deploytool.base.errors import InputError
from deploytool.data.formats.reading import RawEvents, Reading
from deploytool.data.formats.times import UNREAD, Clock, timed
from deploytool.ir.events import EVENT, Events

FIELD_MAX: Final = 0xFFFF


@dataclass(frozen=True)
class Seen:
    """What a file showed up to some event: its clock, and in ``extent`` the smallest map (C, H, W) of its events.

    The events end at ``duration_us``. ``sensor`` (H, W) is the size of the camera, if it is stated. ``signed``: OFF is
    -1, not 0; None while there was neither. ``merged``: both polarities became one feature.
    """

    clock: Clock = UNREAD
    duration_us: int = 1
    extent: Shape = (0, 0, 0)
    sensor: tuple[int, int] | None = None
    signed: bool | None = None
    merged: bool = False


NOTHING: Final = Seen()
"""What a file showed of which nothing was read."""


@dataclass(frozen=True, eq=False)
class Uniform:
    """``events`` of a file, and what the file showed up to the last of them."""

    events: Events
    seen: Seen


def uniform(raw: RawEvents, reading: Reading, shape: Shape | None, name: str, seen: Seen = NOTHING) -> Uniform:
    """The events of ``raw``, from the file ``name``, for a map of ``shape`` (C, H, W); with None for that of the file.

    ``seen`` is what the file showed before them. A map of one feature merges both polarities. Raises InputError for
    invalid times, places or polarities.
    """
    events = np.empty(len(raw), EVENT)
    if not len(raw):
        return Uniform(events, seen)
    y, x = _whole("y", raw.y, name), _whole("x", raw.x, name)
    features, signed = (_whole("c", raw.p, name), None) if raw.features else _polarities(raw.p, name, seen.signed)
    extent = (int(features.max()) + 1, int(y.max()) + 1, int(x.max()) + 1)
    _refuse_other_sensor(raw, extent, shape, name)
    _, height, width = shape or (0, *(raw.sensor or extent[1:]))
    times = timed(raw.t, reading, raw.unit, height * width, name, seen.clock)
    merged = shape is not None and shape[0] == 1 and extent[0] == 2
    events["t"], events["c"] = times.t_us, 0 if merged else features
    events["y"], events["x"] = y, x
    channels, rows, columns = (max(pair) for pair in zip(extent, seen.extent, strict=True))
    duration_us = max(seen.duration_us, int(times.t_us.max()) + times.clock.step_us)
    merged_now = merged or seen.merged
    return Uniform(
        events, Seen(times.clock, duration_us, (channels, rows, columns), raw.sensor or seen.sensor, signed, merged_now)
    )


def polarities(p: Array, name: str) -> NDArray[np.int64]:
    """(N,): 1 for ON and 0 for OFF; in ``p`` these are true and false, 1 and 0, or 1 and -1.

    Other whole numbers of at least 0 stay unchanged. Raises InputError for any other value.
    """
    return _polarities(p, name, None)[0].astype(np.int64)


def _polarities(p: Array, name: str, signed: bool | None) -> tuple[Array, bool | None]:
    """(polarities (N,) as `polarities` has them, whether OFF is -1); ``signed`` says that of the events before."""
    if p.dtype.kind == "b" or not len(p):
        return p, signed
    if p.dtype.kind not in "iuf" or p.ndim != 1 or not are_whole(p).all():
        raise InputError(name, f"polarities of dtype {p.dtype}", "true and false, 1 and 0, or 1 and -1")
    low, high = p.min(), p.max()
    if signed is None and (low, high) == (1, 2):
        raise InputError(name, "polarities 1 and 2", "1 and 0, or 1 and -1", "Subtract 1 from them.")
    before, signed = signed, {0: False, -1: True}.get(low, signed)
    mixed = before not in (None, signed) or (low == -1 and bool((p == 0).any()))
    if low < -1 or mixed or (signed and high > 1):
        raise InputError(name, f"polarities from {low:g} to {high:g}", "1 and 0, or 1 and -1")
    return (p > 0 if signed else _whole("p", p, name)), signed


def _whole(field: str, column: Array, name: str) -> Array:
    """``column`` (N,) as integers that fit a field of an event."""
    if column.dtype.kind not in "iubf" or column.ndim != 1:
        raise InputError(name, f"field {field} has dtype {column.dtype}", "whole numbers")
    if not len(column) or (column.dtype.kind in "ub" and column.dtype.itemsize <= 2):
        return column
    low, high = column.min().item(), column.max().item()
    if not (low >= 0 and high <= FIELD_MAX):
        raise InputError(name, f"field {field} spans {low}..{high}", f"0..{FIELD_MAX}")
    if not are_whole(column).all():
        raise InputError(name, f"field {field} has fractions", "whole numbers")
    return column


def _refuse_other_sensor(raw: RawEvents, extent: Shape, shape: Shape | None, name: str) -> None:
    """Raises InputError if the camera stated in the file is larger than the map and events lie outside the map."""
    if shape is None or raw.sensor is None or (extent[1] <= shape[1] and extent[2] <= shape[2]):
        return
    rows, columns = raw.sensor
    found = f"events of a camera of {rows}x{columns} pixels, up to row {extent[1] - 1} and column {extent[2] - 1}"
    raise InputError(name, found, f"events on a map of {format_shape(shape)}", "Crop or scale the recording first.")
