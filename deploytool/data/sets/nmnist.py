"""N-MNIST (Orchard et al. 2015): MNIST on a screen in front of a moving event camera, 2x34x34, about 310 ms a sample.

Two layouts are read. The folder that tonic unpacks, ``NMNIST/Train/<digit>/*.bin`` and ``NMNIST/Test/<digit>/*.bin``,
is the official split. The archives are subsets of it in compact columns: per event ``x``, ``y``, a bit of ``p_bits``
and the time since the event before (``dt_ms``, or ``dt_lo`` and ``dt_hi`` in microseconds), per sample ``n`` events,
``label`` and its official ``id``. Archives of whole milliseconds list OFF before ON inside a millisecond; their events
are spread over their millisecond at random, the same way every time, so that an event-driven run sees no such order.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.samples import Samples, joined
from deploytool.data.sets.folders import ClassFiles, class_files, listing, not_there, place_of
from deploytool.ir.events import EVENT, Events, EventStream

SHAPE: Final[Shape] = (2, 34, 34)
CLASSES: Final = 10
DURATION_US: Final = 320_000
"""One duration for all samples, so that their time steps are equally long; the longest known sample lasts 315.2 ms."""

ARCHIVES: Final = {
    "train": ("nmnist_1ms_train.npz", "nmnist_train1000_us.npz"),
    "test": ("nmnist_1ms_test.npz",),
}
FOLDERS: Final = {"train": "Train", "test": "Test"}


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The official (training, test) samples in ``root``, or without a root in ``data``. Raises as `locate`."""
    found = locate(root)
    if isinstance(found, _Archives):
        train, test = (joined([_archive_samples(path) for path in found.paths(part)]) for part in ARCHIVES)
    else:
        train, test = (_files(found, part).samples(_read_bin, "nmnist") for part in FOLDERS)
    return train, test


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data in ``root``: the hashes of the archives, or the relative paths and sizes of files."""
    found = locate(root)
    if isinstance(found, _Archives):
        paths = [path for part in ARCHIVES for path in found.paths(part)]
        return digest([(path.name, sha256(_bytes(path)).hexdigest()) for path in paths])
    return listing(*(_files(found, part) for part in FOLDERS))


@dataclass(frozen=True)
class _Archives:
    folder: Path

    def paths(self, part: str) -> list[Path]:
        return [self.folder / name for name in ARCHIVES[part]]


def locate(root: str | None) -> _Archives | Path:
    """The archives in ``root``, or the folder that holds Train and Test.

    Raises RecipeError if there is neither a root nor N-MNIST in ``data``, InputError if it is missing or incomplete.
    """
    folder = place_of(root, "nmnist")
    names = [name for part in ARCHIVES.values() for name in part]
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return _Archives(folder)
    if len(missing) < len(names):
        raise InputError(str(folder), f"no {', no '.join(missing)}", f"all of {', '.join(names)}")
    for place in (folder / "NMNIST", folder):
        if any((place / name).is_dir() for name in FOLDERS.values()):
            return place
    raise not_there("nmnist", root, f"the folder that holds NMNIST/Train and NMNIST/Test, or {', '.join(names)}")


def _files(folder: Path, part: str) -> ClassFiles:
    return class_files(folder, FOLDERS[part], [str(label) for label in range(CLASSES)], (".bin",))


def _archive_samples(path: Path) -> Samples[EventStream]:
    """The samples of one archive, kept in its compact columns. Raises InputError if it is not such an archive."""
    with _reading(path):
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            columns: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
        if wrong := [name for name, column in columns.items() if column.ndim != 1 or column.dtype.kind not in "iub"]:
            found = columns[wrong[0]]
            raise ValueError(f"column {wrong[0]!r} of {found.dtype} with {found.ndim} axes, not integers with one")
        x, y, labels, ids = (columns[name] for name in ("x", "y", "label", "id"))
        if columns["n"].min(initial=0) < 0 or ids.min(initial=0) < 0:
            raise ValueError("a negative number of events, or a negative id")
        starts = np.r_[0, np.cumsum(columns["n"].astype(np.int64))]
        polarity = np.unpackbits(columns["p_bits"])[: starts[-1]]
        in_ms = "dt_ms" in columns
        gaps = columns["dt_ms"] if in_ms else columns["dt_lo"] | columns["dt_hi"].astype(np.uint16) << 8
        lengths = {len(x), len(y), len(polarity), len(gaps)}
        if lengths != {int(starts[-1])} or not len(ids) == len(labels) == len(starts) - 1:
            raise ValueError("its columns differ in length")
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= CLASSES:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")

    def make(index: int) -> EventStream:
        rows = slice(starts[index], starts[index + 1])
        events = np.empty(rows.stop - rows.start, EVENT)
        t = np.cumsum(gaps[rows], dtype=np.int64)
        events["t"] = t * 1000 + _within_ms_us(len(t), int(ids[index])) if in_ms else t
        events["c"], events["y"], events["x"] = polarity[rows], y[rows], x[rows]
        if in_ms:
            events = events[np.argsort(events["t"], kind="stable")]
        return _stream(events, int(labels[index]), f"nmnist/{ids[index]}")

    return Samples(labels, make)


def _within_ms_us(count: int, seed: int) -> NDArray[np.int64]:
    """(count,): times in 0..999 us, the same for a ``seed`` in every version of numpy."""
    return (np.random.PCG64(seed).random_raw(count) % 1000).astype(np.int64)


def _read_bin(path: Path, label: int, name: str) -> EventStream:
    return _stream(file_events(path, "bin", SHAPE, AT_CLOCK), label, name)


def _stream(events: Events, label: int, name: str) -> EventStream:
    duration_us = max(DURATION_US, int(events["t"].max(initial=0)) + 1)
    return EventStream(events, SHAPE, duration_us, label, name)


def _bytes(path: Path) -> bytes:
    with _reading(path):
        return path.read_bytes()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns exceptions in reading an archive into InputError."""
    need = "an archive of N-MNIST samples"
    try:
        yield
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", need) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(str(path), f"damaged ({error})", need, "Copy it again.") from None
