"""Recordings of your own, of any format that `deploytool run` reads, in folders that are named like their classes.

``ROOT/train/CLASS/*`` and ``ROOT/test/CLASS/*``, if there is one also ``ROOT/validation/CLASS/*``; or ``ROOT/CLASS/*``,
of which a list or a hash of the names makes the parts. Classes are numbered in the order of their names. A file
``labels.csv`` with the columns file and label, or file, start_ms, end_ms and label, gives the classes instead, of whole
recordings or of spans of them. All recordings are of one camera.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError, RecipeError
from deploytool.data.formats.recording import EventFile
from deploytool.data.recordings.classes import in_order, listed
from deploytool.data.recordings.content import Signature, settled, signature
from deploytool.data.recordings.excerpts import Excerpts, excerpts, left_out, samples, windows_of
from deploytool.data.recordings.folder import Folder, folder_of
from deploytool.data.recordings.reader import Camera, Recordings, size
from deploytool.data.recordings.split import Split, split, split_file
from deploytool.data.samples import Part, Samples
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection

NAME: Final = "events"
FEATURES: Final = 2
LOOKED_AT: Final = 20
"""Recordings that are read to advise about the size of the sensor."""
SEVERAL: Final = -1
"""The label of a recording with spans of several classes, for the split."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The recordings of one part of a folder, and the ``excerpts`` of them that are its samples."""

    folder: Folder
    recordings: Recordings
    excerpts: Excerpts


@dataclass(frozen=True, eq=False)
class Own:
    """The recordings that ``spec`` names: their ``folder``, the ``names`` of the classes, and the ``split``.

    The recordings of a part are read and checked when they are first asked for.
    """

    spec: DataSection
    folder: Folder
    names: tuple[str, ...]
    split: Split

    @cached_property
    def camera(self) -> Camera:
        """The map of all recordings. Raises RecipeError if neither a file nor the recipe states it."""
        if self.spec.sensor is not None:
            return Camera(FEATURES, self.spec.sensor, stated=True)
        first = self.folder.files[int(self.split.parts["train"][0])]
        stated = EventFile(*first).sensor
        if stated is None:
            raise RecipeError("data.sensor", *_no_sensor(self.folder))
        todo = f"{first[0]} is of that camera. Set data.sensor if one of them states another one than it has."
        return Camera(FEATURES, stated, todo=todo)

    @property
    def shape(self) -> Shape:
        """The map (C, H, W) of the recordings."""
        return self.camera.shape

    @cached_property
    def fingerprint(self) -> str:
        """The digest of the names and the content of all recordings and tables."""
        return self.folder.fingerprint

    @cached_property
    def _cuts(self) -> dict[Part, Cut]:
        """The parts that were read so far."""
        return {}

    def cut(self, part: Part) -> Cut:
        """The recordings of ``part``, all checked. Raises InputError with every problem of every file."""
        if part not in self._cuts:
            folder = self.folder.take(self.split.parts[part].tolist())
            recordings = Recordings(folder, self.camera)
            numbers = {name: number for number, name in enumerate(self.names)}
            label_of = numbers.__getitem__ if self.names else _no_class
            found = excerpts(folder, recordings, label_of, windows_of(self.spec))
            self._cuts[part] = Cut(folder, recordings, found)
        return self._cuts[part]

    def parts(self, wanted: Collection[Part]) -> Mapping[Part, Samples[EventStream]]:
        """The samples of the ``wanted`` parts that there are."""
        cuts = {part: self.cut(part) for part in wanted if part in self.split.parts}
        return {
            part: samples(cut.recordings, cut.excerpts, [f"{NAME}/{name}" for name in cut.folder.names])
            for part, cut in cuts.items()
        }

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the values that the label file states, none if recordings have classes."""
        return self.folder.value_names

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the folder is not used, and of the parts that were read so far."""
        found = []
        if ignored := self.folder.ignored:
            names = listed([path.name for path in ignored])
            found.append(f"Ignored, because they are no recordings: {names} ({_files(len(ignored))}).")
        if unnamed := self.split.left_out:
            why = f"they are in no part, by {self.split.says}"
            found.append(f"Not used, because {why}: {listed(unnamed)} ({_files(len(unnamed))}).")
        cuts = [cut.excerpts for cut in self._cuts.values()]
        incomplete = sum(cut.incomplete for cut in cuts)
        return (*found, *left_out((cut.short for cut in cuts), incomplete, windows_of(self.spec)))


def _files(number: int) -> str:
    return f"{number:,} file{'s' * (number != 1)}"


