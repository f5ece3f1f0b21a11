"""HDF5 files of events: a group with a data set for each column, or one data set of events.

Known layouts are those of DSEC (``events/x``, ``y``, ``t``, ``p`` and ``t_offset``), of MVSEC (``davis/left/events`` of
x, y, seconds and polarity) and of Prophesee's Metavision (``CD/events``). Package hdf5plugin, if installed, has the
filters of compressed files.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.hdf5 import DAMAGE, bytes_allowed, bytes_of, require_sound_heaps
from deploytool.data.formats.named import complete, roles
from deploytool.data.formats.parts import START, Part, Parts, Place
from deploytool.data.formats.reading import COLUMNS, Reading, camera_size
from deploytool.data.formats.stored import Stored, array_parts, column_parts, is_events

if TYPE_CHECKING:
    import h5py

NEED: Final = "one group with the datasets t, x, y and p, or one dataset of events"
CACHE: Final = 1 << 26
"""Number of bytes of unpacked chunks to keep, so that none is unpacked twice."""
MILLISECONDS: Final = "ms_to_idx"
OFFSET: Final = "t_offset"
"""What DSEC has beside its events: where each millisecond begins, and the time in microseconds to add to all."""
MEMBERS_MAX: Final = 4096
DEPTH_MAX: Final = 16
NUMBER_BYTES: Final = 16
"""More than one number takes."""
MANY_SPIKES: Final = {"spikes/times", "spikes/units"}
"""Data sets of the Heidelberg spiking data sets, each of whose rows is one sample."""
ECF: Final = 36559
"""The filter of Prophesee's files, which no Python package has."""

_MVSEC: Final = re.compile(r"davis/(left|right)/events$")
_SIZE: Final = re.compile(r"(\d+)x(\d+)$")


