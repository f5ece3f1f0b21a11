"""HDF5 files that anybody may have written: which of their arrays may be read."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploytool.base.errors import InputError
from deploytool.base.memory import memory_allowed

if TYPE_CHECKING:
    import h5py

BYTES_MIN: Final = 2**30
BYTES_PER_BYTE: Final = 20
"""Arrays may take 1 GiB, or this many times the size of their file; more counts as a decompression bomb."""

CHUNK_BYTES: Final = 512
"""What the HDF5 library takes for each chunk of an array that it reads, about."""

ARRAYS_ALLOWED: Final = "at most 1 GiB in total, or 20 times the file's size, within --max-memory"
"""`bytes_allowed` in words."""

DAMAGE: Final = (OSError, OverflowError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)
"""Exceptions raised when an HDF5 file is damaged, or has something else where an array or attribute should be."""


def bytes_allowed(path: Path) -> int:
    """The number of bytes that the arrays of the file ``path`` may take in total."""
    return min(max(BYTES_MIN, BYTES_PER_BYTE * path.stat().st_size), memory_allowed())


def bytes_of(item: h5py.Dataset, where: str, bytes_left: int) -> int:
    """The number of bytes that the array ``item`` of the file ``where`` takes.

    Raises InputError when it is stored in other files, or takes more than ``bytes_left``, or one of its chunks does, or
    what HDF5 notes of all chunks while it reads them.
    """
    if item.external or item.is_virtual:
        raise InputError(where, f"{item.name} is stored in other files", "arrays in the file itself")
    if item.nbytes > bytes_left:
        found = f"{item.name} of shape {item.shape} is too large for a file of this size"
        raise InputError(where, found, f"arrays of {ARRAYS_ALLOWED}")
    if item.chunks and (chunk := math.prod(item.chunks) * item.dtype.itemsize) > bytes_left:
        found = f"{item.name} in chunks of {chunk:,} bytes is too large for a file of this size"
        raise InputError(where, found, f"chunks of {ARRAYS_ALLOWED}")
    if item.chunks and CHUNK_BYTES * (number := _chunks(item.shape, item.chunks)) > bytes_left:
        found = f"{item.name} of shape {item.shape} is in {number:,} chunks"
        raise InputError(where, found, "fewer and larger chunks", "Write it in chunks of thousands of numbers.")
    return int(item.nbytes)


def _chunks(shape: Sequence[int], chunk: Sequence[int]) -> int:
    """The number of chunks of an array of ``shape``, whether they are stored or not."""
    return math.prod(-(-size // of) for size, of in zip(shape, chunk, strict=True))


COPY_AGAIN: Final = "Copy or write the file again."
_HEAP: Final = b"GCOL\x01\0\0\0"
_HEAP_HEADER, _OBJECT_HEADER, _ALIGNED = 16, 16, 8


def require_sound_heaps(path: Path) -> None:
    """Raises InputError if a heap of texts in the HDF5 file ``path`` is damaged such that HDF5 would never end.

    A heap is a signature, its size (8 bytes), and objects of index (2), references (2), 0 (4), size (8) and content.
    HDF5 goes from object to object by their sizes modulo 2^64, and stays at an object of size 0. Heaps do not overlap,
    so all have at most one object per 16 bytes of the file; twice that is allowed, for what only looks like a heap.
    """
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        objects_left = len(content) // _ALIGNED
        heap = content.find(_HEAP)
        while heap >= 0:
            end = min(heap + int.from_bytes(content[heap + 8 : heap + _HEAP_HEADER], "little"), len(content))
            at = heap + _HEAP_HEADER
            while at + _OBJECT_HEADER <= end:
                step, objects_left = _object_size(content[at : at + _OBJECT_HEADER]), objects_left - 1
                if step < _ALIGNED or objects_left < 0:
                    raise InputError(str(path), "a damaged heap of texts", "a complete HDF5 file", COPY_AGAIN)
                at += step
            heap = content.find(_HEAP, heap + _HEAP_HEADER)


def _object_size(header: bytes) -> int:
    """The number of bytes that HDF5 takes for the object of a heap with the ``header``, free space included."""
    size = int.from_bytes(header[8:], "little")
    is_free = header[:2] == b"\0\0"
    return size if is_free else (_OBJECT_HEADER + -(-size // _ALIGNED) * _ALIGNED) % 2**64
