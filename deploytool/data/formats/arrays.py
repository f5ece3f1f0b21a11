"""Events in one array: structured, or plain with a stated order of its columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, doubles
from deploytool.base.errors import InputError
from deploytool.data.formats.named import columns_named
from deploytool.data.formats.reading import COLUMNS, RawEvents, Reading

NEED: Final = "a structured array with the fields t, x, y and c (or p), or an array (N, 4) and --columns"


def events_in_array(array: Array, reading: Reading, name: str, shape: tuple[int, ...] | None = None) -> RawEvents:
    """The events in ``array``: structured (N,), or plain (N, 4) in the order that ``reading`` states.

    ``shape`` is that of the whole array if ``array`` has some of its rows.
    """
    shape = array.shape if shape is None else shape
    check_array(shape, array.dtype, name)
    if array.dtype.names:
        return columns_named({field: array[field] for field in array.dtype.names}, reading, name)
    if reading.columns is None:
        need = "the order of its columns t, x, y and p"
        todo = f"Add --columns {likely_columns(array)}, if that is their order."
        raise InputError(name, _found(shape, array.dtype), need, todo)
    t, x, y, p = (array[:, reading.columns.index(column)] for column in COLUMNS)
    return RawEvents(t, x, y, p, unit=None)


def check_array(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Raises InputError unless an array of ``shape`` and ``dtype`` in the file ``name`` can hold events."""
    if dtype.names and len(shape) == 1:
        return
    found = _found(shape, dtype)
    if len(shape) >= 3:
        frames = "frames, which are counts per time step without the times of events"
        need, todo = "the events that they were made from", "Save these as a structured array of t, x, y and p."
        raise InputError(name, f"{found}: {frames}", need, todo)
    if len(shape) != 2 or shape[1] != len(COLUMNS) or dtype.kind not in "iuf":
        todo = "Transpose it." if len(shape) == 2 and shape[0] == len(COLUMNS) else ""
        raise InputError(name, found, NEED, todo)


def _found(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"an array {shape} of {dtype}"


def likely_columns(array: Array) -> str:
    """The likely column order of ``array`` (N, 4) judging by its values; "xypt" if they do not show it."""
    with np.errstate(invalid="ignore", over="ignore"):  # values may be infinite; whoever reads them says so
        spans = np.ptp(array, axis=0) if len(array) else np.zeros(4)
        ascends = [len(array) > 1 and bool((np.diff(column) >= 0).all()) for column in doubles(array.T)]
    polar = [len(array) > 1 and set(np.unique(column[:10_000]).tolist()) in ({0, 1}, {-1, 1}) for column in array.T]
    times = [i for i in np.argsort(-spans) if ascends[i] and not polar[i]]
    if not times or polar.count(True) != 1:
        return "xypt"
    order = {int(times[0]): "t", polar.index(True): "p"}
    places = iter("xy")
    return "".join(order.get(i) or next(places) for i in range(4))
