"""Numbers in MATLAB files of version 5: variables, and the fields of structs.

A file has 128 bytes of header, then elements: a type and a length in 32 bits each, or both in 16 bits with four bytes
of data behind them, and the data, up to a multiple of 8 bytes. An element may be packed (zlib). A variable is an
element of elements: class, shape, name and values; of a struct, the names of its fields and a variable for each.
Specification: MathWorks, "MAT-File Format". Each length is checked before it is used; scipy's reader, which trusts some
of them, ends Python on damaged files.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.hdf5 import ARRAYS_ALLOWED, bytes_allowed

HEADER: Final = 128
TYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of numbers in an element."""
MATRIX, PACKED = 14, 15
STRUCT: Final = 2
NUMBERS: Final = range(6, 16)
"""Classes of variables: double, single, and integers of 8 to 64 bits."""
COMPLEX: Final = 1 << 11
AXES_MAX: Final = 32


class Element(NamedTuple):
    """The ``data`` of an element, and the type of what is in it; ``order`` is that of its bytes, "<" or ">"."""

    type: int
    data: memoryview
    order: str

    def numbers(self) -> Array:
        """(N,): the numbers in an element of numbers. Raises ValueError for other elements."""
        if self.type not in TYPES:
            raise ValueError(f"an element of type {self.type} in place of numbers")
        dtype = np.dtype(self.order + TYPES[self.type])
        if len(self.data) % dtype.itemsize:
            raise ValueError(f"{len(self.data)} bytes of numbers of {dtype.itemsize} bytes")
        return np.frombuffer(self.data, dtype)


def variables_of(path: Path) -> dict[str, Array | dict[str, Array]]:
    """{name: array, or {field: array} of a struct} for the variables of real numbers in the file ``path``.

    Raises InputError if it is damaged, or if its variables are too large when they are unpacked.
    """
    left = bytes_allowed(path)
    found: dict[str, Array | dict[str, Array]] = {}
    try:
        content = memoryview(path.read_bytes())
        order = "<" if bytes(content[HEADER - 2 : HEADER]) == b"IM" else ">"
        for element in _elements(content[HEADER:], order):
            data = element.data
            if element.type == PACKED:
                data = memoryview(_unpacked(data, left))
                left -= len(data)
                (element,) = _elements(data, order)
            if element.type == MATRIX:
                name, value = _variable(element)
                if value is not None:
                    found[name] = value
    except (ValueError, IndexError, StopIteration, RecursionError, zlib.error) as error:
        reason = " ".join(str(error).split()).rstrip(".") or "cut short"
        raise InputError(str(path), f"cannot be read ({reason})", "a MATLAB file", "Copy it again.") from None
    except OverflowError:
        says = "variables that are too large for a file of this size"
        raise InputError(str(path), says, ARRAYS_ALLOWED) from None
    return found


def _unpacked(data: memoryview, most: int) -> bytes:
    """``data`` without compression. Raises OverflowError if that has more than ``most`` bytes."""
    unpack = zlib.decompressobj()
    content = unpack.decompress(data, most + 1)
    if len(content) > most:
        raise OverflowError
    if not unpack.eof:
        raise ValueError("cut short")
    return content


def _elements(content: memoryview, order: str) -> Iterator[Element]:
    """The elements in ``content``. Raises ValueError if one is longer than that."""
    at = 0
    while at < len(content):
        if len(content) - at < 8:
            raise ValueError("cut short")
        first, second = (int(number) for number in np.frombuffer(content, f"{order}u4", 2, at))
        if first >> 16:
            kind, length, begin, end = first & 0xFFFF, first >> 16, at + 4, at + 8
        else:
            kind, length, begin = first, second, at + 8
            end = begin + length if kind == PACKED else begin + (length + 7) // 8 * 8
        if begin + length > min(len(content), end):
            raise ValueError("cut short")
        yield Element(kind, content[begin : begin + length], order)
        at = end


def _variable(element: Element) -> tuple[str, Array | dict[str, Array] | None]:
    """(name, value) of the variable in ``element``; None for what is neither real numbers nor one struct of these."""
    inside = _elements(element.data, element.order)
    flags, shape, name = next(inside), next(inside), next(inside)
    kind = int(flags.numbers()[0])
    dimensions = tuple(int(size) for size in shape.numbers())
    if not 2 <= len(dimensions) <= AXES_MAX or min(dimensions) < 0:
        raise ValueError(f"a variable of shape {dimensions}")
    text = bytes(name.data).decode("latin-1")
    if kind & 0xFF == STRUCT:
        return text, _fields(inside) if math.prod(dimensions) == 1 else None
    if kind & 0xFF not in NUMBERS or kind & COMPLEX:
        return text, None
    numbers = next(inside).numbers()
    if len(numbers) != math.prod(dimensions):
        raise ValueError(f"{len(numbers)} numbers in a variable of shape {dimensions}")
    return text, numbers.reshape(dimensions, order="F")


def _fields(inside: Iterator[Element]) -> dict[str, Array]:
    """{field: array} of the fields of one struct that are real numbers."""
    length, names = int(next(inside).numbers()[0]), bytes(next(inside).data)
    if length < 1 or len(names) % length:
        raise ValueError(f"names of fields of {length} bytes")
    found = {}
    for at in range(0, len(names), length):
        _, value = _variable(next(inside))
        if isinstance(value, np.ndarray):
            found[names[at : at + length].split(b"\0")[0].decode("latin-1")] = value
    return found
