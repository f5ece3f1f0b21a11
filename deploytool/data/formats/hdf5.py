"""HDF5 files of events: a group with a data set for each column, as DSEC has them, or one data set of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_allowed, bytes_of
from deploytool.data.formats.arrays import events_in_array
from deploytool.data.formats.named import columns_named, complete, roles
from deploytool.data.formats.reading import RawEvents, Reading

NEED: Final = "one group with the datasets t, x, y and p, or one dataset of events"


def read(path: Path, reading: Reading) -> RawEvents:
    """The events in the file ``path``. Raises InputError if it is damaged, or does not hold exactly one recording."""
    import h5py

    try:
        with h5py.File(path) as file:
            found: dict[str, Any] = {}
            file.visititems(lambda name, item: found.update({name: item}))
            groups = [group for group in ("", *found) if complete(_columns(found, group))]
            arrays = [name for name, item in found.items() if isinstance(item, h5py.Dataset) and _is_events(item)]
            content, left = {}, bytes_allowed(path)
            for key in _keys(found, groups, arrays, str(path)):
                left -= bytes_of(found[key], str(path), left)
                content[key] = np.asarray(found[key][()])
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        todo = "If a filter is missing, which hdf5plugin may have, save the events as .npz."
        raise InputError(str(path), f"cannot be read ({reason})", "an HDF5 file of events", todo) from None
    if groups:
        return columns_named({key.rsplit("/", 1)[-1]: value for key, value in content.items()}, reading, str(path))
    return events_in_array(next(iter(content.values())), reading, str(path))


def _keys(found: dict[str, Any], groups: list[str], arrays: list[str], name: str) -> list[str]:
    """The names of the HDF5 datasets of the one recording. Raises InputError if there is none, or several."""
    if len(groups) == 1:
        return [f"{groups[0]}/{column}".lstrip("/") for column in roles(_columns(found, groups[0])).values()]
    if len(groups) > 1 or len(arrays) != 1:
        places = [group or "/" for group in groups] or arrays
        says = f"events in {', '.join(places)}" if places else f"{', '.join(list(found)[:8]) or 'nothing'}"
        raise InputError(name, f"an HDF5 file with {says}", NEED)
    return arrays


def _columns(found: dict[str, Any], group: str) -> list[str]:
    """The names of the members directly in ``group``."""
    inside = f"{group}/" if group else ""
    return [key.removeprefix(inside) for key in found if key.startswith(inside) and "/" not in key.removeprefix(inside)]


def _is_events(item: Any) -> bool:
    return bool(item.dtype.names and complete(item.dtype.names)) or (item.ndim == 2 and item.shape[1] == 4)