_LATEST: Final[dict[tuple[DataSection, Path], tuple[tuple[Signature, ...], Own]]] = {}
"""The recordings that this process looked for last, which are known as long as none of them changes."""


def own(spec: DataSection) -> Own:
    """The recordings that ``spec`` names, none of them read; see `_own`."""
    key = spec, Path.cwd()
    if (known := _LATEST.get(key)) and known[0] == _signatures(known[1]):
        return known[1]
    found = _own(spec)
    signatures = _signatures(found)
    _LATEST.clear()
    if signatures and all(map(settled, signatures)):
        _LATEST[key] = signatures, found
    return found


def _signatures(found: Own) -> tuple[Signature, ...]:
    """What changes when recordings are added, removed, renamed or written, or a table is; empty if one is gone."""
    folder = found.folder
    files = [path for path, _ in folder.files]
    places = {path.parent for path in files} | {path.parent for path in folder.ignored}
    above = {parent for place in places for parent in place.parents if parent.is_relative_to(folder.root)}
    try:
        return tuple(map(signature, [*sorted({folder.root} | places | above), *files, *folder.tables]))
    except InputError:
        return ()


def _own(spec: DataSection) -> Own:
    """The recordings that ``spec`` names, none of them read.

    Raises RecipeError without a root; InputError for a folder without recordings, recordings without a class, fewer
    than two classes, parts without recordings, and as `folder_of`.
    """
    if spec.root is None:
        raise RecipeError("data.root", f"missing for the set {NAME}", "the folder of your recordings", layout())
    root = Path(spec.root).expanduser()
    if not root.is_dir():
        raise InputError(f"data.root {spec.root}", "no such folder", "the folder of your recordings", layout())
    file = split_file(spec, root)
    folder = folder_of(root, [] if file is None else [file])
    names = _class_names(folder)
    return Own(spec, folder, names, split(spec, folder, _labels(folder, names)))


def layout() -> str:
    """How a folder is laid out, in one sentence."""
    return "Lay it out as train/CLASS/* and test/CLASS/*, as CLASS/*, or as recordings beside a labels.csv."


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The (training, test) samples in ``root``, whose files state the camera."""
    found = own(DataSection(set=NAME, root=root)).parts(("train", "test"))
    return found["train"], found["test"]


def fingerprint(root: str | None) -> str:
    """The fingerprint of the recordings in ``root``: their names and their content."""
    return own(DataSection(set=NAME, root=root)).fingerprint


def _no_class(_: str) -> int:
    """The stratum of recordings that have values instead of classes."""
    return 0


def _class_names(folder: Folder) -> tuple[str, ...]:
    folder.require_values_of_all()
    if folder.value_names:
        return ()
    names = folder.class_names
    if "" in names:
        bare = [name for index, name in enumerate(folder.names) if folder.spans_of(index)[0].label == ""]
        found = f"{len(bare):,} recording{'s' * (len(bare) > 1)} without a class: {listed(bare)}"
        raise InputError(str(folder.root), found, "a folder for each class, or labels.csv")
    if len(names) < 2:
        raise InputError(str(folder.root), f"one class, {min(names)}", "at least two", layout())
    return in_order(names)


def _labels(folder: Folder, names: Iterable[str]) -> list[int]:
    """The class of every recording."""
    numbers = {name: number for number, name in enumerate(names)} or {"": _no_class("")}
    each = ({numbers[span.label] for span in folder.spans_of(index)} for index in range(len(folder.files)))
    return [next(iter(found)) if len(found) == 1 else SEVERAL for found in each]


def reach(folder: Folder) -> tuple[int, int, int]:
    """(rows, columns) that the events of a few recordings need at least, and the number of these recordings."""
    spread = np.unique(np.linspace(0, len(folder.files) - 1, LOOKED_AT).astype(np.int64))
    extents = np.array([EventFile(*folder.files[index]).seen.extent[1:] for index in spread.tolist()])
    rows, columns = (int(side) for side in extents.max(axis=0))
    return rows, columns, len(spread)


def _no_sensor(folder: Folder) -> tuple[str, str, str]:
    """What is found and needed where no file states its camera, and a proposal from a few recordings."""
    rows, columns, count = reach(folder)
    reached = f"The events of {count} recordings need at least {size((rows, columns))}"
    todo = f"{reached}: set data.sensor = [{rows}, {columns}], or more if the camera has more."
    return "missing, and the recordings do not state the size of their camera", "[H, W] of the camera", todo
