"""What data a folder holds, as far as a recipe has to know: the set, the classes, the map, the number of samples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import DeployError, InputError, RecipeError
from deploytool.data.samples import Part
from deploytool.recipe import DataSection

TRAIN: Final[tuple[Part, ...]] = ("train",)
LOOKED_AT: Final = 16
"""Samples that are read to see how large and how long they are."""
PICTURE_SIDE: Final = 32
"""The longer side to which pictures are scaled, if they are larger."""
SENSOR_SIDE: Final = 128
"""The longer side to which events are scaled, if their sensor is larger: that of the Speck2e's own."""
CAMERAS: Final = (
    (16, 16),
    (32, 32),
    (34, 34),
    (64, 64),
    (128, 128),
    (180, 240),
    (240, 304),
    (260, 346),
    (480, 640),
    (720, 1280),
)
"""[H, W] of cameras and data sets, for recordings that do not state theirs."""
LONG_MS: Final = 2000.0
"""Recordings that are longer are cut into windows of `WINDOW_MS`."""
WINDOW_MS: Final = 500.0


@dataclass(frozen=True)
class Found:
    """Data of the set ``set``: further ``keys`` of [data], the map (C, H, W) that they make, and how many there are.

    ``says`` describes them in sentences; ``name`` is that of a recipe for them.
    """

    set: str
    keys: Mapping[str, Any]
    shape: Shape
    classes: int
    samples: int
    duration_ms: float
    says: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.set)


def found_in(folder: Path) -> Found:
    """What ``folder`` holds: a data set with a name, pictures in folders, or recordings.

    Raises InputError with what was expected if it is none of them.
    """
    from deploytool.data.sets.events import layout
    from deploytool.data.sets.sources import DATASETS

    if not folder.is_dir():
        raise InputError(f"--from {folder}", "no such folder", "a folder of recordings or pictures", layout())
    root = str(folder)
    for name, source in DATASETS.items():
        if source.locate is not None and not source.values and all(source.shape):
            try:
                source.locate(root)
            except DeployError:
                continue
            return _known(name, root)
    problems = []
    for look in (_pictures, _recordings):
        try:
            return look(root, re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-") or "own")
        except DeployError as error:
            problems.append(error)
    if _has_recordings(folder):
        raise problems[-1]
    need = "a folder of recordings or pictures"
    raise InputError(f"--from {folder}", "neither recordings nor pictures in it", need, layout())


def _has_recordings(folder: Path) -> bool:
    """Whether a file in ``folder`` is a recording of events."""
    from deploytool.data.formats.files import kinds
    from deploytool.data.formats.table import Format

    try:
        return any(isinstance(kind, Format) for _, kind in kinds(folder))
    except InputError:
        return False


def _known(name: str, root: str) -> Found:
    """The data set called ``name``."""
    from deploytool.data.sets.sources import DATASETS

    source = DATASETS[name]
    train = source.open(DataSection(set=name, root=root)).parts(TRAIN)["train"]
    classes = source.classes or len(source.names(root))
    shape = source.shape
    keys: dict[str, Any] = {"root": root}
    says = f"Data: {name}, {len(train)} samples for training, {classes} classes, {format_shape(shape)}."
    return Found(name, keys, shape, classes, len(train), 0.0, (says,))


def _pictures(root: str, name: str) -> Found:
    """Pictures in folders, scaled so that the longer side is at most `PICTURE_SIDE`."""
    from deploytool.data.sets import imagefolder

    train, _ = imagefolder.parts(root)
    names = imagefolder.class_names(root)
    sizes = [train[index].shape[1:] for index in _spread(len(train))]
    high, wide = (int(np.median([size[axis] for size in sizes])) for axis in (0, 1))
    scale = min(1.0, PICTURE_SIDE / max(high, wide))
    size = [max(1, round(high * scale)), max(1, round(wide * scale))]
    scaled = "" if scale == 1 else f"; scaled to {size[0]}x{size[1]}"
    says = f"Data: {len(train)} pictures for training, {_listed(names)}, about {high}x{wide}{scaled}."
    keys = {"root": root, "size": size}
    return Found("imagefolder", keys, (3, size[0], size[1]), len(names), len(train), 0.0, (says,), name)


def _recordings(root: str, name: str) -> Found:
    """Recordings of a camera, scaled to `SENSOR_SIDE`, and cut into windows if they are long."""
    from deploytool.data.sets.events import own, reach
    from deploytool.data.sets.table import promised

    keys: dict[str, Any] = {"root": root}
    taken = ""
    opened = own(DataSection(set="events", **keys))
    try:
        high, wide = opened.shape[1:]
    except RecipeError:
        rows, columns, _ = reach(opened.folder)
        high, wide = next((each for each in CAMERAS if each[0] >= rows and each[1] >= columns), (rows, columns))
        keys["sensor"] = [high, wide]
        taken = (
            f" Its size is not stated: it is the smallest known one that holds the events, at least {rows}x{columns}."
        )
        opened = own(DataSection(set="events", **keys))
    train = opened.parts(TRAIN)["train"]
    looked_at = [train[index] for index in _spread(len(train))]
    duration_ms = float(np.median([stream.duration_us for stream in looked_at])) / 1000
    if max(high, wide) > SENSOR_SIDE:
        scale = SENSOR_SIDE / max(high, wide)
        keys["size"] = [max(1, round(high * scale)), max(1, round(wide * scale))]
    count = len(train)
    if duration_ms > LONG_MS:
        keys["window_ms"] = WINDOW_MS
        count = round(count * duration_ms / WINDOW_MS)
    events = round(float(np.mean([len(stream) for stream in looked_at])))
    says = (
        f"Data: {len(train)} recordings for training, {_listed(opened.names)}, of a camera of {high}x{wide}, about "
        f"{duration_ms:.0f} ms and {events:,} events each.{taken}"
    )
    shape = promised(DataSection(set="events", **keys)).shape
    return Found("events", keys, shape, len(opened.names), count, duration_ms, (says,), name)


def _spread(count: int) -> list[int]:
    """The numbers of `LOOKED_AT` samples, evenly over all."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, LOOKED_AT))})


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} classes ({shown})"
