"""HDF5 files as nested dictionaries: {name: dictionary, array or string}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import DAMAGE, bytes_allowed, bytes_of, require_sound_heaps

DEPTH_MAX: Final = 64
"""The maximum nesting depth of groups."""

NODES_MAX: Final = 10**6
"""The maximum number of groups and arrays in a file."""

PART: Final = 2**24
"""The number of bytes of a large array that are read at a time."""


def load(path: Path) -> dict[str, Any]:
    """Everything in the HDF5 file ``path``.

    Raises InputError if the file is missing, damaged or not HDF5, if it refers to other files (external links, external
    storage, virtual arrays), if it links a group twice, or if its arrays are far larger than the file.
    """
    where = str(path)
    if not path.is_file():
        raise InputError(where, "no such file", "a NIR file")
    try:
        if not h5py.is_hdf5(path):
            raise InputError(where, "not an HDF5 file", "a NIR file, which is HDF5")
        require_sound_heaps(path)
        with h5py.File(path, "r") as file:
            return _Reading(where, bytes_allowed(path)).members(file)
    except DAMAGE as error:
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        todo = "Copy or write the file again."
        raise InputError(where, f"truncated or damaged ({reason})", "a complete HDF5 file", todo) from None


def save(members: Mapping[str, Any], path: Path) -> None:
    """Writes ``members`` to ``path``; equal members in equal order give equal bytes.

    The file is built in memory first, so that a failure to write it to disk is an ordinary OSError.
    """
    with h5py.File("unnamed", "w", driver="core", backing_store=False) as file:
        _write(file, members)
        file.flush()
        image = file.id.get_file_image()
    path.write_bytes(image)


@dataclass
class _Reading:
    """The state of reading the file ``where``: the groups seen, and the bytes left for arrays."""

    where: str
    bytes_left: int
    seen: set[Any] = field(default_factory=set)
    count: int = 0

    def members(self, group: h5py.Group, depth: int = 0) -> dict[str, Any]:
        """{name: dictionary, array or string} of everything in ``group``."""
        if group.id in self.seen or depth > DEPTH_MAX:
            found = f"group {group.name} is {'linked twice' if group.id in self.seen else 'nested too deeply'}"
            raise InputError(self.where, found, f"each group once, nested at most {DEPTH_MAX} deep")
        self.seen.add(group.id)
        members: dict[str, Any] = {}
        for name in group:
            self.count += 1
            if self.count > NODES_MAX:
                raise InputError(self.where, f"more than {NODES_MAX:,} groups and arrays", "fewer")
            if isinstance(name, bytes):
                raise ValueError(f"the name {name!r} is not in UTF-8")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(self.where, f"{group.name}/{name} is a link", "groups and arrays in the file itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                members[name] = self.members(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                members[name] = self._array(item)
            else:
                raise KeyError(f"{name} is not a dataset")
        return members

    def _array(self, item: h5py.Dataset) -> Any:
        self.bytes_left -= bytes_of(item, self.where, self.bytes_left)
        if h5py.check_string_dtype(item.dtype):
            return item.asstr()[()]
        return _in_parts(item) if item.chunks and item.nbytes > PART and item.dtype.kind in "fiu" else item[()]


def _in_parts(item: h5py.Dataset) -> np.ndarray[Any, Any]:
    """The large array ``item``, read a few rows of chunks at a time: an interrupt is seen between two parts."""
    found = np.empty(item.shape, item.dtype)
    chunk = item.chunks[0]
    rows = chunk * max(1, PART * len(found) // (found.nbytes * chunk))
    for start in range(0, len(found), rows):
        part = np.s_[start : start + rows]
        item.read_direct(found, part, part)
    return found


def _write(group: h5py.Group, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        if isinstance(value, Mapping):
            _write(group.create_group(name, track_order=False), value)
        else:
            text = isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind == "O")
            group.create_dataset(name, data=value, dtype=h5py.string_dtype() if text else None, track_times=False)
