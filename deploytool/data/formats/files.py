"""Recordings in files and folders: which files are read, how their samples are called, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError
from deploytool.data.formats.reading import Reading
from deploytool.data.formats.recording import read_whole
from deploytool.data.formats.table import FORMATS, Format, format_of, formats
from deploytool.data.formats.times import date
from deploytool.data.formats.uniform import Seen
from deploytool.data.transforms import MERGED
from deploytool.ir.events import Events

OFFSET_TOLD_US: Final = 1_000_000
"""A clock that shows more than this at the first event is reported."""
NAMES_TOLD: Final = 3
PROCEDURE: Final = 2
"""Version of the conversion of files to samples. Raise it with every code change that changes a sample."""


def kinds(path: Path) -> list[tuple[Path, Format | InputError | None]]:
    """(file, its format) of ``path`` itself, or of the files in that folder and its folders, in order of names.

    A file with a problem has an InputError instead of a format; a file that is not a recording has None. Hidden files
    are ignored. Raises InputError if no file can be a recording, or a name is not in UTF-8.
    """
    found = [(file, _kind(file)) for file in _files(path)]
    if not any(kind for _, kind in found):
        names = [file for file, _ in found]
        says = f"a folder with no event file ({_named(names)})" if names else "an empty folder"
        says = "its content is not an event file" if path.is_file() else says
        raise InputError(str(path), says, f"one of {formats()}")
    return found


def file_events(path: Path, kind: str, shape: Shape, reading: Reading) -> Events:
    """The events in the file ``path``, of the format named ``kind`` in FORMATS, on a map of ``shape``.

    Raises InputError if no events can be read; their order is not checked.
    """
    return read_whole(path, FORMATS[kind], reading, shape).events


def refuse_unwritable(files: Iterable[Path]) -> None:
    """Raises InputError if a name is not Unicode text, because artifacts cannot store it."""
    for file in files:
        if str(file) != str(file).encode("utf-8", "replace").decode("utf-8"):
            raise InputError(ascii(str(file)), "a name that is not in UTF-8", "names in UTF-8", "Rename it.")


def _files(path: Path) -> list[Path]:
    if not (path.is_file() or path.is_dir()):
        raise InputError(str(path), "no such file or folder", "a file of events, or a folder of them")
    try:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("[!.]*") if file.is_file())
    except OSError as error:
        raise InputError(str(error.filename), f"cannot be read ({error.strerror})", "a folder of event files") from None
    refuse_unwritable(files)
    return files


def _kind(file: Path) -> Format | InputError | None:
    try:
        return format_of(file)
    except InputError as error:
        return error


def remarks(
    skipped: Sequence[Path], files: Sequence[Path], done: Sequence[Seen], merged: bool, unwrap: bool
) -> Iterator[str]:
    """One sentence for each change or omission in recordings that a user may not expect.

    ``skipped`` files are no recordings, and ``files`` showed what ``done`` says; ``merged``: both polarities of some
    became one feature; ``unwrap`` was asked for.
    """
    if skipped:
        yield f"Ignored, because they are not recordings: {_named(skipped)}."
    if merged:
        yield MERGED
    yield from _late([each.clock.removed_us or 0 for each in done], files[0].name)
    if over := [each.clock for each in done if each.clock.overflows]:
        number, bits = sum(clock.overflows for clock in over), over[0].bits
        overflows = f"{number} overflow{'s' * (number > 1)} of a {bits}-bit clock"
        yield f"Unwrapped {overflows} in {len(over)} of {len(done)} files."
    elif unwrap:
        yield "--unwrap had no effect: no clock overflowed."


def _late(removed_us: Sequence[int], first: str) -> Iterator[str]:
    """The remark that recordings, of which ``first`` is the first, began long after the zero of their clocks."""
    late = [removed for removed in removed_us if removed > OFFSET_TOLD_US]
    if not late:
        return
    one = len(removed_us) == 1
    which = f"{first} begins at its first event" if one else f"{len(late)} recordings begin at their first events"
    since = date(max(late))
    clock = f"which is {since} as a time since 1970" if since else "which --absolute-time keeps"
    yield f"{which}, {'up to ' * (not one)}{max(late):,} us after the clock's zero, {clock}."


def _named(files: Sequence[Path]) -> str:
    return f"{len(files)} {'file' if len(files) == 1 else 'files'}, {_listed([file.name for file in files])}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_TOLD]) + ", ..." * (len(names) > NAMES_TOLD)
