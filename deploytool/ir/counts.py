"""Spikes per neuron of many samples: an array, or something that reads like one and stays on disk.

A recording of ten thousand samples has more counts than fit in memory together. Where they are read from a file, only a
piece of them, some successive samples, is in memory at a time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from deploytool.base.arrays import Array

PIECE: Final = 1 << 20
"""Number of counts in a piece; a piece has one sample at least."""

IN_MEMORY: Final = 1 << 22
"""Counts of a layer of at most this many are read at once, and are arrays."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A piece of ``samples`` samples, which ``read()`` returns: (samples, C, H, W) of any integer type."""

    samples: int
    read: Callable[[], Array]


class Counts(NDArrayOperatorsMixin):
    """Counts of shape (S, C, H, W), int64, read-only: ``pieces`` in order. It reads like an array.

    Indexing with a sample, a slice or a list of samples reads only the pieces that hold them, and so do `slices` and
    ``sum``. Any other operation, and ``numpy.asarray``, reads all of it. One piece is kept in memory.
    """

    dtype: Final = np.dtype(np.int64)

    def __init__(self, pieces: Sequence[Stored], shape: tuple[int, ...]) -> None:
        self.pieces, self.shape = tuple(pieces), (sum(piece.samples for piece in pieces), *shape)
        self.starts = np.cumsum([0, *(piece.samples for piece in pieces)]).tolist()
        self._held: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    ndim: Final = 4

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, (int, np.integer)):
            index = int(first) + (len(self) if first < 0 else 0)
            if not 0 <= index < len(self):
                raise IndexError(f"sample {first} of {len(self)}")
            return self._between(index, index + 1)[0][tuple(rest)]
        if isinstance(first, slice) and first.step in (None, 1):
            start, stop, _ = first.indices(len(self))
            return self._between(start, stop)[(slice(None), *rest)]
        if isinstance(key, list) and all(isinstance(sample, int) for sample in key):
            return np.stack([self[sample] for sample in key]) if key else self[:0]
        return np.asarray(self)[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self._between(0, len(self))
        return whole if dtype is None else whole.astype(dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(each) if isinstance(each, Counts) else each for each in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Any:
        """As that of an array. Sums over all samples, or within each sample, are made piece by piece."""
        parts = (self[part].sum(axis=axis) for part in slices(self.shape))
        if axis is None or axis == 0:
            return sum(parts, start=np.zeros(self.shape[1:] if axis == 0 else (), np.int64))
        if axis == (1, 2, 3):
            return np.concatenate([np.zeros(0, np.int64), *parts])
        return np.asarray(self).sum(axis=axis)

    def max(self, initial: int = 0) -> int:
        """The largest count, or ``initial``."""
        return max([initial, *(int(self[part].max(initial=initial)) for part in slices(self.shape))])

    def __getattr__(self, name: str) -> Any:
        """Anything else that an array has, with all counts in memory."""
        if name.startswith("_") or "starts" not in vars(self):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def _between(self, start: int, stop: int) -> NDArray[np.int64]:
        """(stop - start, C, H, W): the counts of these samples, read-only."""
        found = [np.zeros((0, *self.shape[1:]), np.int64)]
        number = bisect_right(self.starts, start) - 1
        while number < len(self.pieces) and (first := self.starts[number]) < stop:
            found.append(self._piece(number)[max(start - first, 0) : stop - first])
            number += 1
        whole = found[1] if len(found) == 2 else np.concatenate(found)
        whole.setflags(write=False)
        return whole

    def _piece(self, number: int) -> NDArray[np.int64]:
        held, piece = self._held
        if held != number:
            piece = np.asarray(self.pieces[number].read(), np.int64)
            self._held = number, piece
        return piece


Maps: TypeAlias = NDArray[np.int64]
"""Counts of a layer, (S, C, H, W): an array, or `Counts`, which has the attributes of one."""


def on_disk(pieces: Sequence[Stored], shape: tuple[int, ...]) -> Maps:
    """`Counts` of ``pieces`` with maps of ``shape`` (C, H, W)."""
    return cast(Maps, Counts(pieces, shape))


def samples_at_once(shape: tuple[int, ...]) -> int:
    """The number of samples with maps of ``shape`` (C, H, W) in a piece."""
    return max(1, PIECE // max(1, math.prod(shape)))


def slices(shape: tuple[int, ...]) -> Iterator[slice]:
    """Successive samples of counts of ``shape`` (S, C, H, W), a piece at a time."""
    step = samples_at_once(shape[1:])
    for first in range(0, shape[0], step):
        yield slice(first, min(first + step, shape[0]))


def concatenated(parts: Sequence[Maps]) -> Maps:
    """The counts of ``parts``, one after the other: an array unless one of them is on disk."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    pieces: list[Stored] = []
    for part in cast("Sequence[object]", parts):
        pieces += part.pieces if isinstance(part, Counts) else [_held(np.asarray(part))]
    return on_disk(pieces, parts[0].shape[1:])


def _held(array: Array) -> Stored:
    return Stored(len(array), lambda: array)
