"""What a folder of recordings holds, for a person who is about to train on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError
from deploytool.data.formats.recording import EventFile
from deploytool.data.recordings.classes import listed
from deploytool.data.recordings.excerpts import sizes
from deploytool.data.recordings.labels import refuse
from deploytool.data.samples import Part
from deploytool.data.sets.events import Own, own
from deploytool.data.sets.source import PARTS
from deploytool.data.steps import event_steps, map_after
from deploytool.recipe import DataSection

READ_ALL: Final = 500
"""The largest number of recordings that are all read; of more, `LOOKED_AT` are."""
LOOKED_AT: Final = 100
FEW: Final = 10
"""A class with fewer recordings for training is pointed out."""


@dataclass(frozen=True)
class Spread:
    """The smallest value, the median and the largest."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class DataSummary:
    """A folder of recordings: {class: {part: recordings with it}}, {format: recordings}, the map of a sample.

    ``looked_at`` of the ``recordings`` were read for the ``events`` and ``durations_ms`` of samples; ``samples`` is
    their number in all parts, None if not all were read. ``split`` is what made the parts.
    """

    recordings: int
    classes: Mapping[str, Mapping[Part, int]]
    formats: Mapping[str, int]
    shape: Shape
    split: str
    looked_at: int
    samples: int | None
    events: Spread
    durations_ms: Spread
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "recordings": self.recordings,
            "samples": self.samples,
            "classes": [{"class": name, **counts} for name, counts in self.classes.items()],
            "formats": dict(self.formats),
            "split": self.split,
            "map": list(self.shape),
            "looked_at": self.looked_at,
            "events_per_sample": vars(self.events),
            "duration_ms": vars(self.durations_ms),
            "warnings": list(self.warnings),
        }


def summary(spec: DataSection) -> DataSummary:
    """What the recordings that ``spec`` names are. Reads all of them, or a few of every class and format.

    Raises as `own` does, and InputError with every problem of every file that was read.
    """
    found = own(spec)
    few = len(found.folder.files) <= READ_ALL
    lengths, durations_us, looked_at = _all(found) if few else _some(found)
    classes = _classes(found)
    shape = found.camera.shape
    return DataSummary(
        recordings=len(found.folder.files),
        classes=classes,
        formats=Counter(kind.says for _, kind in found.folder.files),
        shape=map_after(event_steps(spec, shape), shape),
        split=found.split.says,
        looked_at=looked_at,
        samples=len(lengths) if few else None,
        events=_spread(lengths),
        durations_ms=_spread(durations_us / 1000),
        warnings=(*found.notes, *_warnings(classes, lengths)),
    )


def _classes(found: Own) -> dict[str, dict[Part, int]]:
    """{class: {part: recordings that have it}}; empty if recordings have values instead of classes."""
    parts = [part for part in PARTS if part in found.split.parts]
    counts = {name: dict.fromkeys(parts, 0) for name in found.names}
    for part in parts:
        for index in found.split.parts[part].tolist():
            for label in {span.label for span in found.folder.spans_of(index)} & counts.keys():
                counts[label][part] += 1
    return counts


def _all(found: Own) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(events of every sample before all steps, their durations, the number of recordings read)."""
    cuts = [found.cut(part) for part in PARTS if part in found.split.parts]
    lengths, durations_us = zip(*(sizes(cut.recordings, cut.excerpts) for cut in cuts), strict=True)
    return np.concatenate(lengths), np.concatenate(durations_us), len(found.folder.files)


def _some(found: Own) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The same of whole recordings: some, spread evenly, and the first of every class and format."""
    files = found.folder.files
    chosen = dict.fromkeys(np.linspace(0, len(files) - 1, LOOKED_AT).astype(np.int64).tolist())
    first: dict[object, int] = {}
    for index, (_, kind) in enumerate(files):
        for key in (kind.says, *(("class", span.label) for span in found.folder.spans_of(index))):
            first.setdefault(key, index)
    lengths, durations, problems = [], [], []
    for index in dict.fromkeys((*chosen, *first.values())):
        path, _ = files[index]
        try:
            file = EventFile(*files[index])
            number = sum(len(found.camera.fitted(part, str(path))) for part in file.parts())
            found.camera.refuse_other(file.sensor, str(path))
        except InputError as error:
            problems.append(error)
            continue
        lengths.append(number)
        durations.append(file.duration_us)
    refuse(problems)
    return np.array(lengths), np.array(durations), len(lengths)


def _warnings(classes: Mapping[str, Mapping[Part, int]], lengths: NDArray[np.int64]) -> Iterator[str]:
    """What may not be as a person expects."""
    wanted: tuple[tuple[Part, int], ...] = (("train", FEW), ("test", 1))
    for part, least in wanted:
        if few := [f"{name} ({counts[part]})" for name, counts in classes.items() if counts[part] < least]:
            what = f"fewer than {least} recordings" if least > 1 else "no recording"
            yield f"Classes with {what} in the part {part}: {listed(few, 10)}."
    if empty := int((lengths == 0).sum()):
        yield f"{empty:,} of {len(lengths):,} samples have no event."


def _spread(values: NDArray[Any]) -> Spread:
    return Spread(float(np.min(values)), float(np.median(values)), float(np.max(values)))
