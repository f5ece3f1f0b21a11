"""N-MNIST (Orchard et al. 2015): MNIST on a screen in front of a moving event camera, 2x34x34, about 310 ms a sample.

Two layouts are read. The folder that tonic unpacks, ``NMNIST/Train/<digit>/*.bin`` and ``NMNIST/Test/<digit>/*.bin``,
is the official split. The archives are subsets of it in compact columns: per event ``x``, ``y``, a bit of ``p_bits``
and the time since the event before (``dt_ms``, or ``dt_lo`` and ``dt_hi`` in microseconds), per sample ``n`` events,
``label`` and its official ``id``. Archives of whole milliseconds list OFF before ON inside a millisecond; their events
are spread over their millisecond at random, the same way every time, so that an event-driven run sees no such order.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from deploytool.data.formats.npy import npz_columns
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.samples import Samples, joined
from deploytool.data.sets.folders import ClassFiles, class_files, file_content, listing, not_there, place_of
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
_NEED: Final = "an archive of N-MNIST samples"


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
        return digest([(path.name, sha256(file_content(path, _NEED)).hexdigest()) for path in paths])
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


COLUMNS: Final[Mapping[str, type[np.unsignedinteger[Any]]]] = {
    "x": np.uint8,
    "y": np.uint8,
    "p_bits": np.uint8,
    "dt_ms": np.uint8,
    "dt_lo": np.uint8,
    "dt_hi": np.uint8,
    "n": np.uint32,
    "label": np.uint8,
    "id": np.uint32,
}
"""The columns of an archive, and the numbers that they can hold. It has `dt_ms`, or `dt_lo` and `dt_hi`."""


@dataclass(frozen=True, eq=False)
class _Archive:
    """N events: ``x``, ``y``, ``polarity`` and the time ``gaps`` since the event before (N,), in ms if ``in_ms``; of S
    samples with ``labels`` and ``ids`` (S,), of which sample i has events ``starts[i]`` to ``starts[i + 1]``."""

    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    polarity: NDArray[np.uint8]
    gaps: NDArray[np.unsignedinteger[Any]]
    in_ms: bool
    labels: NDArray[np.uint8]
    ids: NDArray[np.uint32]
    starts: NDArray[np.int64]

    def sample(self, index: int) -> EventStream:
        """Sample ``index``."""
        rows = slice(self.starts[index], self.starts[index + 1])
        events = np.empty(rows.stop - rows.start, EVENT)
        t = np.cumsum(self.gaps[rows], dtype=np.int64)
        events["t"] = t * 1000 + _within_ms_us(len(t), int(self.ids[index])) if self.in_ms else t
        events["c"], events["y"], events["x"] = self.polarity[rows], self.y[rows], self.x[rows]
        if self.in_ms:
            events = events[np.argsort(events["t"], kind="stable")]
        return _stream(events, int(self.labels[index]), f"nmnist/{self.ids[index]}")


def _archive_samples(path: Path) -> Samples[EventStream]:
    """The samples of one archive, kept in its compact columns. Raises InputError if it is not such an archive."""
    columns = npz_columns(path, _NEED)
    try:
        archive = _archive(columns)
    except (KeyError, ValueError) as error:
        raise InputError(str(path), f"damaged ({error})", _NEED, "Copy it again.") from None
    return Samples(archive.labels.astype(np.int64), archive.sample)


def _archive(columns: Mapping[str, NDArray[Any]]) -> _Archive:
    """The archive with these ``columns``. Raises ValueError or KeyError if types or lengths are wrong."""
    found = {name: _typed(name, columns[name], kind) for name, kind in COLUMNS.items() if name in columns}
    x, y, labels, ids = (found[name] for name in ("x", "y", "label", "id"))
    starts = np.r_[0, np.cumsum(found["n"], dtype=np.int64)]
    polarity = np.unpackbits(found["p_bits"])[: starts[-1]]
    in_ms = "dt_ms" in found
    gaps = found["dt_ms" if in_ms else "dt_lo"]
    of_events = {len(x), len(y), len(polarity), len(gaps), len(gaps if in_ms else found["dt_hi"])}
    if of_events != {int(starts[-1])} or not len(ids) == len(labels) == len(starts) - 1:
        raise ValueError("its columns differ in length")
    if not in_ms:
        gaps = gaps | found["dt_hi"].astype(np.uint16) << 8
    if labels.max(initial=0) >= CLASSES:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    return _Archive(x, y, polarity, gaps, in_ms, labels, ids, starts)


def _typed(name: str, column: NDArray[Any], kind: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """``column`` (N,) as numbers of ``kind``. Raises ValueError for others than whole numbers that it can hold."""
    if column.dtype.kind not in "iub":
        raise ValueError(f"column {name!r} of {column.dtype} with {column.ndim} axes, not integers with one")
    most = np.iinfo(kind).max
    if len(column) and (int(column.min()) < 0 or int(column.max()) > most):
        raise ValueError(f"column {name!r} from {column.min()} to {column.max()}, not 0 to {most}")
    return column.astype(kind, copy=False)


def _within_ms_us(count: int, seed: int) -> NDArray[np.int64]:
    """(count,): times in 0..999 us, the same for a ``seed`` in every version of numpy."""
    return (np.random.PCG64(seed).random_raw(count) % 1000).astype(np.int64)


def _read_bin(path: Path, label: int, name: str) -> EventStream:
    return _stream(file_events(path, "bin", SHAPE, AT_CLOCK), label, name)


def _stream(events: Events, label: int, name: str) -> EventStream:
    duration_us = max(DURATION_US, int(events["t"].max(initial=0)) + 1)
    return EventStream(events, SHAPE, duration_us, label, name)
