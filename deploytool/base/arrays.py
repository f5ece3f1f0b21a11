"""Read-only arrays, and the names of their types."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError

Array: TypeAlias = NDArray[Any]

Pair: TypeAlias = tuple[int, int]
"""(vertical, horizontal)."""

Shape: TypeAlias = tuple[int, int, int]
"""(C, H, W); a vector of N is (N, 1, 1)."""


def frozen(array: Array) -> Array:
    """A read-only, C-contiguous copy of ``array``, or ``array`` itself if it already is one.

    One number that is broadcast to a shape stays as it is: it takes no memory.
    """
    one_value = not any(array.strides)
    if (array.flags.c_contiguous or one_value) and not array.flags.writeable:
        return array
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def wide(array: Array) -> Array:
    """``array``; floats in double precision at least, so that limits beyond the range of small ones can be compared."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(invalid="ignore"):
        return array.astype(np.promote_types(array.dtype, np.float64), copy=False)


def doubles(array: Array) -> NDArray[np.float64]:
    """``array`` as float64, whatever is in it: NumPy warns of numbers that become infinite and of signalling NaNs."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.float64, copy=False)


def all_finite(array: Array) -> bool:
    """Whether ``array`` holds neither a NaN nor an infinity. NumPy warns of signalling NaNs of some types."""
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(array).all())


def are_whole(array: Array) -> NDArray[np.bool_]:
    """Where ``array`` holds whole numbers; neither a NaN nor an infinity is one. NumPy warns of signalling NaNs."""
    if array.dtype.kind != "f":
        return np.broadcast_to(np.True_, array.shape)
    with np.errstate(invalid="ignore"):
        return cast(NDArray[np.bool_], np.isfinite(array) & (array == np.rint(array)))


def without_repeats(array: Array) -> Array:
    """``array`` with one element along each axis that is broadcast: all values that it has, without those repeated."""
    return array[tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)]


def one_number(array: Array) -> float | Array:
    """The common value if all elements of ``array`` are equal, as an int or a float; otherwise ``array``."""
    first = array[(0,) * array.ndim]
    return cast(float, first.item()) if np.all(without_repeats(array) == first) else array


def require_finite(where: str, what: str, array: Array | float) -> None:
    """Raises InputError when ``array`` holds a NaN, an infinity, or a value that overflows float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(without_repeats(np.asarray(array)).astype(np.float32, copy=False))
    if not finite.all():
        bad = np.size(array) - np.count_nonzero(np.broadcast_to(finite, np.shape(array)))
        raise InputError(where, f"{what} has {bad} values that are not finite in float32", "finite numbers")


def format_shape(shape: tuple[int, ...]) -> str:
    """``2x34x34`` for (2, 34, 34)."""
    return "x".join(map(str, shape))
