"""The event file formats: how each is recognised by its content, and what reads it. A new one is a file beside this one
with a reader, and a record in FORMATS."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats import aedat2, aedat3, aedat4, dat, es, evt2, evt3, evt21, hdf5, mat, nbin, npy, text
from deploytool.data.formats.parts import START, TOO_MANY, Part, Parts, Place, events_allowed, joined
from deploytool.data.formats.prophesee import HEADER_MAX, header_of
from deploytool.data.formats.reading import AS_IT_IS, RawEvents, Reading

Recognise = Callable[[bytes, Path], bool]
Read = Callable[[Path, Reading, Place], Parts]


@dataclass(frozen=True)
class Format:
    """One format: ``recognise(head, path)`` checks the first bytes of a file, ``parts(path, reading, place)`` reads it.

    Files usually end in one of ``suffixes``. ``library`` is the package that reads it and ``install`` what installs
    that; empty if none is needed. ``takes`` are the options of a `Reading` that apply to the format.
    """

    says: str
    suffixes: tuple[str, ...]
    recognise: Recognise
    parts: Read
    library: str = ""
    install: str = ""
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """A format that is recognised but not supported: its name, and what to do instead."""

    says: str
    recognise: Recognise
    todo: str


def _begins(*marks: bytes) -> Recognise:
    return lambda head, _: head.startswith(marks)


def _encoded(encoding: str) -> Recognise:
    return lambda head, _: header_of(head).encoding == encoding


def _is_dat(head: bytes, path: Path) -> bool:
    header = header_of(head)
    return header.text.startswith("Data file containing") or (bool(header.end) and path.suffix.lower() == ".dat")


def _is_raw(head: bytes, path: Path) -> bool:
    return head.startswith(b"% ") and (path.suffix.lower() == ".raw" or b"\0" in head)


_DATASETS: Final = "pip install 'deploytool[datasets]'"
_STATED: Final = ("--columns", "--time-unit")
_OF_A_FORMAT: Final = (*_STATED, "--camera", "--group")
"""Options that have a meaning for some formats only."""
_HDF5: Final = (b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3 MAT-file")
_PICKLES: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

FORMATS: Final[Mapping[str, Format]] = {
    "npy": Format("numpy .npy", (".npy",), _begins(b"\x93NUMPY"), npy.npy_parts, takes=_STATED),
    "npz": Format("numpy .npz", (".npz",), _begins(b"PK\x03\x04"), npy.npz_parts, takes=_STATED),
    "evt2": Format("Prophesee EVT 2.0", (".raw",), _encoded("2.0"), evt2.parts),
    "evt3": Format("Prophesee EVT 3.0", (".raw",), _encoded("3.0"), evt3.parts),
    "dat": Format("Prophesee DAT", (".dat",), _is_dat, dat.parts),
    "aedat4": Format("AEDAT 4.0", (".aedat4",), _begins(b"#!AER-DAT4"), aedat4.parts, "aedat", _DATASETS),
    "evt21": Format("Prophesee EVT 2.1", (".raw",), _encoded("2.1"), evt21.parts),
    "aedat2": Format("AEDAT 2.0", (".aedat", ".dat"), _begins(b"#!AER-DAT2.0"), aedat2.parts, takes=("--camera",)),
    "aedat3": Format("AEDAT 3.1", (".aedat",), _begins(b"#!AER-DAT3.1"), aedat3.parts),
    "es": Format("Event Stream", (".es",), _begins(es.MAGIC), es.parts),
    "mat": Format("MATLAB", (".mat",), _begins(b"MATLAB 5.0 MAT-file"), mat.parts, takes=_STATED),
    "hdf5": Format("HDF5", (".h5", ".hdf5"), _begins(*_HDF5), hdf5.parts, takes=(*_STATED, "--group")),
    "table": Format(
        "a table of text",
        (".csv", ".txt", ".tsv"),
        lambda head, _: text.is_table(head),
        text.parts,
        takes=_STATED,
    ),
    "bin": Format("N-MNIST and N-Caltech101", (".bin",), lambda _, path: path.suffix.lower() == ".bin", nbin.parts),
}
"""In the order of recognition; formats without a signature come last."""

TEXTS: Final = FORMATS["table"].suffixes
"""Files with these suffixes may hold anything; a folder skips those without events."""

KNOWN: Final = (
    Known("AEDAT 1.0 or 3.0", _begins(b"#!AER-DAT"), "DV and jAER"),
    Known("EVT 4.0", _encoded("4.0"), "metavision_file_to_csv"),
    Known("a Prophesee file that does not state its encoding", _is_raw, "metavision_file_to_csv"),
    Known("a ROS bag", _begins(b"#ROSBAG"), "the package rosbags"),
    Known(
        "a compressed file",
        _begins(b"\x1f\x8b", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"Rar!"),
        "a program that unpacks it",
    ),
    Known("a pickle, which could run any code when read", _begins(*_PICKLES), "np.save"),
)
"""Recognised formats that are not supported, with the tool that converts them."""


def format_of(path: Path) -> Format | None:
    """The format of the file ``path`` by its content, or None if it is not known to hold events.

    Raises InputError if it cannot be read, has a known but unsupported format, or has content that does not match its
    suffix.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_MAX)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", "a file of events") from None
    if found := next((each for each in FORMATS.values() if each.recognise(head, path)), None):
        return found
    if known := next((each for each in KNOWN if each.recognise(head, path)), None):
        need = f"one of {formats()}"
        raise InputError(str(path), f"{known.says}, which is not supported", need, f"Convert it with {known.todo}.")
    suffix = path.suffix.lower()
    if called := [each.says for each in FORMATS.values() if suffix in each.suffixes and suffix not in TEXTS]:
        says = f"named {suffix}, but its content is not {' or '.join(called)}"
        raise InputError(str(path), says, "content that matches its name", "Copy it again; it may be damaged.")
    return None


def formats() -> str:
    """The supported formats with their file suffixes."""
    return ", ".join(f"{each.says} ({', '.join(each.suffixes)})" for each in FORMATS.values())


def raw_parts(path: Path, kind: Format, reading: Reading = AS_IT_IS, place: Place = START) -> Iterator[Part]:
    """The events in the file ``path``, of the format ``kind``, from ``place`` on, in the order of the file.

    Raises InputError if it cannot be read, has more events than a file of its size can have, or if the package that
    reads it is not installed; UsageError for options of ``reading`` that the format states itself.
    """
    if given := [option for option in (*reading.options,) if option in _OF_A_FORMAT and option not in kind.takes]:
        need = "AEDAT 2.0" if "--camera" in given else "HDF5" if "--group" in given else "a plain array, or a table"
        raise UsageError(", ".join(given), f"given with {path}, which is {kind.says} and states that itself", need)
    if kind.library and importlib.util.find_spec(kind.library) is None:
        found = f"{kind.says}, and {kind.library}, which reads its files, is not installed"
        raise InputError(str(path), found, kind.library, f"{kind.install[0].upper()}{kind.install[1:]}.")
    try:
        left = events_allowed(path)
        for part in kind.parts(path, reading, place):
            left -= len(part.events)
            if left < 0:
                raise InputError(str(path), *TOO_MANY)
            yield part
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror or error})", "a readable file") from None


def read_raw(path: Path, kind: Format, reading: Reading = AS_IT_IS) -> RawEvents:
    """All events in the file ``path``, of the format ``kind``. Raises as `raw_parts` does."""
    return joined(raw_parts(path, kind, reading))
