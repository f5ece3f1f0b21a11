"""Recordings that a network runs on: a file, or a folder of them, on the network's map and with its classes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.files import remarks
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.recording import EventFile
from deploytool.data.recordings.classes import NOT_KNOWN, Classes, Numbered, is_number, numbered
from deploytool.data.recordings.excerpts import excerpts, left_out, samples, windows_of
from deploytool.data.recordings.folder import SPLITS, Folder, folder_of
from deploytool.data.recordings.reader import HELD, Camera, Recordings, Sensor, size
from deploytool.data.recordings.split import split
from deploytool.data.samples import Samples
from deploytool.data.steps import event_steps, map_after
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection

OWN: Final = DataSection(set="events")
SMALL: Final = 0.5
ENOUGH: Final = 1000
"""`ENOUGH` events on less than this share of the network's map may be of a smaller camera."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """How recordings are taken: the ``reading`` of files, and the keys of ``spec`` that crop, pool, scale or cut them.

    ``classes`` are those of the network.
    """

    reading: Reading = AS_IT_IS
    spec: DataSection = OWN
    classes: Classes = NOT_KNOWN


AS_THEY_ARE: Final = Asked()


def read_events(
    path: Path, shape: Shape, asked: Asked = AS_THEY_ARE, say: Say = lambda _: None, held: int = HELD
) -> Samples[EventStream]:
    """The samples in ``path``, a file or a folder of files, in order of names, on maps of ``shape`` (C, H, W).

    A sample lasts until its last event, unless a label file or windows cut recordings. Labels are those of a label file
    or of class folders, as `numbered` has it; -1 without. Of a folder with a split, the test part is taken. ``say`` is
    told what was changed or left out. All files are read; of those after the first ``held`` events, the events are
    read again when they are needed.
    Raises InputError with every problem of every file, UsageError for options that the files do not need.
    """
    folder, left = test_part(chosen_folder(path))
    folder = labelled(folder, asked.classes)
    folder.require_values_of_all()
    if left:
        say(left)
    numbers, windows = numbers_of(folder, asked.classes), windows_of(asked.spec)
    camera = _camera(folder, shape, asked)
    steps = event_steps(asked.spec, camera.shape)
    recordings = Recordings(folder, camera, asked.reading, held)
    found = excerpts(folder, recordings, numbers.of, windows)
    merged = [recordings.camera.merges(seen) for seen in recordings.seen]
    paths = [file for file, _ in folder.files]
    notes = (
        *remarks(folder.ignored, paths, recordings.seen, any(merged), asked.reading.unwrap),
        *numbers.notes,
        *left_out([found.short], found.incomplete, windows),
        *_small(recordings, asked.spec, shape),
    )
    for line in notes:
        say(line)
    return samples(recordings, found, [str(file) for file in paths], steps)


def chosen_folder(path: Path) -> Folder:
    """The recordings in ``path`` with the tables that say more about them; see `folder_of`."""
    return folder_of(path, (path / SPLITS,) if path.is_dir() else ())


def test_part(folder: Folder) -> tuple[Folder, str]:
    """(the recordings for the test, what a person should know of the others); all recordings if there is no split."""
    if SPLITS in {table.name for table in folder.tables}:
        chosen = split(OWN, folder, [0] * len(folder.files)).parts["test"].tolist()
    else:
        chosen = [index for index, part in enumerate(folder.parts) if part == "test"]
    others = len(folder.files) - len(chosen)
    if not chosen or not others:
        return folder, ""
    says = f"Takes the {len(chosen):,} test recordings in {folder.root}, and not the {others:,} others."
    return folder.take(chosen), says


def labelled(folder: Folder, classes: Classes) -> Folder:
    """``folder`` with the names of classes that a network with ``classes`` understands."""
    pairs = zip(folder.files, folder.classes, strict=True)
    return replace(folder, classes=tuple(_name(path, name, classes) for (path, _), name in pairs))


def _name(path: Path, folder: str, classes: Classes) -> str:
    """The name of the class of the recording ``path``, which lies in the class ``folder``; "" if it has none.

    For a network without names, the number that a recording lies in counts, as in ``Test/7/00042.bin``.
    """
    parent = path.absolute().parent.name
    if classes.names:
        return folder or (parent if parent in classes.names else "")
    return parent if is_number(parent) else folder


def numbers_of(folder: Folder, classes: Classes) -> Numbered:
    """The outputs that the names of classes in ``folder`` belong to."""
    return numbered(folder.class_names - {""}, classes, str(folder.root))


def _camera(folder: Folder, shape: Shape, asked: Asked) -> Camera:
    """The map of the recordings, which the steps make the network's map of ``shape``.

    Raises InputError if they do not, UsageError if the size of the camera is needed and not known.
    """
    first, spec = folder.files[0], asked.spec
    sensor = spec.sensor or stated_sensor(folder, asked.reading) or _without_statement(spec, shape, folder)
    camera = Camera(shape[0], sensor, stated=spec.sensor is not None, todo=advice(sensor))
    found = map_after(event_steps(spec, camera.shape), camera.shape)
    if found[1:] != shape[1:]:
        changed = "" if found == camera.shape else f", {size(found[1:])} as asked"
        whose = f"recordings of a camera of {size(sensor)} pixels{changed}"
        need = f"{size(shape[1:])}, the input of the network"
        raise InputError(str(first[0]), whose, need, advice(shape[1:]))
    return camera


def stated_sensor(folder: Folder, reading: Reading) -> Sensor | None:
    """The camera that the first recording of ``folder`` states, of those that can be read; None if it states none."""
    for file in folder.files:
        with contextlib.suppress(InputError):
            return EventFile(*file, reading).sensor
    return None


def advice(sensor: Sensor) -> str:
    """The options that make any recording one of ``sensor``."""
    rows, columns = sensor
    return f"Add --resize {rows},{columns} to scale it, or --crop {rows},{columns} for its middle."


def _without_statement(spec: DataSection, shape: Shape, folder: Folder) -> Sensor:
    """The camera of files that state none: the network's, enlarged by a pooling."""
    if spec.crop is None and spec.size is None:
        return shape[1] * (spec.pool or 1), shape[2] * (spec.pool or 1)
    extent = EventFile(*folder.files[0]).seen.extent
    found = "missing, and the recordings do not state the size of their camera"
    todo = f"The events of {folder.files[0][0].name} need at least {extent[1]},{extent[2]}."
    raise UsageError("--sensor", found, "--sensor H,W with --crop or --resize", todo)


def _small(recordings: Recordings, spec: DataSection, shape: Shape) -> Iterator[str]:
    """The warning that recordings, of which nobody states the camera, reach only a small part of the map."""
    seen = recordings.seen
    if spec.sensor is not None or any(each.sensor for each in seen) or sum(each.clock.events for each in seen) < ENOUGH:
        return
    rows, columns = (int(side) for side in np.array([each.extent[1:] for each in seen]).max(axis=0))
    sensor = recordings.camera.sensor
    if rows * columns < SMALL * sensor[0] * sensor[1]:
        yield (
            f"The events reach only {rows} rows and {columns} columns of the map of "
            f"{format_shape(recordings.camera.shape)}. If their camera has no more, the network does not see what it "
            f"was trained on: add --sensor {rows},{columns} --resize {shape[1]},{shape[2]}."
        )
