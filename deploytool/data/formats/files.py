"""Event files: numpy's .npy and the five-byte .bin of N-MNIST and N-Caltech101."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError
from deploytool.ir.events import EVENT, Events, EventStream, as_events

BIN_BYTES_PER_EVENT: Final = 5
LABEL_DIGITS: Final = 3
"""A folder with a longer number for a name is a date or an identifier, and no class."""


def read_events(path: Path, shape: Shape) -> list[EventStream]:
    """The samples in ``path``: one ``.npy`` or ``.bin`` file, or a folder with nothing else in it, in order of names.

    A sample lasts until its last event. Its label is the name of the file's folder where that is a number, as in
    ``Test/7/00042.bin``, and -1 elsewhere. Hidden files do not count.
    Raises InputError with every problem of every file.
    """
    streams, errors = [], []
    for file in event_files(path):
        try:
            streams.append(_read_file(file, shape))
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputError.together(errors)
    if not streams:
        raise InputError(str(path), "an empty folder", "a folder of .npy or .bin files of events")
    return streams


def event_files(path: Path) -> list[Path]:
    """``path`` itself, or the files in that folder in order of names, without hidden ones.

    Raises InputError when there is neither, or a name is no Unicode text, which no artifact can tell.
    """
    if not (path.is_file() or path.is_dir()):
        raise InputError(str(path), "no such file or folder", "a .npy or .bin file of events, or a folder of them")
    try:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("[!.]*") if file.is_file())
    except OSError as error:
        raise InputError(str(error.filename), f"cannot be read ({error.strerror})", "a folder of event files") from None
    refuse_unwritable(files)
    return files


def refuse_unwritable(files: Iterable[Path]) -> None:
    """Raises InputError when a name is no Unicode text, which no artifact can tell."""
    for file in files:
        if str(file) != str(file).encode("utf-8", "replace").decode("utf-8"):
            raise InputError(ascii(str(file)), "a name that is not in UTF-8", "names in UTF-8", "Rename it.")


def _read_file(path: Path, shape: Shape) -> EventStream:
    match path.suffix:
        case ".npy":
            events = as_events(npy_array(path, "a structured array with the fields t, x, y and c (or p)"), str(path))
        case ".bin":
            events = bin_events(path)
        case _:
            raise InputError(str(path), "not an event file", "a .npy or .bin file of events")
    folder = path.absolute().parent.name
    label = int(folder) if folder.isascii() and folder.isdecimal() and len(folder) <= LABEL_DIGITS else -1
    duration_us = int(events["t"].max(initial=0)) + 1
    return EventStream(events, shape, duration_us, label, str(path))


def npy_array(path: Path, need: str) -> NDArray[Any]:
    """The array in a .npy file, in which ``need`` is looked for.

    Raises InputError when it is none, is cut short, or holds pickled objects.
    """
    try:
        with path.open("rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", "a .npy file of events") from None
    except Exception as error:  # numpy lets many kinds of errors out of a damaged header
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(str(path), f"not a .npy file of events ({reason})", need) from None
    return array


def bin_events(path: Path) -> Events:
    """The events in a .bin file of N-MNIST: per event the bytes x, y, then 24 bits, the highest first.

    Of these, bit 23 is the polarity (1 = ON) and bits 22..0 are the time in microseconds.
    Raises InputError when the file is empty or ends inside an event.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", "a .bin file of events") from None
    if not len(data) or len(data) % BIN_BYTES_PER_EVENT:
        raise InputError(
            str(path),
            f"{len(data)} bytes",
            f"a positive multiple of {BIN_BYTES_PER_EVENT} bytes, one event each",
            "The file was cut short or is of another format.",
        )
    columns = data.reshape(-1, BIN_BYTES_PER_EVENT).T.astype(np.int64)
    x, y, high, middle, low = columns
    events = np.empty(len(x), EVENT)
    events["t"] = (high & 0x7F) << 16 | middle << 8 | low
    events["c"], events["y"], events["x"] = high >> 7, y, x
    return events
