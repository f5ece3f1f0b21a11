"""N-Caltech101 (Orchard et al. 2015): 8,709 photographs of 101 classes before a moving event camera, about 300 ms each.

Read from the folder that tonic unpacks, ``NCALTECH101/Caltech101/accordion/image_0001.bin`` and so on; a class is the
place of its folder in the order of names, the background among them. Photographs have different sizes and lie in the
upper left of the sensor, of which every sample has all 2x180x240 pixels. There is no official split: of every class
the tenth whose relative names have the lowest SHA-256 is the test set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError
from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.samples import Samples
from deploytool.data.sets.downloads import how_to_get
from deploytool.data.sets.folders import ClassFiles, class_files, class_folders, listing, located
from deploytool.ir.events import EventStream

SHAPE: Final[Shape] = (2, 180, 240)
CLASSES: Final = 101
TEST_SHARE: Final = 0.1
DURATION_US: Final = 320_000
"""One duration for all samples that are not longer, so that their time steps are equally long."""


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The (training, test) samples in ``root``. Raises InputError if they are missing."""
    files = locate(root)
    return files.split(files.samples(_stream, "ncaltech101"), TEST_SHARE)


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data in ``root``: the relative paths and sizes of all files."""
    return listing(locate(root))


def class_names(root: str | None) -> tuple[str, ...]:
    """The names of the classes, in order."""
    return tuple(class_folders(locate(root).folder))


def locate(root: str | None) -> ClassFiles:
    """The files in ``root``, by class. Raises RecipeError or InputError if they are missing."""
    folder = located("ncaltech101", root, ("NCALTECH101/Caltech101", "Caltech101", "."), ("accordion",))
    if len(classes := class_folders(folder)) != CLASSES:
        raise InputError(
            str(folder), f"{len(classes)} folders", f"one for each of the {CLASSES} classes", how_to_get("ncaltech101")
        )
    return class_files(folder, "", classes, (".bin",))


def _stream(path: Path, label: int, name: str) -> EventStream:
    events = file_events(path, "bin", SHAPE, AT_CLOCK)
    events = events[np.argsort(events["t"], kind="stable")]
    duration_us = max(DURATION_US, int(events["t"].max(initial=0)) + 1)
    return EventStream(events, SHAPE, duration_us, label, name)
