"""Named arrays whose types and shapes are checked when they are read, as the columns of a recording file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.errors import ArtifactError

Name = TypeVar("Name", bound=str)

NEED: Final = "a recording that deploytool wrote"
LARGEST: Final = 2**53
"""The largest integer in a column: up to it, every integer is exact in float64."""


class Columns:
    """The ``columns`` {name: array} of a file, called ``where`` in errors.

    Every method that reads one raises ArtifactError, naming the column, if it is missing or has another type or shape.
    """

    def __init__(self, where: str, columns: Mapping[str, Array], need: str = NEED) -> None:
        self.where, self.columns, self.need = where, columns, need

    def error(self, name: str, found: str, need: str) -> ArtifactError:
        """An error about column ``name``."""
        return ArtifactError(f"{self.where}: {name}", found, need)

    def column(self, name: str, default: Array | None = None) -> Array:
        """Column ``name``, or ``default`` if the file lacks it. A column without ``default`` is required."""
        if name in self.columns:
            return self.columns[name]
        if default is None:
            raise self.error(name, "missing", "a column of this name")
        return default

    def integers(self, name: str, *shape: int | None, least: int | None = None, default: Array | None = None) -> Array:
        """Column ``name`` of integers, at least ``least``, of ``shape``; None in ``shape`` means any size."""
        array = self.column(name, default)
        if array.dtype.kind not in "iu" or not _fits(array.shape, shape):
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise self.error(name, f"found {array.dtype} of shape {array.shape}", f"integers of shape ({sizes})")
        lowest = -LARGEST if least is None else least
        if array.size and (int(array.max()) > LARGEST or int(array.min()) < lowest):
            raise self.error(name, f"found {array.min()} to {array.max()}", f"integers of {lowest} to {LARGEST}")
        return array

    def each(self, name: str, count: int, least: int = 0, default: Array | None = None) -> Array:
        """Column ``name`` of integers, at least ``least``, ``count`` of them, or none if they are not known."""
        array = self.integers(name, None, least=least, default=default)
        if len(array) not in (0, count):
            raise self.error(name, f"found {len(array)} values", f"{count}, one for each sample, or none")
        return array

    def ends(self, name: str, total: int, of: str, count: int | None = None) -> Array:
        """Column ``name`` of ``count`` integers: where each piece of all ``total`` ends. ``of`` says what these are."""
        array = self.integers(name, count, least=0).astype(np.int64)
        if (last := int(array[-1]) if len(array) else 0) != total:
            raise self.error(name, f"{total} {of}, not {last}", self.need)
        if (np.diff(array) < 0).any():
            raise self.error(name, f"ends of {of} that do not ascend", self.need)
        return array

    def texts(self, name: str, count: int | None = None) -> tuple[str, ...]:
        """Column ``name`` of strings, ``count`` of them if it is given."""
        array = self.column(name)
        if array.ndim != 1 or (array.dtype.kind != "U" and array.size) or count not in (None, len(array)):
            need = f"{'any number of' if count is None else count} strings"
            raise self.error(name, f"found {array.dtype} of shape {array.shape}", need)
        return tuple(self.string(name, each) for each in array)

    def text(self, name: str, default: str | None = None) -> str:
        array = self.column(name, None if default is None else np.array(default))
        if array.ndim or array.dtype.kind != "U":
            raise self.error(name, f"found {array.dtype} of shape {array.shape}", "one string")
        return self.string(name, array)

    def string(self, name: str, value: Any) -> str:
        """The string ``value`` of column ``name``, in which every character has a place in Unicode."""
        try:
            found = str(value)
            found.encode("utf-8")
        except (ValueError, SystemError):
            raise self.error(name, "found a string that is no text", "text") from None
        return found

    def one_of(self, name: str, allowed: Sequence[Name], default: str | None = None) -> Name:
        """The text of column ``name``, which is one of ``allowed``."""
        found = self.text(name, default)
        for each in allowed:
            if each == found:
                return each
        raise self.error(name, f"found {found!r}", f"one of {', '.join(allowed)}")

    def reals(self, name: str, kind: type[np.floating[Any]], axes: int, default: Array | None = None) -> Array:
        """Column ``name`` of numbers of type ``kind``, with ``axes`` axes of any size."""
        array = self.column(name, default)
        if array.dtype != kind or array.ndim != axes:
            need = f"{kind.__name__} of shape ({', '.join(['any'] * axes)})"
            raise self.error(name, f"found {array.dtype} of shape {array.shape}", need)
        return array


def narrow(counts: NDArray[np.int64]) -> Array:
    """``counts`` in the smallest unsigned dtype that holds them."""
    return np.asarray(counts.astype(np.min_scalar_type(int(counts.max(initial=0)))))


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(size in (None, given) for size, given in zip(wanted, found, strict=True))
