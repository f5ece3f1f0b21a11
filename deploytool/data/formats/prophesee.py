"""What Prophesee's formats share: the text header of .raw and .dat files, and time in two parts.

A header is lines that begin with "% ", up to "% end" or the first byte that is no "%". In the encodings EVT 2.0 and
3.0 words of their own state the high part of the time; where it runs over, it begins at 0 again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.data.formats.reading import camera_size

HEADER_MAX: Final = 1 << 16
"""Number of leading bytes that are searched for the header."""

_ENCODING: Final = re.compile(r"^(?:evt |format EVT)(\d)\.?(\d?)", re.MULTILINE)
_SIZES: Final = (
    re.compile(r"^geometry (?P<width>\d+)x(?P<height>\d+)", re.MULTILINE),
    re.compile(r"height=(?P<height>\d+);width=(?P<width>\d+)"),
    re.compile(r"width=(?P<width>\d+);height=(?P<height>\d+)"),
)
_SIDES: Final = tuple(re.compile(rf"^{side} (\d+)$", re.MULTILINE | re.IGNORECASE) for side in ("height", "width"))


@dataclass(frozen=True)
class Header:
    """The ``text`` of a header without its "% ", and the position of the first byte after it."""

    text: str
    end: int
    sensor: tuple[int, int] | None = None
    """(height, width) of the camera in pixels; None if it is not stated, or was not looked for."""

    @property
    def encoding(self) -> str:
        """The encoding of a .raw file, "2.0", "2.1" or "3.0"; empty if it is not stated."""
        found = _ENCODING.search(self.text)
        return f"{found[1]}.{found[2] or '0'}" if found else ""

    @property
    def version(self) -> int | None:
        """The version of a .dat file; None if it is not stated."""
        found = re.search(r"^Version (\d{1,9})", self.text, re.MULTILINE | re.IGNORECASE)
        return int(found[1]) if found else None


def header_of(head: bytes) -> Header:
    """The header at the beginning of ``head``; without text if there is none."""
    lines, at = [], 0
    while head[at : at + 1] == b"%" and (stop := head.find(b"\n", at)) >= 0:
        lines.append(head[at + 1 : stop].decode("latin-1").strip())
        at = stop + 1
        if lines[-1] == "end":
            break
    return Header("\n".join(lines), at)


def header_in(path: Path) -> Header:
    """The header at the beginning of the file ``path``. Raises InputError for a camera of an impossible size."""
    with path.open("rb") as file:
        header = header_of(file.read(HEADER_MAX))
    return replace(header, sensor=_sensor(header.text, str(path)))


def _sensor(text: str, name: str) -> tuple[int, int] | None:
    """(height, width) that the header ``text`` of the file ``name`` states; None if it does not."""
    if found := next((match for size in _SIZES if (match := size.search(text))), None):
        return camera_size(found["height"], found["width"], name)
    height, width = (side.search(text) for side in _SIDES)
    return camera_size(height[1], width[1], name) if height and width else None


def unwound(highs: NDArray[np.int64], bits: int, before: int) -> NDArray[np.int64]:
    """The counter values ``highs`` (N,), of N ``bits``, without overflow.

    2^bits is added after each fall by more than half of that. ``before`` is the last value returned by the previous
    call, or -1.
    """
    if not len(highs):
        return highs
    last = int(highs[0]) if before < 0 else before
    falls = np.diff(highs, prepend=last % (1 << bits)) < -(1 << (bits - 1))
    return highs + ((last >> bits) + np.cumsum(falls) << bits)


def refuse_without_events(path: Path, header: Header, words: int, events: int) -> None:
    """Raises InputError if a file of N ``words`` has no events: no word is one whose time and place were stated."""
    if words and not events:
        found = f"no events in its {words} words: none comes after a word with the time"
        raise InputError(str(path), found, f"a recording in EVT {header.encoding}", "The file is damaged.")
