"""CIFAR10-DVS (Li et al. 2017): 10,000 images of CIFAR-10 that move before an event camera, 2x128x128, 1.3 s a sample.

Read from the folder that tonic unpacks, ``CIFAR10DVS/airplane/cifar10_airplane_0.aedat4`` and so on. There is no
official split: of every class the tenth whose relative names have the lowest SHA-256 is the test set. A sample begins
at its first event.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AS_IT_IS
from deploytool.data.samples import Samples
from deploytool.data.sets.folders import ClassFiles, class_files, listing, located
from deploytool.ir.events import EventStream

SHAPE: Final[Shape] = (2, 128, 128)
NAMES: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TEST_SHARE: Final = 0.1


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The (training, test) samples in ``root``. Raises InputError if they are missing."""
    files = locate(root)
    return files.split(files.samples(_stream, "cifar10dvs"), TEST_SHARE)


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data in ``root``: the relative paths and sizes of all files."""
    return listing(locate(root))


def locate(root: str | None) -> ClassFiles:
    """The files in ``root``, by class. Raises RecipeError or InputError if they are missing."""
    folder = located("cifar10dvs", root, ("CIFAR10DVS", "."), NAMES)
    return class_files(folder, "", NAMES, (".aedat4",))


def _stream(path: Path, label: int, name: str) -> EventStream:
    """The events of one AEDAT4 file. Raises InputError if it is not AEDAT4, or if its reader is not installed."""
    events = file_events(path, "aedat4", SHAPE, AS_IT_IS)
    return EventStream(events, SHAPE, int(events["t"][-1]) + 1, label, name)
