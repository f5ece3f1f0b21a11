"""HDF5 files as nested dictionaries: {name: dictionary, array or string}."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deploytool.base.errors import InputError


def load(path: Path) -> dict[str, Any]:
    """Everything in the HDF5 file ``path``. Raises InputError when it is missing, no HDF5, or damaged."""
    where = str(path)
    if not path.is_file():
        raise InputError(where, "no such file", "a NIR file")
    try:
        if not h5py.is_hdf5(path):
            raise InputError(where, "not an HDF5 file", "a NIR file, which is HDF5")
        with h5py.File(path, "r") as file:
            return _members(file)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        todo = "Copy or write the file again."
        raise InputError(where, f"truncated or damaged ({reason})", "a whole HDF5 file", todo) from None


def save(members: Mapping[str, Any], path: Path) -> None:
    """Writes ``members`` to ``path``; equal members in equal order give equal bytes.

    The file is laid out in memory first, so that what can go wrong on the disk is an ordinary OSError.
    """
    with h5py.File("unnamed", "w", driver="core", backing_store=False) as file:
        _write(file, members)
        file.flush()
        image = file.id.get_file_image()
    path.write_bytes(image)


def _members(group: h5py.Group) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(name, bytes):
            raise ValueError(f"the name {name!r} is not in UTF-8")
        if isinstance(item, h5py.Group):
            members[name] = _members(item)
        elif not isinstance(item, h5py.Dataset):
            raise KeyError(f"{name} is no data")
        else:
            members[name] = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
    return members


def _write(group: h5py.Group, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        if isinstance(value, Mapping):
            _write(group.create_group(name, track_order=False), value)
        else:
            text = isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind == "O")
            group.create_dataset(name, data=value, dtype=h5py.string_dtype() if text else None, track_times=False)
