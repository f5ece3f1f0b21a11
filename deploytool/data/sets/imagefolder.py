"""Pictures in folders, as ImageNet is kept: ``train/<class>/*`` and ``val/<class>/*``, or ``<class>/*`` alone.

A class is the place of its folder in the order of names. Where there is no ``val``, of every class the tenth whose
relative names have the lowest SHA-256 is the test set. Pictures are .png or .jpeg files of any size, read when needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.images import Image, read_image
from deploytool.data.samples import Samples
from deploytool.data.sets.downloads import how_to_get
from deploytool.data.sets.folders import ClassFiles, class_files, class_folders, listing

TRAIN: Final = "train"
TEST: Final = "val"
SUFFIXES: Final = (".png", ".jpg", ".jpeg")
TEST_SHARE: Final = 0.1
_NEED: Final = f"{TRAIN} and {TEST}, each with a folder of pictures per class, or only those class folders"


def parts(root: str | None) -> tuple[Samples[Image], Samples[Image]]:
    """The (training, test) images in ``root``. Raises InputError if there are none, or if their classes differ."""
    found = [(files, files.samples(read_image, "imagefolder")) for files in locate(root)]
    if len(found) == 1:
        files, samples = found[0]
        return files.split(samples, TEST_SHARE)
    (_, train), (_, test) = found
    return train, test


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data in ``root``: the relative paths and sizes of all pictures."""
    return listing(*locate(root))


def class_names(root: str | None) -> tuple[str, ...]:
    """The names of the class folders in ``root``, in order."""
    folder = Path(locate(root)[0].folder)
    return tuple(class_folders(folder / TRAIN if all((folder / part).is_dir() for part in (TRAIN, TEST)) else folder))


def locate(root: str | None) -> list[ClassFiles]:
    """The files for training and those for the test, or all of them if there is no ``val``."""
    if root is None:
        todo = how_to_get("imagefolder")
        raise RecipeError("data.root", "missing for the set imagefolder", f"a folder with {_NEED}", todo)
    folder = Path(root).expanduser()
    if not folder.is_dir() or not class_folders(folder):
        raise InputError(f"data.root {root}", "no folder that contains folders", _NEED)
    if not all((folder / part).is_dir() for part in (TRAIN, TEST)):
        return [class_files(folder, "", class_folders(folder), SUFFIXES)]
    classes = class_folders(folder / TRAIN)
    if differ := sorted(set(classes) ^ set(class_folders(folder / TEST))):
        raise InputError(str(folder), f"{differ[0]} in only one of {TRAIN} and {TEST}", "the same classes in both")
    return [class_files(folder, part, classes, SUFFIXES) for part in (TRAIN, TEST)]
