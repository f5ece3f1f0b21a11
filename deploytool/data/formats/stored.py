"""Arrays in files, of which some rows at a time are read and made into events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.formats.arrays import check_array, events_in_array
from deploytool.data.formats.named import columns_named, complete, roles, same_length
from deploytool.data.formats.parts import Part, Parts, Place
from deploytool.data.formats.reading import COLUMNS, Reading

ROWS: Final = 1 << 17
"""Number of rows read at a time. The first ones decide which unit of time is plausible."""


@dataclass(frozen=True)
class Stored:
    """An array in a file: its ``shape`` and ``dtype``; ``read(first, number)`` gives that many of its rows, or fewer at
    its end."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], Array]

    def column(self, index: int) -> Stored:
        """(N,): a column of an array (N, M)."""
        return Stored(self.shape[:1], self.dtype, lambda first, number: self.read(first, number)[:, index])


def array_parts(stored: Stored, reading: Reading, name: str, place: Place) -> Parts:
    """The events in the one array of the file ``name``. Raises as `events_in_array` does."""
    check_array(stored.shape, stored.dtype, name)
    for at in _starts(place, stored.shape[0]):
        yield Part(events_in_array(stored.read(at, ROWS), reading, name, stored.shape), Place(at))


def column_parts(columns: Mapping[str, Stored], reading: Reading, name: str, place: Place) -> Parts:
    """The events in the arrays ``columns`` {column name: (N,)} of the file ``name``. Raises as `columns_named` does."""
    columns = _split(columns)
    columns_named({key: np.empty(0, column.dtype) for key, column in columns.items()}, reading, name)
    columns = {key: columns[key] for key in roles(list(columns)).values()}
    if single := [key for key, column in columns.items() if not column.shape]:
        raise InputError(name, f"{single[0]} is a single number", "an array of it for all events")
    length = same_length([column.shape[0] for column in columns.values()], list(columns), name)
    for at in _starts(place, length):
        read = {key: column.read(at, ROWS) for key, column in columns.items()}
        yield Part(columns_named(read, reading, name), Place(at))


def is_events(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array of ``shape`` and ``dtype`` is likely one of events."""
    if dtype.names:
        return complete(dtype.names) and len(shape) == 1
    return len(shape) == 2 and shape[1] == len(COLUMNS) and dtype.kind in "iuf"


def _starts(place: Place, length: int) -> Iterator[int]:
    """The first row of every part from ``place`` on."""
    yield from range(place.at, length, ROWS)


def _split(columns: Mapping[str, Stored]) -> dict[str, Stored]:
    """``columns``, an array (N, 2) of x and y replaced with its columns."""
    found = dict(columns)
    for key in columns:
        if key.lower() == "xy" and len(columns[key].shape) == 2 and columns[key].shape[1] == 2:
            both = found.pop(key)
            found |= {"x": both.column(0), "y": both.column(1)}
    return found
