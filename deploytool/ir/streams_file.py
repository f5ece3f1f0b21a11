"""Samples as files: their events in one file, which is mapped into memory, and columns that describe them.

``events.bin`` holds the events of all samples, one sample after the other, as records of `EVENT`. The columns are

    version
    ends (S,): the number of events up to the end of each sample
    labels (S,), durations_us (S,), names (S,), shapes (S, 3): as in `EventStream`
    target_ends (S,), targets (N, D): the targets of all samples and where those of each end, if samples have any
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, overload

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape
from deploytool.base.errors import ArtifactError, InputError
from deploytool.base.npy import DAMAGE, Archive
from deploytool.ir.columns import Columns
from deploytool.ir.events import EVENT, Events, EventStream

EVENTS_FILE: Final = "events.bin"
COLUMNS_FILE: Final = "samples.npz"
VERSION: Final = 1
BYTES_MAX: Final = 2**28
"""The most bytes of events that are kept: 19 million events. Their SHA-256 is verified on every use, at 1 to 2 GB/s."""

NEED: Final = "samples that deploytool wrote"


class TooManyEventsError(Exception):
    """Samples have more events than are kept."""


def save_streams(streams: Sequence[EventStream], folder: Path, bytes_max: int = BYTES_MAX) -> None:
    """Writes ``streams`` into ``folder``, one after the other. Raises TooManyEventsError above ``bytes_max``."""
    rows, targets, size = [], [], 0
    with (folder / EVENTS_FILE).open("wb") as file:
        for stream in streams:
            size += stream.events.nbytes
            if size > bytes_max:
                raise TooManyEventsError
            file.write(stream.events.tobytes())
            rows.append((len(stream), stream.label, stream.duration_us, stream.shape, stream.name))
            if stream.targets is not None:
                targets.append(stream.targets)
    lengths, labels, durations_us, shapes, names = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    columns = {
        "version": np.int64(VERSION),
        "ends": np.cumsum(lengths, dtype=np.int64),
        "labels": np.array(labels, np.int64),
        "durations_us": np.array(durations_us, np.int64),
        "shapes": np.array(shapes, np.int64).reshape(-1, 3),
        "names": np.array(names, np.str_),
    }
    if targets:
        columns["target_ends"] = np.cumsum([len(each) for each in targets], dtype=np.int64)
        columns["targets"] = np.concatenate(targets)
    np.savez(folder / COLUMNS_FILE, **cast("dict[str, Any]", columns))


@dataclass(frozen=True, eq=False)
class StoredStreams(Sequence[EventStream]):
    """Samples in files, each made when it is asked for. ``events`` are those of all samples, mapped into memory."""

    events: Events
    columns: Mapping[str, Array]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(S,): the class of each sample, -1 if it is not known."""
        return self.columns["labels"]

    @property
    def shapes(self) -> list[Shape]:
        """The maps (C, H, W) of the samples, each once."""
        found = sorted({tuple(row) for row in self.columns["shapes"].tolist()})
        return cast("list[Shape]", found)

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> EventStream: ...
    @overload
    def __getitem__(self, index: slice) -> list[EventStream]: ...
    def __getitem__(self, index: int | slice) -> EventStream | list[EventStream]:
        chosen = range(len(self))[index]
        return self._stream(chosen) if isinstance(chosen, int) else [self._stream(each) for each in chosen]

    def _stream(self, index: int) -> EventStream:
        columns = self.columns
        targets = columns["targets"][_span(columns["target_ends"], index)] if "targets" in columns else None
        try:
            return EventStream(
                self.events[_span(columns["ends"], index)],
                cast("Shape", tuple(columns["shapes"][index].tolist())),
                int(columns["durations_us"][index]),
                int(columns["labels"][index]),
                str(columns["names"][index]),
                targets,
            )
        except InputError as error:
            raise ArtifactError(EVENTS_FILE, f"sample {index} is none ({error})", NEED) from None


def load_streams(folder: Path) -> StoredStreams:
    """The samples in ``folder``. Raises ArtifactError for damaged ones, or those of a newer version."""
    path = folder / COLUMNS_FILE
    try:
        with path.open("rb") as file:
            archive = Archive(file)
            columns = Columns(str(path), archive.read_together(archive.headers), NEED)
        events = np.fromfile(folder / EVENTS_FILE, EVENT, 0)
        if (folder / EVENTS_FILE).stat().st_size:
            events = np.asarray(np.memmap(folder / EVENTS_FILE, EVENT, "r"))
    except DAMAGE as error:
        raise ArtifactError(str(path), f"not readable ({error})", NEED) from None
    version = int(columns.integers("version", least=1))
    if version > VERSION:
        raise ArtifactError(str(path), f"format version {version}", f"version {VERSION}", "Update deploytool.")
    ends = columns.ends("ends", len(events), f"events in {EVENTS_FILE}")
    count = len(ends)
    found = {
        "ends": ends,
        "labels": columns.integers("labels", count, least=-1),
        "durations_us": columns.integers("durations_us", count, least=0),
        "shapes": columns.integers("shapes", count, 3, least=1),
        "names": np.array(columns.texts("names", count), np.str_),
    }
    if "targets" in columns.columns:
        targets = columns.reals("targets", np.float32, 2)
        found |= {"targets": targets, "target_ends": columns.ends("target_ends", len(targets), "targets", count)}
    return StoredStreams(events, found)


def _span(ends: Array, index: int) -> slice:
    return slice(int(ends[index - 1]) if index else 0, int(ends[index]))
