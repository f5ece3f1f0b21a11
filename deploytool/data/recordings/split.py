"""The parts of a folder of recordings: training, validation and test, which share no recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.recordings.classes import listed
from deploytool.data.recordings.folder import PART_FOLDERS, SPLITS, Folder
from deploytool.data.recordings.labels import posix, refuse, table
from deploytool.data.samples import Part, hash_split
from deploytool.recipe import DataSection

FOLDERS: Final = "folders"
NAMES: Final = "names"
TEST_SHARE: Final = 0.2
HEADER: Final = ("file", "part")


@dataclass(frozen=True, eq=False)
class Split:
    """{part: indices of its recordings}, what made it, and the names of the recordings that are in no part."""

    parts: Mapping[Part, NDArray[np.int64]]
    says: str
    left_out: tuple[str, ...] = ()


def split_file(spec: DataSection, root: Path) -> Path | None:
    """The file that splits the recordings in ``root``; None if their folders or names do.

    Raises RecipeError for one that is not there.
    """
    if spec.split in (FOLDERS, NAMES):
        return None
    file = root / (spec.split or SPLITS)
    if file.is_file():
        return file
    if spec.split is not None:
        need = f"{FOLDERS}, {NAMES}, or a file in {root}"
        raise RecipeError("data.split", f"found {spec.split!r}, which is no file there", need)
    return None


def split(spec: DataSection, folder: Folder, labels: Sequence[int]) -> Split:
    """The parts of ``folder``, whose recordings have ``labels`` (N,), -1 for several classes.

    Raises InputError for a part without recordings, and what a table lists but the folder lacks; RecipeError for a
    share without a split by names.
    """
    file = split_file(spec, folder.root)
    by_folder = spec.split == FOLDERS or (spec.split is None and file is None and any(folder.parts))
    if spec.test_share is not None and (file or by_folder):
        how = file.name if file else "the folders train and test"
        raise RecipeError("data.test_share", f"found {spec.test_share:g}, but {how} split the recordings", "none")
    if file is not None:
        found = _listed(file, folder)
        says = file.name
    elif by_folder:
        found, says = list(folder.parts), FOLDERS
    else:
        found, says = _hashed(folder, labels, spec.test_share or TEST_SHARE), "a hash of the names"
    parts: dict[Part, list[int]] = {}
    for index, part in enumerate(found):
        if part is not None:
            parts.setdefault(part, []).append(index)
    by_hash = f'Set data.split = "{NAMES}" to split them by a hash of their names.'
    few = "Add recordings: a class needs at least two." if file is None else ""
    _require(parts, folder, by_hash if by_folder else few)
    left_out = tuple(name for name, part in zip(folder.names, found, strict=True) if part is None)
    return Split({part: np.array(indices, np.int64) for part, indices in parts.items()}, says, left_out)


def _require(parts: Mapping[Part, list[int]], folder: Folder, todo: str) -> None:
    """Raises InputError, which ends with ``todo``, unless there are recordings for training and for the test."""
    needed: tuple[Part, ...] = ("train", "test")
    if missing := [part for part in needed if part not in parts]:
        found = f"no recordings for {' and '.join(missing)}"
        raise InputError(str(folder.root), found, "some for training and some for the test", todo)


def _hashed(folder: Folder, labels: Sequence[int], share: float) -> list[Part | None]:
    train, _ = hash_split(folder.names, np.array(labels, np.int64), share)
    found: list[Part | None] = ["test"] * len(folder.files)
    for index in train.tolist():
        found[index] = "train"
    return found


def _listed(file: Path, folder: Folder) -> list[Part | None]:
    """The part of every recording by the list in ``file``; None for those that it does not name."""
    known = _table(file) if file.suffix.lower() == ".csv" else _tests(file)
    used: set[str] = set()
    found: list[Part | None] = []
    for name in folder.names:
        places = [name, *(parent.as_posix() for parent in PurePosixPath(name).parents)]
        match = next((place for place in places if place in known), None)
        found.append(known[match] if match is not None else None)
        used.add(match or name)
    if unknown := [name for name in known if name not in used and name != "."]:
        says = f"names {len(unknown):,} that are no recordings and no folders of them: {listed(unknown)}"
        raise InputError(str(file), says, f"files below {folder.root}, such as {folder.names[0]}")
    return found


def _table(file: Path) -> dict[str, Part]:
    """{file or folder: part} of a table."""
    _, rows = table(file, (HEADER,))
    problems = [
        InputError(where, f"the part {part!r}", "train, validation or test")
        for where, (_, part) in rows
        if part.lower() not in PART_FOLDERS
    ]
    refuse(problems)
    return {posix(name): PART_FOLDERS[part.lower()] for _, (name, part) in rows}


def _tests(file: Path) -> dict[str, Part]:
    """{file or folder: "test"} of a list with one a line, and "train" for everything else."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(str(file), f"cannot be read ({reason})", "a text with a file name on each line") from None
    found: dict[str, Part] = {".": "train"}
    return found | {posix(line.strip()): "test" for line in lines if line.strip() and not line.startswith("#")}
