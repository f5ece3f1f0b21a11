"""A folder of recordings: ``train/CLASS/*`` and ``test/CLASS/*``, or ``CLASS/*``, or files that a label file names.

Recordings of any format that is known may be mixed, also in folders inside a class folder. Other files are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.data.formats.files import PROCEDURE, kinds
from deploytool.data.formats.table import Format
from deploytool.data.recordings.classes import listed
from deploytool.data.recordings.content import content
from deploytool.data.recordings.labels import LABELS, Span, posix, read_labels, refuse
from deploytool.data.samples import Part

PART_FOLDERS: Final[Mapping[str, Part]] = {
    "train": "train",
    "test": "test",
    "validation": "validation",
    "val": "validation",
}
"""The part of the recordings in a folder of that name, in upper or lower case."""
SPLITS: Final = "splits.csv"

File: TypeAlias = tuple[Path, Format]


@dataclass(frozen=True, eq=False)
class Folder:
    """The recordings in ``root``, without their events.

    ``parts`` and ``classes`` (N,) are the folders of parts and of classes that ``files`` (N,) lie in, None and "" for
    none. ``spans`` {name of a recording: what the label file says of it}. ``ignored`` are no recordings; ``tables`` say
    more about recordings; ``problems`` are of files that cannot be read.
    """

    root: Path
    files: tuple[File, ...]
    parts: tuple[Part | None, ...]
    classes: tuple[str, ...]
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    ignored: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()
    problems: tuple[InputError, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The paths of the recordings relative to ``root``, the same on every machine."""
        return tuple(path.relative_to(self.root).as_posix() for path, _ in self.files)

    def spans_of(self, index: int) -> tuple[Span, ...]:
        """The spans of recording ``index``: those of the label file, or all of it, with the class of its folder."""
        return self.spans.get(self.names[index]) or (Span(self.classes[index]),)

    @property
    def class_names(self) -> set[str]:
        """The names of all classes, "" for recordings without one."""
        return {span.label for index in range(len(self.files)) for span in self.spans_of(index)}

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the values that the label file states, none if recordings have classes."""
        return next((names for names in self._values_of.values() if names), ())

    @property
    def _values_of(self) -> dict[str, tuple[str, ...]]:
        """{recording: the names of its values}."""
        return {self.names[i]: tuple(name for name, _ in self.spans_of(i)[0].values) for i in range(len(self.files))}

    def require_values_of_all(self) -> None:
        """Raises InputError unless all recordings have values of the same names, or none has any."""
        needed = self.value_names
        if others := [name for name, names in self._values_of.items() if names != needed]:
            need = f"{', '.join(needed)} of all, in labels.csv"
            raise InputError(str(self.root), f"{len(others):,} recordings without these values: {listed(others)}", need)

    @property
    def is_split(self) -> bool:
        """Whether folders or a table say which recordings are for the test."""
        return any(self.parts) or SPLITS in {table.name for table in self.tables}

    @property
    def fingerprint(self) -> str:
        """The digest of all recordings and tables, with their names, independent of where they are."""
        paths = [path for path, _ in self.files] + list(self.tables)
        return digest(("recordings", PROCEDURE, [(posix(str(p.relative_to(self.root))), content(p)) for p in paths]))

    def take(self, indices: Sequence[int]) -> Folder:
        """The recordings at ``indices`` alone."""
        names = [self.names[index] for index in indices]
        return replace(
            self,
            files=tuple(self.files[index] for index in indices),
            parts=tuple(self.parts[index] for index in indices),
            classes=tuple(self.classes[index] for index in indices),
            spans={name: self.spans[name] for name in names if name in self.spans},
        )


def folder_of(path: Path, tables: Sequence[Path] = ()) -> Folder:
    """The recordings in the folder ``path``, or in the one file there; ``tables`` say more about them.

    Raises InputError for a folder without recordings, and with the problems of label files.
    """
    root = path if path.is_dir() else path.parent
    found, ignored, problems = [], [], []
    for file, kind in kinds(path):
        if isinstance(kind, InputError):
            problems.append(kind)
        elif kind is not None:
            found.append((file, kind))
        else:
            ignored.append(file)
    if not found:
        refuse(problems)
    placed = [_place(file.relative_to(root).parts) for file, _ in found]
    labels = [file for file in ignored if file.name == LABELS and _may_label(file, root)] if path.is_dir() else []
    known = [file for file in (*labels, *tables) if file.is_file()]
    folder = Folder(
        root,
        tuple(found),
        tuple(part for part, _ in placed),
        tuple(name for _, name in placed),
        ignored=tuple(file for file in ignored if file not in known),
        tables=tuple(known),
        problems=tuple(problems),
    )
    spans = {name: each for file in labels for name, each in _labelled(file, folder)}
    return replace(folder, spans=spans)


def _place(parts: tuple[str, ...]) -> tuple[Part | None, str]:
    """(part, class) of the recording at the relative path ``parts``; the class is "" if it is in no class folder."""
    part = PART_FOLDERS.get(parts[0].lower()) if len(parts) > 1 else None
    inner = parts[1:] if part else parts
    return part, inner[0] if len(inner) > 1 else ""


def _may_label(file: Path, root: Path) -> bool:
    """Whether label files are read where ``file`` is: in the folder itself, and in the folders of its parts."""
    return file.parent == root or (file.parent.parent == root and file.parent.name.lower() in PART_FOLDERS)


def _labelled(file: Path, folder: Folder) -> Iterator[tuple[str, tuple[Span, ...]]]:
    """(name, spans) of the recordings that the label ``file`` names. Raises InputError for other files in it."""
    prefix = posix(str(file.parent.relative_to(folder.root)))
    rows = {name if prefix == "." else f"{prefix}/{name}": spans for name, spans in read_labels(file).items()}
    refuse_unknown(rows, folder, file)
    yield from rows.items()


def refuse_unknown(names: Iterable[str], folder: Folder, file: Path) -> None:
    """Raises InputError for ``names`` in ``file`` that are no recordings of ``folder``."""
    known = set(folder.names)
    if unknown := [name for name in names if name not in known]:
        found = f"names {len(unknown):,} file{'s' * (len(unknown) > 1)} that are no recordings: {listed(unknown)}"
        raise InputError(str(file), found, f"files below {folder.root}, such as {folder.names[0]}")
