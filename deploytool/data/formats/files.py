"""Recordings in files and folders: which files are read, how their samples are called, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest, file_digest
from deploytool.base.errors import InputError
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.recording import read_whole
from deploytool.data.formats.table import FORMATS, Format, format_of, formats
from deploytool.data.formats.times import date
from deploytool.data.formats.uniform import Seen
from deploytool.data.samples import Samples
from deploytool.data.transforms import MERGED
from deploytool.ir.events import Events, EventStream

LABEL_DIGITS: Final = 3
"""A folder whose name is a longer number is a date or an identifier, not a class."""
OFFSET_TOLD_US: Final = 1_000_000
"""A clock that shows more than this at the first event is reported."""
NAMES_TOLD: Final = 3
HELD: Final = 1 << 21
"""Number of events of a folder that are kept in memory."""
PROCEDURE: Final = 1
"""Version of the conversion of files to samples. Raise it with every code change that changes a sample."""

Say = Callable[[str], None]


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


def read_events(
    path: Path, shape: Shape, reading: Reading = AS_IT_IS, say: Say = lambda _: None, held: int = HELD
) -> Samples[EventStream]:
    """The samples in ``path``, a file or a folder of files, in order of names, on maps of ``shape`` (C, H, W).

    A sample lasts until its last event. Its label is the name of the file's folder if that is a number, as in
    ``Test/7/00042.bin``, and otherwise -1. ``say`` is told what was changed in recordings or left out. All files are
    read; of those after the first ``held`` events, the events are read again when they are needed.
    Raises InputError with every problem of every file, UsageError for options that the files do not need.
    """
    files, done, skipped, errors = [], [], [], []
    streams: list[EventStream] = []

    def read(file: Path, kind: Format) -> tuple[EventStream, Seen]:
        found = read_whole(file, kind, reading, shape)
        return EventStream(found.events, shape, found.seen.duration_us, label_of(file), str(file)), found.seen

    for file, kind in kinds(path):
        if kind is None:
            skipped.append(file)
        elif isinstance(kind, InputError):
            errors.append(kind)
        else:
            try:
                stream, seen = read(file, kind)
                held -= len(stream)
                streams += [stream] * (held >= 0)
                files.append((file, kind))
                done.append(seen)
            except InputError as error:
                errors.append(error)
    if errors:
        raise InputError.together(errors)
    for line in _remarks(skipped, [file for file, _ in files], done, reading.unwrap):
        say(line)
    labels = np.array([label_of(file) for file, _ in files], np.int64)
    return Samples(labels, lambda index: streams[index] if index < len(streams) else read(*files[index])[0])


def file_events(path: Path, kind: str, shape: Shape, reading: Reading) -> Events:
    """The events in the file ``path``, of the format named ``kind`` in FORMATS, on a map of ``shape``.

    Raises InputError if no events can be read; their order is not checked.
    """
    return read_whole(path, FORMATS[kind], reading, shape).events


def fingerprint(path: Path) -> str:
    """The fingerprint of the recordings in ``path``, independent of their location. Raises as `kinds` does."""
    inside = path if path.is_dir() else path.parent
    files = [file for file, kind in kinds(path) if kind is not None]
    return digest(("recordings", PROCEDURE, [(file.relative_to(inside).as_posix(), _sha256(file)) for file in files]))


def label_of(path: Path) -> int:
    """The name of the folder of ``path`` if that is a number, otherwise -1."""
    folder = path.absolute().parent.name
    return int(folder) if folder.isascii() and folder.isdecimal() and len(folder) <= LABEL_DIGITS else -1


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


def _remarks(skipped: Sequence[Path], files: Sequence[Path], done: Sequence[Seen], unwrap: bool) -> Iterator[str]:
    """One sentence for each change or omission in recordings that a user may not expect."""
    if skipped:
        yield f"Ignored, because they are not recordings: {_named(skipped)}."
    if any(each.merged for each in done):
        yield MERGED
    yield from _late([each.clock.removed_us or 0 for each in done], files[0].name)
    if over := [each.clock for each in done if each.clock.overflows]:
        number, bits = sum(clock.overflows for clock in over), over[0].bits
        overflows = f"{number} overflow{'s' * (number > 1)} of a {bits}-bit clock"
        yield f"Unwrapped {overflows} in {len(over)} of {len(done)} files."
    elif unwrap:
        yield "--unwrap had no effect: no clock overflowed."
    unknown = sorted({file.absolute().parent.name for file in files if label_of(file) < 0})
    if len(unknown) > 1:
        yield f"No labels for recordings in {_listed(unknown)}: only a folder whose name is a number states a class."


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


def _sha256(file: Path) -> str:
    try:
        return file_digest(file)
    except OSError as error:
        raise InputError(str(file), f"cannot be read ({error.strerror})", "a file of events") from None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_TOLD]) + ", ..." * (len(names) > NAMES_TOLD)
