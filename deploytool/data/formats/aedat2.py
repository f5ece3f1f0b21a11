"""AEDAT 2.0, of jAER: a text header, then 32 bits of address and 32 bits of time per event, the highest byte first.

The camera decides what an address means. The header names it in a line such as ``# AEChip: ...davis.DAVIS240C``;
without one, --camera does. As jAER reads them, x counts from the right and y from the bottom:

    DVS128    bit 0 polarity (0 = ON), bits 1..7 x, bits 8..14 y; bit 15 marks an event of another kind
    DAVIS     bit 11 polarity (1 = ON), bits 12..21 x, bits 22..30 y; bits 10 and 31 mark events of other kinds

Specification: docs.inivation.com, "AEDAT 2.0"; for polarity and directions, the sources of jAER and v2e.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.parts import START, Part, Parts, Place, words_in
from deploytool.data.formats.prophesee import unwound
from deploytool.data.formats.reading import CAMERAS, RawEvents, Reading

TIME_BITS: Final = 32
WORD: Final = np.dtype([("address", ">u4"), ("t", ">u4")])
HEADER_END: Final = b"End of ASCII Header"
LINE_MAX: Final = 1 << 16
"""Number of bytes in which a line of the header must end."""

_CHIP: Final = re.compile(rb"AEChip:\s*(\S+)", re.IGNORECASE)
_DVS128: Final = re.compile(r"dvs128|tmpdiff128", re.IGNORECASE)
_DAVIS: Final = re.compile(r"davis?(240|346|640)", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """What the bits of an address mean: no event of a pixel has a bit of ``other``; an ON event has ``on`` in bit
    ``polarity``; x and y begin at bit ``x`` and ``y`` and have N ``x_bits`` and ``y_bits``."""

    other: int
    polarity: int
    on: int
    x: int
    x_bits: int
    y: int
    y_bits: int


DVS: Final = Layout(1 << 15, 0, 0, 1, 7, 8, 7)
DAVIS: Final = Layout(1 << 31 | 1 << 10, 11, 1, 12, 10, 22, 9)


def parts(path: Path, reading: Reading, place: Place = START) -> Parts:
    """The pixel events in the file ``path``.

    Raises InputError if it is cut short, or if neither its header nor ``reading`` names the camera; UsageError if they
    name different ones.
    """
    with path.open("rb") as file:
        start, chip = _header(file)
    camera = _camera(chip, reading, str(path))
    sensor, layout = CAMERAS[camera], DVS if camera == "dvs128" else DAVIS
    last = place.knows[0] if place.knows else -1
    for at, words in words_in(path, start, WORD, place.at):
        address, t = words["address"].astype(np.uint32), unwound(words["t"].astype(np.int64), TIME_BITS, last)
        yield Part(_events(address, t, layout, sensor), Place(at, (last,)))
        last = int(t[-1])


def _events(address: NDArray[np.uint32], t: NDArray[np.int64], bits: Layout, sensor: tuple[int, int]) -> RawEvents:
    """The pixel events among those at ``t`` (N,) with an ``address`` (N,)."""
    of_pixel = address & bits.other == 0
    address, t = address[of_pixel], t[of_pixel]
    height, width = sensor
    x = width - 1 - (address >> bits.x & (1 << bits.x_bits) - 1).astype(np.int32)
    y = height - 1 - (address >> bits.y & (1 << bits.y_bits) - 1).astype(np.int32)
    return RawEvents(t, x, y, address >> bits.polarity & 1 == bits.on, sensor=sensor)


def _header(file: BinaryIO) -> tuple[int, str]:
    """(number of bytes in the header, name of the chip in it); an empty name if there is none."""
    end, chip = 0, ""
    while (line := file.readline(LINE_MAX)).startswith(b"#") and line.endswith(b"\n") and line.strip().isascii():
        end += len(line)
        if found := _CHIP.search(line):
            chip = found[1].decode().rsplit(".", 1)[-1]
        if HEADER_END.lower() in line.lower():
            break
    return end, chip


def _camera(chip: str, reading: Reading, name: str) -> str:
    """The camera of the file ``name``, in the header of which ``chip`` is named."""
    davis = _DAVIS.search(chip)
    stated = f"davis{davis[1]}" if davis else "dvs128" if _DVS128.search(chip) else ""
    if stated and reading.camera not in (None, stated):
        found = f"found {reading.camera}, but the header of {name} says {chip}"
        raise UsageError("--camera", found, f"{stated}, or no --camera")
    if not (camera := reading.camera or stated):
        found = f"AEDAT 2.0 of the camera {chip}" if chip else "AEDAT 2.0 without the name of a camera"
        raise InputError(name, found, f"one of {', '.join(CAMERAS)}", "Name it with --camera.")
    return camera
