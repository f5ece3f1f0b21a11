"""numpy's files: the header of an array, and archives of arrays. Nothing is allocated before its size is checked."""

from __future__ import annotations

import contextlib
import lzma
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from deploytool.base.arrays import Array

SUFFIX: Final = ".npy"
BYTES_MIN: Final = 2**28
BYTES_PER_BYTE: Final = 20
"""The arrays of an archive that are read together may take 256 MiB, or this many times the size of the file."""
HEADER_MAX: Final = 2**12
"""The most bytes of a header. numpy takes quadratic time to find out that one is damaged: seconds for 9,000 bytes."""
INFLATION_MAX: Final = 1032
"""The most bytes that one byte of a deflated stream stands for."""

DAMAGE: Final = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, IndexError, OverflowError),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError),
)
"""Exceptions raised when an archive or an array in it is damaged."""


@dataclass(frozen=True)
class Header:
    """What precedes an array in a file: its ``shape`` and ``dtype``, the order of its axes, and where it begins."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    end: int

    @property
    def nbytes(self) -> int:
        """The number of bytes that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize


def header_of_array(file: IO[bytes], size: int) -> Header:
    """The header at the beginning of ``file``, which has ``size`` bytes.

    Raises ValueError if it is damaged, for an array of objects, and for one that is larger than the file.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version[0]}.{version[1]} of the format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    begin = file.tell()
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    if length > HEADER_MAX:
        raise ValueError(f"a header of {length:,} bytes; at most {HEADER_MAX:,}")
    file.seek(begin)
    try:
        with _of_any_age():
            shape, fortran, dtype = header(file)
    except Exception as error:  # numpy lets many kinds of errors out of a damaged header
        raise ValueError(f"its header is damaged: {error}") from None
    if dtype.hasobject:
        raise ValueError("pickled objects")
    if any(isinstance(length, bool) for length in shape):
        raise ValueError(f"its header is damaged: a shape of {shape}")
    at_least = max(1, dtype.itemsize)  # so that the number of elements without bytes has a bound too
    if 0 in shape and math.prod(filter(None, shape)) * at_least > BYTES_MIN:
        raise ValueError(f"its header is damaged: a shape of {shape}")
    if min(shape, default=0) < 0 or math.prod(shape) * at_least > size - file.tell():
        raise ValueError(f"cut short: an array {shape} of {dtype} does not fit in it")
    return Header(tuple(shape), dtype, fortran, file.tell())


def array_of_file(file: IO[bytes], size: int) -> Array:
    """The array in ``file``, which has ``size`` bytes. Raises ValueError as `header_of_array`."""
    header_of_array(file, size)
    file.seek(0)
    with _of_any_age():
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


@contextlib.contextmanager
def _of_any_age() -> Iterator[None]:
    """Within, NumPy does not warn of files that Python 2 wrote: they take a little longer to read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


class Archive:
    """The arrays in an archive that deploytool wrote: their ``headers`` {name: Header}, read at once, and their values.

    Raises one of `DAMAGE` for anything else, also when an array is read.
    """

    def __init__(self, file: IO[bytes] | Path) -> None:
        self._zip = zipfile.ZipFile(file)
        self._size = file.stat().st_size if isinstance(file, Path) else file.seek(0, os.SEEK_END)
        entries = {entry.filename: entry for entry in self._zip.infolist()}
        if len(entries) < len(self._zip.infolist()):
            raise ValueError("two arrays of one name")
        self.headers: Mapping[str, Header] = {self._name(entry): self._header(entry) for entry in entries.values()}

    def read(self, name: str) -> Array:
        """The array called ``name``."""
        self._check_total([name])
        with self._zip.open(name + SUFFIX) as file, _of_any_age():
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    def read_together(self, names: Iterable[str]) -> dict[str, Array]:
        """{name: array} of the arrays called ``names``. Raises ValueError if they take too many bytes together."""
        chosen = list(names)
        self._check_total(chosen)
        return {name: self.read(name) for name in chosen}

    def _check_total(self, names: Iterable[str]) -> None:
        total, allowed = sum(self.headers[name].nbytes for name in names), max(BYTES_MIN, BYTES_PER_BYTE * self._size)
        if total > allowed:
            raise ValueError(f"arrays of {total:,} bytes, of which {allowed:,} are possible in a file of this size")

    def _name(self, entry: zipfile.ZipInfo) -> str:
        if not entry.filename.endswith(SUFFIX):
            raise ValueError(f"{entry.filename!r} is no array")
        return entry.filename.removesuffix(SUFFIX)

    def _header(self, entry: zipfile.ZipInfo) -> Header:
        """The header of the array ``entry``, whose stated sizes agree with each other and with the file's."""
        packed, unpacked = entry.compress_size, entry.file_size
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename!r} is compressed in another way than deploytool's")
        if packed > self._size or unpacked > INFLATION_MAX * packed:
            raise ValueError(f"{entry.filename!r} of {unpacked:,} bytes does not fit in the file")
        with self._zip.open(entry) as file:
            header = header_of_array(file, unpacked)
        if header.nbytes != unpacked - header.end:
            raise ValueError(f"{entry.filename!r} has other bytes than those of an array {header.shape}")
        return header
