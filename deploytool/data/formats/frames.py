"""How many bytes frames of LZ4 and of Zstandard have at most when they are unpacked, by the sizes of their blocks.

A packet of AEDAT4 is packed by one of the two. A few bytes can claim to be gigabytes, so that this is found before
anything is unpacked. Specifications: github.com/lz4/lz4, "LZ4 Frame Format Description"; RFC 8878.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

LZ4_MAGIC: Final = 0x184D2204
LZ4_BLOCKS: Final = {4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22}
"""The largest blocks of LZ4 by their number in a frame."""
ZSTD_MAGIC: Final = 0xFD2FB528
ZSTD_BLOCK: Final = 1 << 17
RAW, REPEATED = 0, 1


def lz4_bytes(frame: memoryview) -> int:
    """The most bytes in ``frame``. Raises ValueError if it is damaged."""
    flags, largest = _number(frame, 4, 1), LZ4_BLOCKS.get(_number(frame, 5, 1) >> 4 & 7)
    if _number(frame, 0, 4) != LZ4_MAGIC or largest is None:
        raise ValueError("a damaged frame of LZ4")
    at, after_block = 7 + 8 * (flags >> 3 & 1) + 4 * (flags & 1), 4 * (flags >> 4 & 1)
    found = 0
    while size := _number(frame, at, 4):
        as_it_is, size = size >> 31, size & 0x7FFF_FFFF
        found += size if as_it_is else largest
        at += 4 + size + after_block
    return found


def zstd_bytes(frames: memoryview) -> int:
    """The most bytes in ``frames``, one after the other. Raises ValueError if one is damaged."""
    at, found = 0, 0
    while at < len(frames):
        if _number(frames, at, 4) != ZSTD_MAGIC:
            raise ValueError("a damaged frame of Zstandard")
        flags = _number(frames, at + 4, 1)
        single, size_of_size, dictionary = flags >> 5 & 1, flags >> 6, flags & 3
        at += 5 + (not single) + (0, 1, 2, 4)[dictionary] + (single, 2, 4, 8)[size_of_size]
        last = 0
        while not last:
            block = _number(frames, at, 3)
            last, kind, size = block & 1, block >> 1 & 3, block >> 3
            found += size if kind in (RAW, REPEATED) else ZSTD_BLOCK
            at += 3 + (1 if kind == REPEATED else size)
        at += 4 * (flags >> 2 & 1)
    return found


def _number(data: memoryview, at: int, size: int) -> int:
    """The number of ``size`` bytes at ``at``, lowest byte first. Raises ValueError behind the end of ``data``."""
    if at + size > len(data):
        raise ValueError("cut short")
    return int.from_bytes(data[at : at + size], "little")


UNPACKED: Final[Mapping[int, Callable[[memoryview], int]]] = MappingProxyType(
    {0: len, 1: lz4_bytes, 2: lz4_bytes, 3: zstd_bytes, 4: zstd_bytes}
)
"""{number of a compression in AEDAT4: the most bytes of a packet}: none, LZ4 and Zstandard, each of two strengths."""
