"""DVS128 Gesture (Amir et al. 2017): 11 gestures of 29 people before an event camera, 2x128x128, seconds per sample.

Read from the folder that tonic unpacks, ``DVSGesture/ibmGestureTrain/user01_led/0.npy`` and so on: one gesture per
file, named by its class, an array (N, 4) of x, y, polarity and time in milliseconds. The official split is by people:
users 1 to 23 are for training, 24 to 29 for the test. A sample begins at its first event.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape, wide
from deploytool.base.errors import InputError
from deploytool.data.formats.npy import npy_array
from deploytool.data.samples import Samples
from deploytool.data.sets.folders import ClassFiles, listing, located, refuse_others
from deploytool.ir.events import EVENT, EventStream

SHAPE: Final[Shape] = (2, 128, 128)
CLASSES: Final = 11
FOLDERS: Final = ("ibmGestureTrain", "ibmGestureTest")
TIME_MAX_MS: Final = 1e12
"""More than thirty years."""
_COLUMNS: Final = "an array (N, 4) of whole numbers: x, y, polarity, time in ms"


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The official (training, test) samples in ``root``. Raises InputError if they are missing."""
    train, test = (files.samples(_stream, "dvsgesture") for files in locate(root))
    return train, test


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data in ``root``: the relative paths and sizes of all files."""
    return listing(*locate(root))


def locate(root: str | None) -> list[ClassFiles]:
    """The files of both parts, by class, person and light."""
    folder = located("dvsgesture", root, ("DVSGesture", "."), FOLDERS)
    return [_part(folder, part) for part in FOLDERS]


def _part(folder: Path, part: str) -> ClassFiles:
    paths = sorted((folder / part).glob("user*/*.npy"), key=lambda path: (_class_of(path), path.parent.name))
    if not paths:
        raise InputError(
            str(folder / part), "no .npy files", "a folder of .npy files for every user", "Unpack it again."
        )
    refuse_others(paths)
    return ClassFiles(folder, tuple(paths), np.array([_class_of(path) for path in paths], np.int64))


def _class_of(path: Path) -> int:
    """The class in the name of a file. Raises InputError if the name has none."""
    if not path.stem.isdecimal() or int(path.stem) >= CLASSES:
        raise InputError(str(path), f"a file named {path.stem!r}", f"a class, 0 to {CLASSES - 1}, as name")
    return int(path.stem)


def _stream(path: Path, label: int, name: str) -> EventStream:
    rows = wide(npy_array(path, _COLUMNS))
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iuf" or not len(rows):
        raise InputError(str(path), f"an array {rows.shape} of {rows.dtype}", _COLUMNS)
    if not (np.abs(rows) < TIME_MAX_MS).all():
        raise InputError(str(path), f"numbers up to {rows.max()}, down to {rows.min()}", _COLUMNS)
    columns = rows.astype(np.int64)
    if np.any(columns != rows) or columns[:, :3].min() < 0 or columns[:, :3].max() > np.iinfo(np.uint16).max:
        raise InputError(str(path), "values that are not pixels, polarities or whole milliseconds", _COLUMNS)
    columns = columns[np.argsort(columns[:, 3], kind="stable")]
    events = np.empty(len(columns), EVENT)
    events["t"] = (columns[:, 3] - columns[0, 3]) * 1000
    events["x"], events["y"], events["c"] = columns[:, :3].T
    return EventStream(events, SHAPE, int(events["t"][-1]) + 1000, label, name)
