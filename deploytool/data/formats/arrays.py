"""numpy's files: .npy with one array of events, .npz with one or with an array for each column."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.formats.named import columns_named
from deploytool.data.formats.reading import COLUMNS, RawEvents, Reading

NEED: Final = "a structured array with the fields t, x, y and c (or p), or an array (N, 4) and --columns"
ARCHIVE_OF_NMNIST: Final = {"x", "y", "p_bits", "n", "label", "id"}


def read_npy(path: Path, reading: Reading) -> RawEvents:
    """The events in a .npy file. Raises InputError if it holds none, or if the order of its columns is not stated."""
    return events_in_array(npy_array(path, NEED), reading, str(path))


def read_npz(path: Path, reading: Reading) -> RawEvents:
    """The events in a .npz file: its one array, or the arrays called t, x, y and p. Raises as `read_npy` does."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InputError(str(path), f"not a .npz file of events ({error})", NEED) from None
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise InputError(str(path), "a zip archive of other files than arrays", NEED)
    if arrays.keys() >= ARCHIVE_OF_NMNIST:
        todo = f"Name the data set: --data nmnist --root {path.parent}."
        raise InputError(str(path), "an archive of many samples of N-MNIST", "one recording per file", todo)
    if len(arrays) == 1:
        return events_in_array(next(iter(arrays.values())), reading, str(path))
    return columns_named(arrays, reading, str(path))


def npy_array(path: Path, need: str) -> NDArray[Any]:
    """The array in a .npy file; messages say that ``need`` is needed.

    Raises InputError if the file is not .npy, is cut short, or holds pickled objects.
    """
    try:
        with path.open("rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", "a .npy file of events") from None
    except Exception as error:  # numpy lets many kinds of errors out of a damaged header
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(str(path), f"not a .npy file of events ({reason})", need) from None
    return array


def events_in_array(array: Array, reading: Reading, name: str) -> RawEvents:
    """The events in ``array``: structured (N,), or plain (N, 4) in the order that ``reading`` states."""
    if array.dtype.names and array.ndim == 1:
        return columns_named({field: array[field] for field in array.dtype.names}, reading, name)
    found = f"an array {array.shape} of {array.dtype}"
    if array.ndim >= 3:
        frames = "frames, which are counts per time step without the times of events"
        need, todo = "the events that they were made from", "Save these as a structured array of t, x, y and p."
        raise InputError(name, f"{found}: {frames}", need, todo)
    if array.ndim != 2 or array.shape[1] != len(COLUMNS) or array.dtype.kind not in "iuf":
        todo = "Transpose it." if array.ndim == 2 and array.shape[0] == len(COLUMNS) else ""
        raise InputError(name, found, NEED, todo)
    if reading.columns is None:
        need = "the order of its columns t, x, y and p"
        raise InputError(name, found, need, f"Add --columns {likely_columns(array)}, if that is their order.")
    t, x, y, p = (array[:, reading.columns.index(column)] for column in COLUMNS)
    return RawEvents(t, x, y, p, in_us=False)


def likely_columns(array: Array) -> str:
    """The likely column order of ``array`` (N, 4) judging by its values; "xypt" if they do not show it."""
    spans = np.ptp(array, axis=0) if len(array) else np.zeros(4)
    ascends = [len(array) > 1 and bool((np.diff(column) >= 0).all()) for column in array.T.astype(np.float64)]
    polar = [len(array) > 1 and set(np.unique(column[:10_000]).tolist()) in ({0, 1}, {-1, 1}) for column in array.T]
    times = [i for i in np.argsort(-spans) if ascends[i] and not polar[i]]
    if not times or polar.count(True) != 1:
        return "xypt"
    order = {int(times[0]): "t", polar.index(True): "p"}
    places = iter("xy")
    return "".join(order.get(i) or next(places) for i in range(4))