def parts(path: Path, reading: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``. Raises InputError if it is damaged, or does not hold exactly one recording."""
    import h5py

    name = str(path)
    with _errors(name):
        require_sound_heaps(path)
    with _errors(name), h5py.File(path, rdcc_nbytes=CACHE) as file:
        members = _members(file)
        group, sets = _recording(_inside(members, reading.group, name), name)
        left = bytes_allowed(path)
        for item in sets.values():
            if item.dtype.hasobject:
                raise InputError(name, f"{item.name} holds texts or lists", "numbers")
            left -= bytes_of(item, name, left)
            _refuse_missing_filters(item, name)
        columns = {key.rsplit("/", 1)[-1]: _stored(item) for key, item in sets.items()}
        mvsec = bool(_MVSEC.search(next(iter(sets)))) and reading.columns is None and reading.time_unit is None
        if group is not None:
            raw_parts = column_parts(columns, reading, name, place)
        else:
            (array,) = columns.values()
            raw_parts = array_parts(array, replace(reading, columns="xytp") if mvsec else reading, name, place)
        unit = "s" if mvsec else "us" if MILLISECONDS in members else None
        since_us, sensor = _offset_us(members, name), _sensor(file)
        for events, at in raw_parts:
            t = _later(events.t, since_us, name) if since_us else events.t
            yield Part(replace(events, t=t, unit=unit or events.unit, sensor=sensor), at)


def _members(file: h5py.File) -> dict[str, Any]:
    """{path: item} of all groups and data sets in the ``file``, each once; links to other places have None.

    Raises InputError for more than `MEMBERS_MAX` of them, or groups more than `DEPTH_MAX` deep.
    """
    import h5py

    found: dict[str, Any] = {}
    seen = {h5py.h5o.get_info(file.id).addr}
    groups: list[tuple[str, h5py.Group]] = [("", file)]
    while groups:
        prefix, group = groups.pop(0)
        if len(found) + len(group) > MEMBERS_MAX:
            raise InputError(file.filename, f"more than {MEMBERS_MAX:,} groups and arrays", "one recording per file")
        if prefix.count("/") > DEPTH_MAX:
            raise InputError(file.filename, f"groups nested more than {DEPTH_MAX} deep", "fewer")
        for key in group:
            path = f"{prefix}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                found[path] = None
                continue
            item = group[key]
            if (address := h5py.h5o.get_info(item.id).addr) not in seen:
                seen.add(address)
                found[path] = item
                if isinstance(item, h5py.Group):
                    groups.append((f"{path}/", item))
    return found


def _inside(members: dict[str, Any], group: str | None, name: str) -> dict[str, Any]:
    """Those of ``members`` in ``group``, all without one. Raises InputError if there are none."""
    if group is None:
        return members
    inside = group.strip("/")
    found = {key: item for key, item in members.items() if key == inside or key.startswith(f"{inside}/")}
    if not found:
        groups = _groups(key for key, item in members.items() if hasattr(item, "shape"))
        raise InputError(name, f"no group {group}", f"one of {', '.join(groups[:8])}", "Name it with --group.")
    return found


def _offset_us(members: dict[str, Any], name: str) -> int:
    """The time that DSEC adds to all times."""
    if MILLISECONDS not in members or OFFSET not in members:
        return 0
    if members[OFFSET] is None:
        raise _linked(OFFSET, name)
    bytes_of(members[OFFSET], name, NUMBER_BYTES)
    return int(members[OFFSET][()])


def _later(t: Array, since_us: int, name: str) -> Array:
    """The times ``t`` (N,) in microseconds plus ``since_us``. Raises InputError if they do not fit 62 bits."""
    if t.dtype.kind not in "iuf":
        raise InputError(name, f"times of dtype {t.dtype} beside {OFFSET}", "integers, times in microseconds")
    ends = (t.min().item(), t.max().item()) if t.size else ()
    if not all(abs(end) < 2**61 for end in (*ends, since_us)):
        raise InputError(name, f"times that are too large beside {OFFSET}", "times that fit 62 bits in microseconds")
    return t.astype(np.int64) + since_us


def _recording(found: dict[str, Any], name: str) -> tuple[str | None, dict[str, Any]]:
    """(the group of the one recording, {path: dataset} of its columns); no group if it is one dataset.

    Raises InputError if there is no recording, or several.
    """
    import h5py

    sets = {key: item for key, item in found.items() if isinstance(item, h5py.Dataset)}
    if sets.keys() >= MANY_SPIKES:
        todo = "Save each sample as an .npz file with the arrays t (microseconds), x (the unit), y and p (zeros)."
        raise InputError(name, "an HDF5 file with the spikes of many samples", "one recording per file", todo)
    groups = [group for group in _groups(sets) if complete(list(_columns(sets, group)))]
    arrays = [key for key, item in sets.items() if is_events(item.shape, item.dtype)]
    if len(groups) == 1:
        columns = _columns(sets, groups[0])
        return groups[0], {columns[column].name: columns[column] for column in roles(list(columns)).values()}
    if not groups and len(arrays) == 1:
        return None, {arrays[0]: sets[arrays[0]]}
    if places := [group or "/" for group in groups] or arrays:
        found_in = ", ".join(places[:8])
        raise InputError(name, f"an HDF5 file with events in {found_in}", NEED, "Name one of these with --group.")
    if links := [key for key, item in found.items() if item is None]:
        raise _linked(links[0], name)
    raise InputError(name, f"an HDF5 file with {', '.join(list(found)[:8]) or 'nothing'}", NEED)


def _linked(key: str, name: str) -> InputError:
    return InputError(name, f"an HDF5 file in which {key} is a link to another place", "events in the file itself")


def _groups(sets: Iterable[str]) -> list[str]:
    """The groups that hold ``sets`` of data, each once."""
    return list(dict.fromkeys(key.rpartition("/")[0] for key in sets))


def _columns(sets: dict[str, Any], group: str) -> dict[str, Any]:
    """{name: dataset} directly in ``group``."""
    return {key.rpartition("/")[2]: item for key, item in sets.items() if key.rpartition("/")[0] == group}


def _stored(item: h5py.Dataset) -> Stored:
    """The data set ``item``; of (1, N), which MATLAB writes, the column (N,)."""
    if item.ndim == 2 and item.shape[0] == 1 and item.shape[1] != len(COLUMNS):
        return Stored((item.shape[1],), item.dtype, lambda first, number: item[0, first : first + number])
    return Stored(item.shape, item.dtype, lambda first, number: item[first : first + number])


def _sensor(file: h5py.File) -> tuple[int, int] | None:
    """(H, W) as Metavision writes it into a file; None if it is not stated."""
    found = _SIZE.match(str(file.attrs.get("geometry", "")))
    return camera_size(found[2], found[1], file.filename) if found else None


def _refuse_missing_filters(item: h5py.Dataset, name: str) -> None:
    """Raises InputError if ``item`` is packed in a way that this installation cannot undo."""
    import h5py

    if importlib.util.find_spec("hdf5plugin"):
        import hdf5plugin  # noqa: F401  (it makes its filters known)
    packing = item.id.get_create_plist()
    for index in range(packing.get_nfilters()):
        number, _, _, title = packing.get_filter(index)
        if not h5py.h5z.filter_avail(number):
            says = f"{item.name} is compressed with filter {number} ({title.decode('latin-1').split(';')[0]})"
            todo = "Decompress it with Metavision's h5repack" if number == ECF else "Run pip install 'deploytool[hdf5]'"
            raise InputError(name, says, "a filter that is installed", f"{todo}, or save the events as .npz.")


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Raises InputError for what h5py raises about the file ``name``."""
    try:
        yield
    except DAMAGE as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(name, f"cannot be read ({reason})", "an HDF5 file of events", "Copy it again.") from None
