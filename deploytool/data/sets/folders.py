"""Where data sets lie on disk: folders found by their layout, files by class, and what names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deploytool.base.digest import digest
from deploytool.base.errors import DeployError, InputError, RecipeError
from deploytool.data.formats.files import refuse_unwritable
from deploytool.data.samples import Samples, hash_split
from deploytool.data.sets.downloads import default_folder, how_to_get

Made = TypeVar("Made")


def place_of(root: str | None, name: str) -> Path:
    """The folder in which the set ``name`` is looked for: ``root``, or where a download puts it."""
    return (default_folder(name) or Path()) if root is None else Path(root).expanduser()


def not_there(name: str, root: str | None, need: str) -> DeployError:
    """The error that says where the set ``name`` was looked for, what was expected there, and how to get it."""
    folder, todo = place_of(root, name), how_to_get(name)
    if root is None:
        where = "" if default_folder(name) is None else f", and no {name} in ./{folder}"
        return RecipeError("data.root", f"missing for the set {name}{where}", need, todo)
    found = f"no {name} in this folder" if folder.is_dir() else "no such folder"
    return InputError(f"data.root {root}", found, need, todo)


def located(name: str, root: str | None, places: Sequence[str], parts: Sequence[str]) -> Path:
    """The first of ``places``, relative to ``root``, that holds all of ``parts``, for the data set ``name``.

    Raises RecipeError if there is neither a root nor the set where a download puts it; InputError if the data are
    missing or incomplete.
    """
    listed = [f"{places[0]}/{part}" for part in parts]
    need = f"the folder that holds {', '.join(listed if len(parts) < 6 else [*listed[:2], '...'])}"
    folder = place_of(root, name)
    for place in places:
        missing = [part for part in parts if not (folder / place / part).exists()]
        if not missing:
            return folder / place
        if len(missing) < len(parts):
            raise InputError(str(folder / place), f"no {', no '.join(missing)}", need, how_to_get(name))
    raise not_there(name, root, need)


@dataclass(frozen=True, eq=False)
class ClassFiles:
    """The files of a part of a data set in ``folder``, class after class; ``labels`` (S,) are their classes."""

    folder: Path
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    @property
    def names(self) -> tuple[str, ...]:
        """The files' paths relative to ``folder``, the same on every machine."""
        return tuple(path.relative_to(self.folder).as_posix() for path in self.paths)

    def samples(self, read: Callable[[Path, int, str], Made], name: str) -> Samples[Made]:
        """The samples ``read(path, label, name of the sample)`` of all files, for the data set ``name``."""
        names = self.names
        return Samples(self.labels, lambda i: read(self.paths[i], int(self.labels[i]), f"{name}/{names[i]}"))

    def split(self, samples: Samples[Made], share: float) -> tuple[Samples[Made], Samples[Made]]:
        """(training, test) of the ``samples`` of these files, split by their names; see `hash_split`."""
        train, test = hash_split(self.names, self.labels, share)
        return samples.take(train), samples.take(test)


def class_files(folder: Path, part: str, classes: Sequence[str], suffixes: Sequence[str]) -> ClassFiles:
    """The files with one of ``suffixes`` in ``folder``/``part``/class, for each of ``classes`` in order of names.

    Raises InputError if a class has none, a name is not in UTF-8, or what has the name of a file is none.
    """
    found = [_files(folder / part / name, suffixes) for name in classes]
    if empty := [name for name, files in zip(classes, found, strict=True) if not files]:
        kinds = " or ".join(suffixes)
        raise InputError(
            str(folder / part),
            f"no {kinds} files in {', '.join(empty)}",
            f"{kinds} files of every class",
            "Unpack the archive again, or name another data.root.",
        )
    paths = tuple(path for files in found for path in files)
    refuse_unwritable(paths)
    refuse_others(paths)
    return ClassFiles(folder, paths, np.repeat(np.arange(len(classes)), [len(files) for files in found]))


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in ``folder`` in order, without hidden ones. Raises InputError if it is unreadable."""
    return [path.name for path in entries(folder) if path.is_dir()]


def entries(folder: Path) -> list[Path]:
    """What is in ``folder``, in order of names, without what is hidden. Raises InputError if it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise InputError(str(folder), f"cannot be read ({error.strerror})", "a folder that you may read") from None


def refuse_others(paths: Iterable[Path]) -> None:
    """Raises InputError if one of ``paths`` is no regular file: a folder, a pipe, or a link that leads nowhere."""
    for path in paths:
        if not path.is_file():
            raise InputError(str(path), "not a file", "files of that name only", "Rename it, or take it away.")


def file_content(path: Path, need: str) -> bytes:
    """What is in the file ``path``. Raises InputError, saying that ``need`` is needed, if that cannot be read."""
    refuse_others([path])
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", need) from None


def listing(*parts: ClassFiles) -> str:
    """The fingerprint of the files of all ``parts`` without reading them: their relative paths and sizes."""
    sizes = [path.stat().st_size for part in parts for path in part.paths]
    return digest([[part.names for part in parts], sizes])


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in entries(folder) if path.suffix.lower() in suffixes]
