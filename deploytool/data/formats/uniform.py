"""What readers find in files, made into events of one kind: microseconds from the first event, polarity as feature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape, format_shape
from deploytool.base.errors import InputError
from deploytool.data.formats.reading import RawEvents, Reading
from deploytool.data.formats.times import Timed, timed
from deploytool.ir.events import EVENT, Events

FIELD_MAX: Final = 0xFFFF


@dataclass(frozen=True, eq=False)
class Uniform:
    """The ``events`` of a file, the changes to their times, and whether both polarities were merged."""

    events: Events
    times: Timed
    merged: bool

    @property
    def without_events(self) -> Uniform:
        """What was changed, without the events and their times."""
        return replace(self, events=self.events[:0].copy(), times=replace(self.times, t_us=self.times.t_us[:0].copy()))

    @property
    def duration_us(self) -> int:
        """The duration of the recording, up to the end of its last event."""
        return int(self.times.t_us.max(initial=-1)) + self.times.step_us if len(self.events) else 1


def uniform(raw: RawEvents, reading: Reading, shape: Shape, name: str) -> Uniform:
    """The events of ``raw``, from the file ``name``, for a map of ``shape`` (C, H, W).

    A map of one feature merges both polarities. Raises InputError for invalid times, places or polarities.
    """
    times = timed(raw.t, reading, raw.in_us, shape[1] * shape[2], name)
    features = _whole("c", raw.p, name) if raw.features else polarities(raw.p, name)
    merged = shape[0] == 1 and bool((features == 1).any()) and int(features.max()) == 1
    events = np.empty(len(raw), EVENT)
    events["t"], events["c"] = times.t_us, 0 if merged else features
    events["y"], events["x"] = _whole("y", raw.y, name), _whole("x", raw.x, name)
    _refuse_other_sensor(raw, shape, name)
    return Uniform(events, times, merged)


def polarities(p: Array, name: str) -> NDArray[np.int64]:
    """(N,): 1 for ON and 0 for OFF; in ``p`` these are true and false, 1 and 0, or 1 and -1.

    Other whole numbers of at least 0 stay unchanged. Raises InputError for any other value.
    """
    if p.dtype.kind == "b" or not len(p):
        return p.astype(np.int64)
    if p.dtype.kind not in "iuf" or p.ndim != 1 or not (p == np.rint(p)).all():
        raise InputError(name, f"polarities of dtype {p.dtype}", "true and false, 1 and 0, or 1 and -1")
    if set(np.unique(p[:10_000]).tolist()) == {1, 2}:
        raise InputError(name, "polarities 1 and 2", "1 and 0, or 1 and -1", "Subtract 1 from them.")
    if p.min() >= 0:
        return _whole("p", p, name)
    if set(np.unique(p).tolist()) <= {-1, 1}:
        return (p > 0).astype(np.int64)
    raise InputError(name, f"polarities from {p.min():g} to {p.max():g}", "1 and 0, or 1 and -1")


def _whole(field: str, column: Array, name: str) -> Array:
    """``column`` (N,) as integers that fit a field of an event."""
    if column.dtype.kind not in "iubf" or column.ndim != 1:
        raise InputError(name, f"field {field} has dtype {column.dtype}", "whole numbers")
    if not len(column) or (column.dtype.kind in "ub" and column.dtype.itemsize <= 2):
        return column
    low, high = column.min(), column.max()
    if not (low >= 0 and high <= FIELD_MAX):
        raise InputError(name, f"field {field} spans {low}..{high}", f"0..{FIELD_MAX}")
    if column.dtype.kind == "f" and not (column == np.rint(column)).all():
        raise InputError(name, f"field {field} has fractions", "whole numbers")
    return column


def _refuse_other_sensor(raw: RawEvents, shape: Shape, name: str) -> None:
    """Raises InputError if the camera stated in the file is larger than the map and events lie outside the map."""
    _, height, width = shape
    if raw.sensor is None or not len(raw) or (int(raw.y.max()) < height and int(raw.x.max()) < width):
        return
    rows, columns = raw.sensor
    found = f"events of a camera of {rows}x{columns} pixels, up to row {raw.y.max()} and column {raw.x.max()}"
    raise InputError(name, found, f"events on a map of {format_shape(shape)}", "Crop or scale the recording first.")
