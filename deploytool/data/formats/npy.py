"""numpy's files: .npy with one array of events, .npz with one or with an array for each column."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.hdf5 import ARRAYS_ALLOWED, bytes_allowed
from deploytool.base.npy import DAMAGE, array_of_file, header_of_array
from deploytool.data.formats.arrays import NEED
from deploytool.data.formats.named import complete
from deploytool.data.formats.parts import START, Parts, Place
from deploytool.data.formats.reading import Reading
from deploytool.data.formats.stored import Stored, array_parts, column_parts, is_events

ARCHIVE_OF_NMNIST: Final = {"x", "y", "p_bits", "n", "label", "id"}


def npy_parts(path: Path, reading: Reading, place: Place = START) -> Parts:
    """The events in a .npy file. Raises InputError if it holds none, or if the order of its columns is not stated."""
    with _errors(path, "not a .npy file of events", NEED), ExitStack() as files:
        stored = _stored(lambda: path.open("rb"), path.stat().st_size, files)
        yield from array_parts(stored, reading, str(path), place)


def npz_parts(path: Path, reading: Reading, place: Place = START) -> Parts:
    """The events in a .npz file: its one array, or the arrays called t, x, y and p. Raises as `npy_parts` does."""
    with _errors(path, "not a .npz file of events", NEED), ExitStack() as files:
        arrays = dict(_members(files.enter_context(zipfile.ZipFile(path)), path, files))
        if arrays.keys() >= ARCHIVE_OF_NMNIST:
            todo = f"Name the data set: --data nmnist --root {path.parent}."
            raise InputError(str(path), "an archive of many samples of N-MNIST", "one recording per file", todo)
        found = [array for array in arrays.values() if is_events(array.shape, array.dtype)]
        if len(arrays) > 1 and (complete(list(arrays)) or len(found) != 1):
            yield from column_parts(arrays, reading, str(path), place)
        else:
            yield from array_parts((found or list(arrays.values()))[0], reading, str(path), place)


def npy_array(path: Path, need: str) -> NDArray[Any]:
    """The array in a .npy file; messages say that ``need`` is needed.

    Raises InputError if the file is not .npy, is cut short, or holds pickled objects.
    """
    with _errors(path, "not a .npy file of events", need), path.open("rb") as file:
        return array_of_file(file, path.stat().st_size)


def npz_columns(path: Path, need: str) -> dict[str, NDArray[Any]]:
    """{name: array} of the arrays in the .npz file ``path``, all with one axis; messages say that ``need`` is needed.

    Raises InputError as `npz_parts` does, and for an array with another number of axes.
    """
    with _errors(path, "damaged", need), ExitStack() as files:
        stored = dict(_members(files.enter_context(zipfile.ZipFile(path)), path, files, need))
        for name, each in stored.items():
            if len(each.shape) != 1:
                raise ValueError(f"column {name!r} of {each.dtype} with {len(each.shape)} axes, not one")
        return {name: each.read(0, each.shape[0]) for name, each in stored.items()}


def _members(archive: zipfile.ZipFile, path: Path, files: ExitStack, need: str = NEED) -> Iterator[tuple[str, Stored]]:
    """(name, array) for each member of the ``archive`` in the file ``path``; ``files`` closes what reading opens.

    Raises InputError for a member that is no array, or if they are too large.
    """
    left = bytes_allowed(path)
    entries = archive.infolist()
    if not entries or not all(entry.filename.endswith(".npy") for entry in entries):
        raise InputError(str(path), "a zip archive of other files than arrays", need)
    for entry in entries:
        left -= entry.file_size
        if left < 0:
            found = f"{entry.filename} of {entry.file_size:,} bytes is too large for a file of this size"
            raise InputError(str(path), found, f"arrays of {ARRAYS_ALLOWED}")
        stored = _stored(partial(archive.open, entry), entry.file_size, files)
        yield entry.filename.removesuffix(".npy"), stored


def _stored(opened: Callable[[], IO[bytes]], size: int, files: ExitStack) -> Stored:
    """The array in a file of ``size`` bytes that ``opened`` opens and ``files`` closes.

    Raises ValueError as `header_of_array` does.
    """
    with opened() as file:
        header = header_of_array(file, size)
    shape, item = header.shape, header.dtype.itemsize
    if not header.fortran or len(shape) != 2:
        return Stored(shape, header.dtype, _Rows(opened, header.end, header.dtype, shape, files))

    @cache
    def columns() -> list[_Rows]:
        ends = (header.end + index * shape[0] * item for index in range(shape[1]))
        return [_Rows(opened, end, header.dtype, shape[:1], files) for end in ends]

    def read(first: int, number: int) -> Array:
        return np.stack([column(first, number) for column in columns()], axis=1)

    return Stored(shape, header.dtype, read)


class _Rows:
    """Reads rows of an array of ``shape``, from byte ``start`` of what ``opened`` opens once and ``files`` closes."""

    def __init__(
        self,
        opened: Callable[[], IO[bytes]],
        start: int,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        files: ExitStack,
    ) -> None:
        self._opened, self._files = opened, files
        self._start, self._dtype, self._shape = start, dtype, shape
        self._file: IO[bytes] | None = None

    def __call__(self, first: int, number: int) -> Array:
        """(N, ...): at most ``number`` rows from row ``first`` on. Raises EOFError if the file was cut short."""
        file = self._file = self._file or self._files.enter_context(self._opened())
        row = self._dtype.itemsize * math.prod(self._shape[1:])
        at, number = self._start + first * row, min(number, self._shape[0] - first)
        if file.tell() != at:
            file.seek(at)
        content = file.read(number * row)
        if len(content) < number * row:
            raise EOFError("cut short")
        return np.frombuffer(content, self._dtype).reshape(number, *self._shape[1:])


@contextmanager
def _errors(path: Path, found: str, need: str) -> Iterator[None]:
    """Raises InputError for what numpy and zipfile raise about the file ``path``."""
    try:
        yield
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", need) from None
    except DAMAGE as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(str(path), f"{found} ({reason})", need) from None
