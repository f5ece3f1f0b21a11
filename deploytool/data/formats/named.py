"""Columns of events by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.reading import RawEvents, Reading

NAMES: Final[Mapping[str, Sequence[str]]] = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t_us"),
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
    "c": ("c", "channel", "feature"),
}
"""Column names, in any case. c is a feature number and p a polarity; a file has one of the two."""

_PREFIX: Final = re.compile(r"^(events?|ev)[_/.]")

NEED: Final = "a structured array with the fields t, x, y and c (or p), or columns of these names"


def roles(names: Sequence[str]) -> dict[str, str]:
    """{"t": the name of the times, and so on} for those of ``names`` that are known."""
    known = {alias: role for role, aliases in NAMES.items() for alias in aliases}
    found = {known.get(_PREFIX.sub("", name.lower())): name for name in reversed(names)}
    return {role: found[role] for role in NAMES if role in found}


def complete(names: Sequence[str]) -> bool:
    """Whether ``names`` include all columns that events need."""
    found = roles(names)
    return {"t", "x", "y"} <= found.keys() and ("p" in found or "c" in found)


def columns_named(columns: Mapping[str, Array], reading: Reading, name: str) -> RawEvents:
    """The events in ``columns`` {column name: (N,)} of the file ``name``.

    Raises InputError if columns are missing or differ in length, UsageError if ``reading`` states their order.
    """
    found = roles(list(columns))
    if not complete(list(columns)):
        raise InputError(name, f"fields {', '.join(columns) or 'none'}", NEED)
    if reading.columns is not None:
        raise UsageError("--columns", f"given with {name}, which names its columns", "a file that does not")
    feature = "c" if "c" in found else "p"
    t, x, y, p = (_vector(columns[found[role]]) for role in ("t", "x", "y", feature))
    same_length([len(t), len(x), len(y), len(p)], ["t", "x", "y", feature], name)
    return RawEvents(t, x, y, p, unit=None, features=feature == "c")


def same_length(lengths: Sequence[int], names: Sequence[str], name: str) -> int:
    """The length of all columns. Raises InputError if the ``lengths`` of the columns ``names`` in a file differ."""
    if len({*lengths}) > 1:
        says = ", ".join(f"{length} of {column}" for length, column in zip(lengths, names, strict=True))
        raise InputError(name, says, "the same number of each")
    return lengths[0]


def _vector(column: Array) -> Array:
    """``column`` (N,), (N, 1) or (1, N) as (N,); any other as it is."""
    return column.ravel() if column.ndim == 2 and 1 in column.shape else np.atleast_1d(column)
