"""numpy files of spikes and counts: .npy with one array, .npz with one for each layer.

An array (S, C, H, W), or (S, C * H * W), has counts. A structured array (N,) has spikes or counts, with the columns of
a table as its fields. In .npz, the name of an array is that of its layer, alone or behind ``counts/`` or ``spikes/``;
``samples``, ``labels`` and ``durations_us`` (S,) describe the samples.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Array, doubles, wide
from deploytool.base.errors import InputError, UsageError
from deploytool.base.hdf5 import ARRAYS_ALLOWED
from deploytool.base.npy import DAMAGE, array_of_file, header_of_array
from deploytool.data.spikes.gathered import Gathered
from deploytool.data.spikes.rows import Rows, Texts
from deploytool.data.spikes.samples import Samples, check_number
from deploytool.data.spikes.schema import FIELDS, LEFT_OUT, Renames, header_of

COUNTS, SPIKES = "counts/", "spikes/"
NAMES, LABELS, DURATIONS = "samples", "labels", "durations_us"
NEED: Final = "numpy arrays of counts or of spikes"
_BYTES: Final = f"arrays of {ARRAYS_ALLOWED}, with 8 bytes for each number"


def read_npy(path: Path) -> Array:
    """The array in the file ``path``. Raises InputError if it is damaged, or holds pickled objects."""
    try:
        with path.open("rb") as file:
            return array_of_file(file, path.stat().st_size)
    except DAMAGE as error:
        raise _damaged(str(path), error) from None


def read_npz(path: Path, renames: Renames, bytes_allowed: int) -> dict[str, Array]:
    """{name: array} in the file ``path``, with its names replaced as ``renames`` says.

    Raises InputError if it is damaged, or takes more than ``bytes_allowed``, with 8 bytes for each number.
    """
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name == entry.filename:
                    raise InputError(str(path), f"a zip archive with {name}, which is no array", NEED)
                meant = renames.get(name, name)
                if meant == LEFT_OUT:
                    continue
                with archive.open(entry) as member:
                    bytes_allowed -= max(entry.file_size, 8 * math.prod(header_of_array(member, entry.file_size).shape))
                if bytes_allowed < 0:
                    found = f"{name} is too large for a file of this size"
                    raise InputError(str(path), found, _BYTES)
                if meant in arrays:
                    raise InputError(str(path), f"two arrays called {meant}", "different names")
                arrays[meant] = array_of_file(io.BytesIO(archive.read(entry)), entry.file_size)
    except DAMAGE as error:
        raise _damaged(str(path), error) from None
    if "alias_nodes" in arrays:
        todo = "Copy the whole folder of the artifact into the store."
        raise InputError(str(path), "the file of a recording that deploytool made", NEED, todo)
    return arrays


def _damaged(where: str, error: BaseException) -> InputError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return InputError(where, f"cannot be read ({reason})", NEED)


def samples_in_arrays(arrays: dict[str, Array], where: str, bytes_allowed: int) -> Samples | None:
    """The samples that ``arrays`` state or have counts of, None if they do not show how many there are.

    Takes their descriptions out of ``arrays``. Raises InputError for descriptions that do not fit.
    """
    found = {name: arrays.pop(name) for name in (NAMES, LABELS, DURATIONS) if name in arrays}
    number = next((len(array) for array in (*found.values(), *_dense(arrays).values()) if array.ndim), None)
    if number is None:
        return None
    check_number(number, 0, bytes_allowed, where)
    for name, array in found.items():
        kinds = "USiu" if name == NAMES else "iu"
        if array.shape != (number,) or array.dtype.kind not in kinds:
            says = f"an array of {array.dtype} of shape {array.shape}"
            need = "names" if name == NAMES else "whole numbers"
            raise InputError(f"{where}: {name}", says, f"{need}, one for each of the {number} samples")
    names = tuple(map(str, _texts(found[NAMES]))) if NAMES in found else tuple(map(str, range(number)))
    labels = found[LABELS].astype(np.int64) if LABELS in found else np.full(number, -1)
    return Samples(names, labels, found.get(DURATIONS, np.zeros(0)).astype(np.int64))


def _dense(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if array.dtype.names is None}


def _texts(array: Array) -> list[str]:
    return [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in array.tolist()]


def add_arrays(gathered: Gathered, arrays: Mapping[str, Array]) -> None:
    """Adds ``arrays`` {layer, with or without a prefix: array} to ``gathered``."""
    if gathered.statements.layer is not None:
        raise UsageError("--layer", f"given with {gathered.where}, which names its layers", "--rename NAME=LAYER")
    for key, array in arrays.items():
        where = f"{gathered.where}: {key}"
        name = key.removeprefix(COUNTS).removeprefix(SPIKES)
        if array.dtype.names:
            rows = rows_of(array, where, gathered.statements.renames, name)
            if rows.layer is not None:
                gathered.watch(gathered.map_of(rows.layer, where))
            gathered.add_rows(rows)
        elif key.startswith(SPIKES):
            raise InputError(where, f"an array of {array.dtype}", "a structured array of spikes")
        else:
            gathered.add_counts(gathered.map_of(name, where), array, where)


def add_array(gathered: Gathered, array: Array) -> None:
    """Adds ``array``, the only one of its file, to ``gathered``."""
    layer = gathered.statements.layer
    if array.dtype.names is not None:
        gathered.add_rows(rows_of(array, gathered.where, gathered.statements.renames, None))
    elif layer is None:
        found = f"an array {array.shape} without the name of a layer"
        raise InputError(gathered.where, found, "the layer that was recorded", "Add --layer LAYER.")
    else:
        gathered.add_counts(gathered.maps.of_name(layer, "--layer"), array, gathered.where)


def rows_of(array: Array, where: str, renames: Renames, layer: str | None) -> Rows:
    """The rows of the structured ``array`` (N,), which are of ``layer`` unless they name their own."""
    if array.ndim != 1:
        raise InputError(where, f"a structured array of shape {array.shape}", "one axis")
    header = header_of(array.dtype.names or (), renames, where)
    columns = {role: _column(array[name], role, f"{where}: {name}") for role, name in header.columns.items()}
    named = {"layer", "core"} & columns.keys()
    return Rows(where, header, columns, np.arange(len(array)), "element", None if named else layer)


def _column(column: Array, role: str, where: str) -> Array | Texts:
    """``column`` (N,) as integers, floats if they are times, or texts."""
    kind = column.dtype.kind
    if kind in "US" and FIELDS[role].text and column.ndim == 1:
        texts, codes = np.unique(column, return_inverse=True)
        return Texts(codes, _texts(texts))
    if kind not in "iuf" or column.ndim != 1:
        raise InputError(where, f"an array of {column.dtype} with {column.ndim} axes", "whole numbers")
    if kind == "f" and role == "t_us":
        return doubles(column)
    column = wide(column)
    whole = (column if kind != "f" else np.where(np.abs(column) < 2.0**63, column, -1)).astype(np.int64)
    if (wrong := whole != column).any():
        row = int(wrong.argmax())
        raise InputError(where, f"element {row} is {column[row]}", "whole numbers of up to 63 bits")
    return whole
