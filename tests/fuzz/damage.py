"""Damage that knows nothing of a format, and values that readers stumble over."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

NUMBERS: Final = (
    *(0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 32767, 65535, 65536, 10**6, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53),
    *(2**61, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, 10**400),
)
"""Whole numbers at the ends of types, and beyond sizes."""
FLOATS: Final = (
    *(0.0, -0.0, 0.5, -1.0, 1e-3, 1e-30, 5e-324, 1e-45, 3.4e38, 1e39, 1.7e308, -1e300, 1e15),
    *(float("inf"), float("-inf"), float("nan")),
)
NAMES: Final = (
    *("", " ", ".", "..", "/", "a/b", "../up", "a.b", "input", "output", "0", "-1", "x" * 300, "y" * 3000),
    *(
        "line\nbreak",
        "tab\t",
        "red\x1b[31m",
        "nul\0",
        "\u202ereversed",
        "é",
        "日本",
        "😀",
        "'",
        '"',
        "{}",
        "%s",
        "<b>&",
    ),
)
DTYPES: Final = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">f4", ">i8", "c8", "c16")


def damaged(random: random.Random, content: bytes, other: bytes = b"") -> bytes:
    """``content`` with flipped bytes, cut, doubled, or with a piece of ``other`` or of itself put in."""
    found = bytearray(content)
    match random.randrange(6):
        case 0:
            for _ in range(random.choice((1, 2, 8, 64))):
                found[random.randrange(len(found))] ^= 1 << random.randrange(8)
        case 1:
            for _ in range(random.choice((1, 4, 16))):
                found[random.randrange(len(found))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
        case 2:
            del found[random.randrange(len(found)) :]
        case 3:
            start, end = sorted(random.randrange(len(found)) for _ in range(2))
            del found[start:end]
        case 4:
            source = other or content
            start, end = sorted(random.randrange(len(source)) for _ in range(2))
            at = random.randrange(len(found))
            found[at:at] = source[start : min(end, start + 4096)]
        case _:
            start, end = sorted(random.randrange(len(found)) for _ in range(2))
            found[start:end] = bytes([random.choice((0, 255, 65))]) * (end - start)
    return bytes(found)


def often(random: random.Random, values: Sequence[object], usual: object, share: float = 0.7) -> object:
    """``usual`` in a ``share`` of the cases, otherwise one of ``values``."""
    return usual if random.random() < share else random.choice(values)
