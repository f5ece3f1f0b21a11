"""Files of bytes, arrays and zip archives whose fields lie: numbers and texts at the edges of their types."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, TypeVar

from tests.fuzz import damage

Choice = TypeVar("Choice")

NUMBERS: Final = tuple(
    sign * (1 << bits) + more
    for bits in (0, 7, 8, 15, 16, 20, 24, 31, 32, 40, 53, 62, 63, 64)
    for sign in (1, -1)
    for more in (-1, 0, 1)
)
REALS: Final = ("nan", "inf", "-inf", "1e308", "-1e308", "1e400", "5e-324", "1e19", "0.5", "-0.0")
TEXTS: Final = (
    *(" ", "nan", "Infinity", "1e400", "0x10", "1_000", "٣", "²", "-", "+", "=1+1", "True", "-1", "1e5"),
    *("C:\\x", "../../etc/passwd", "/etc/passwd", "\x1b[31mred", "\u202e", "line\nbreak", "nul\x00", '"'),
    *("a,b", "<b>", "{x}", "%s", "\ufeff", "äö", "", "9" * 5000, "a" * 300, "(" * 200, "." * 40),
)
BYTES: Final = (b"\xff\xfe", b"\xc3\x28", b"\x80", b"\0" * 8, b"\xff" * 8)


def one(random: Random, *choices: Choice) -> Choice:
    """One of ``choices``."""
    return random.choice(choices)


def number(random: Random) -> int:
    """A number, in a half of all cases at the edge of a type."""
    return random.choice(NUMBERS) if random.random() < 0.5 else random.randrange(-10, 300)


def packed(random: Random, size: int, value: int | None = None) -> bytes:
    """A number in ``size`` bytes, in either order of bytes."""
    found = number(random) if value is None else value
    return (found % (1 << 8 * size)).to_bytes(size, one(random, "little", "big"))


def some(random: Random, most: int, usual: int = 4) -> int:
    """A number of things: mostly few, sometimes ``most``."""
    return most if random.random() < 0.03 else random.randrange(usual + 1)


def damaged(random: Random, content: bytes) -> bytes:
    """``content`` damaged as any file may be."""
    return damage.damaged(random, content) if content else content


def struck(random: Random, content: bytes, times: int = 4) -> bytes:
    """``content`` with some words replaced by numbers at the edges of their types, mostly near its beginning."""
    data = bytearray(content)
    for _ in range(random.randrange(1, times + 1)):
        size = one(random, 1, 2, 4, 4, 8)
        reach = len(data) if random.random() < 0.4 else min(len(data), one(random, 32, 128, 512))
        at = random.randrange(max(1, reach)) // one(random, 1, 2, 4) * one(random, 1, 2, 4)
        data[at : at + size] = packed(random, size)
    return bytes(data)


_DTYPES: Final = (
    *("'<i8'", "'<i4'", "'|i1'", "'<f4'", "'<f8'", "'<f2'", "'|O'", "'<U9'", "'<m8[as]'", "'<m8'", "'<M8[D]'"),
    *("'|V0'", "'|V2147483647'", "'<c16'", "'|b1'", "[('sample','<U3'),('t_us','<f8'),('neuron','<i8')]"),
    *("'<f16'", "''", "'<i'", "()", "'(2,)i4'", "[('t','<i8')]", "[('t','<i8'),('t','<u2')]"),
    *("[('t','|O'),('x','<u2')]", "[('t','<i8'),('x','<u2'),('y','<u2'),('p','|b1')]"),
    *("[('t','<f8'),('x','<i2'),('y','<i2'),('p','|i1')]",),
    *("[('t','<i8'),('x','<u2'),('y','<u2'),('p','|i1',(2,))]",),
    *("[('sample','<u4'),('t_us','<i8'),('c','<u2'),('y','<u2'),('x','<u2')]", "[" * 99 + "]" * 99),
    *("'" + "i" * 5000 + "'", "1" + "0" * 4500),
)
_SHAPES: Final = (
    *("(8,)", "(8,)", "(4, 4)", "(2, 4)", "(0,)", "(0, 4)", "()", "(-1,)", "(-1, 4)", "(1.5,)", "8", "(1, 8)"),
    *("(8, 1)", "(2, 2, 2, 3)", "(2, 12)", "((2,), 4)", "('a',)", "(True,)", "(" + "1," * 70 + ")"),
    *("(" + "9" * 5000 + ",)", "((" + "(" * 120 + ")" * 120 + ",)"),
)


def npy(random: Random) -> bytes:
    """A .npy file whose header claims anything."""
    first, second = number(random), number(random)
    claims = {
        "descr": random.choice(_DTYPES),
        "fortran_order": one(random, "False", "False", "False", "True", "1", "None"),
        "shape": one(random, *_SHAPES, f"({first},)", f"({first}, 4)", f"({first}, {second})", f"(0, {first})"),
    }
    if random.random() < 0.1:
        claims.pop(random.choice(list(claims)))
    if random.random() < 0.1:
        claims[one(random, "more", "shape ", "'")] = one(random, "1", "b''", "x", "[" * 300)
    head = "{" + ", ".join(f"'{key}': {value}" for key, value in claims.items()) + one(random, "}", "}", "}", ", }", "")
    text = (head.ljust(one(random, 0, 118, 118, 9000), " ") + "\n").encode("latin-1", "replace")
    version = one(random, (1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (0, 0), (255, 255))
    length = len(text) if random.random() < 0.9 else number(random)
    stated = words([length], "H" if version[0] == 1 else "I")
    body = one(random, bytes(200), random.randbytes(200), bytes(range(200)), b"", b"\1\0\0\0\0\0\0\0" * 30)
    return b"\x93NUMPY" + bytes(version) + stated + text + body


def zipped(random: Random, members: Mapping[str, bytes], fooled: bool = True) -> bytes:
    """A zip archive of ``members``; if ``fooled``, with odd names, several of one name, or fields that lie."""
    file = io.BytesIO()
    names = dict(members)
    if fooled and random.random() < 0.3:
        gone = random.choice(list(names))
        content = names.pop(gone)
        paths = ("../" + gone, "/" + gone, "C:\\" + gone, gone + "\n", gone.upper(), "n" * 300 + ".npy")
        names[one(random, *paths, "\x1b[1m.npy", "\u00e4.npy", ".npy", "a/", "readme.txt")] = content
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in names.items():
            kind = (
                zipfile.ZIP_DEFLATED
                if len(content) > 10_000
                else one(random, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            )
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    data = file.getvalue()
    if fooled and random.random() < 0.5:
        data = lying_zip(random, data)
    return data


def lying_zip(random: Random, data: bytes) -> bytes:
    """The zip archive ``data`` with some fields of its directory, or of the heads of its members, changed."""
    changed = bytearray(data)
    mark, fields = one(
        random,
        (b"PK\1\2", ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4), (46, 1))),
        (b"PK\3\4", ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
        (b"PK\5\6", ((8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
    )
    places = [at for at in range(len(data)) if data.startswith(mark, at)]
    for _ in range(random.randrange(1, 4)):
        at, (offset, size) = random.choice(places), random.choice(fields)
        value = one(random, number(random), random.randrange(100), 1, 99, 97, 20)
        changed[at + offset : at + offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(changed)


def words(values: Sequence[int], kind: str) -> bytes:
    """``values`` modulo what fits, in the format of `struct` called ``kind``."""
    size = struct.calcsize(kind)
    return b"".join((value % (1 << 8 * size)).to_bytes(size, "little") for value in values)
