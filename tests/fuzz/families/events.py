"""Files of events in the formats of cameras: text headers, words, packets; and what reads a file of any format."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from helpers import event_files
from helpers.aedat4 import INFO, table_of

from deploytool.base.errors import DeployError
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.recording import EventFile
from deploytool.data.formats.table import format_of
from deploytool.data.recordings.chosen import Asked, read_events
from tests.fuzz import forged
from tests.fuzz.family import Family

READINGS: Final = (
    AS_IT_IS,
    Reading(columns="txyp", time_unit="us", unwrap=True),
    Reading(columns="xypt", time_unit="ns", absolute_time=True),
    Reading(time_unit="s"),
    Reading(camera="davis346"),
    Reading(group="events"),
)


def read_file(path: Path) -> None:
    """Reads the recording ``path`` as `run` does, with the options that its first refusal may ask for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        refusals = [refusal for reading in READINGS if (refusal := _read(path, reading))]
    if len(refusals) == len(READINGS):
        raise refusals[0]


def _read(path: Path, reading: Reading) -> DeployError | None:
    try:
        kind = format_of(path)
        if kind is not None:
            file = EventFile(path, kind, reading)
            file.between(10, 3000)
            extent = file.seen.extent
            shape = (max(2, extent[0]), *(file.sensor or extent[1:]))
        else:
            shape = (2, 128, 128)
        for sample in read_events(path, shape, Asked(reading)):
            len(sample)
    except DeployError as refusal:
        return refusal
    return None


def _rows(random: Random) -> list[event_files.Row]:
    """Events whose values fit the format, in order of time or not."""
    count, t, found = forged.some(random, 3000, 40), random.choice((0, 0, 2**23 - 50, 2**31 - 9, 2**32 - 5)), []
    for _ in range(count):
        t += random.choice((0, 1, 5, 60, 5000))
        x = random.randrange(128)
        found.append((t, x, random.randrange(128), random.randrange(2)))
    if random.random() < 0.05:
        random.shuffle(found)
    return found


_LINES: Final = (
    *("geometry 0x0", "geometry 1x1", "geometry 65536x65536", "geometry 99999999999x3", "Version 1"),
    *("Version -1", "width 3", "height 4", "width 0", "height 99999", "Height 12", "end", "", "evt 2.0"),
    *("evt 2.1", "evt 3.0", "evt 9.9", "evt 4", "endianness=little", "format EVT3;height=720;width=1280"),
    *("format EVT21;endianness=legacy", "format EVT21;endianness=ä", "endianness big", "Data file containing"),
    *("ÿþ\x00", "AEChip: eu.seebetter.DAVIS240C", "AEChip: dvs128", "AEChip: \x1b[31m", "AEChip: "),
    *("End Of ASCII Header", "!END-HEADER", f"geometry {'9' * 5000}x{'9' * 5000}", f"Version {'9' * 5000}"),
    *("x" * 5000, "AEChip: " + "D" * 9000),
)


_CHIPS: Final = ("# AEChip: DVS128", "# AEChip: DAVIS640", "# AEChip: x", "")


def _header(random: Random, content: bytes, mark: bytes) -> bytes:
    """``content`` with hostile lines that begin with ``mark`` in its text header."""
    lines = [
        mark + random.choice(_LINES).encode("latin-1") + random.choice((b"\n", b"\r\n"))
        for _ in range(forged.some(random, 9000))
    ]
    end = content.find(b"\n") + 1
    return content[:end] + b"".join(lines) + content[end:] if random.random() < 0.7 else b"".join(lines) + content


def _words(random: Random) -> tuple[str, bytes]:
    rows = _rows(random)
    short = [(t % 2**20, x, y, p) for t, x, y, p in rows]
    head, chip = random.choice(("", "% Version 1\n", "% Height 5\n% Width 6\n")), random.choice(_CHIPS)
    files = (
        ("a.dat", event_files.dat(rows), b"% "),
        ("a.dat", event_files.dat(rows, head), b"% "),
        ("a.raw", event_files.evt2(rows), b"% "),
        ("a.raw", event_files.evt21(rows, random.choice(("legacy", "little"))), b"% "),
        ("a.raw", event_files.evt3(rows), b"% "),
        ("a.bin", event_files.nbin(short), b""),
        ("a.aedat", event_files.aedat2(rows, chip + "\r\n"), b"#"),
        ("a.es", event_files.event_stream(sorted(short), random.random() < 0.5), b""),
    )
    name, content, mark = random.choice(files)
    if mark and random.random() < 0.5:
        content = _header(random, content, mark)
    if random.random() < 0.6:
        content = forged.struck(random, content, 12)
    if random.random() < 0.2:
        content += random.choice((b"\0", b"\xff", b"\x8f", b"\x40")) * random.randrange(400)
    return name, content


def _aedat3(random: Random) -> tuple[str, bytes]:
    parts = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n"]
    parts += [b"#" + random.choice(_LINES).encode("latin-1") + b"\r\n" for _ in range(forged.some(random, 5000, 2))]
    parts.append(b"#!END-HEADER\r\n" * (random.random() < 0.97))
    for _ in range(forged.some(random, 2000, 4)):
        count = random.randrange(5)
        fields = [1, 1, 8, 4, 0, count, count, count]
        for _ in range(random.randrange(3) if random.random() < 0.5 else 0):
            fields[random.randrange(8)] = forged.number(random)
        body = b"".join(
            struct.pack("<II", random.getrandbits(16) << 2 | 1, random.getrandbits(12)) for _ in range(count)
        )
        parts.append(forged.words(fields[:2], "h") + forged.words(fields[2:], "i") + body)
    return "a.aedat", b"".join(parts)


def file_of(make: Callable[[Random], tuple[str, bytes]]) -> Callable[[Random, Path], Path]:
    """What writes the file that ``make(random)`` has the name and content of; a fifth of them damaged byte by byte."""

    def mutated(random: Random, folder: Path) -> Path:
        name, content = make(random)
        if random.random() < 0.2:
            content = forged.damaged(random, content)
        if random.random() < 0.02:
            name = random.choice(("a.raw", "a.dat", "a.h5", "a.npz", "a.txt", "a", "a.aedat4", "a.mat", "a.bin"))
        (folder / name).write_bytes(content)
        return folder / name

    return mutated


def _xxh32(data: bytes) -> int:
    """The hash of fewer than 16 bytes that LZ4 frames have of their header."""
    first, second, third, fifth, size = 2654435761, 2246822519, 3266489917, 374761393, len(data)
    value = (fifth + size) % 2**32
    while len(data) >= 4:
        value = (value + int.from_bytes(data[:4], "little") * third) % 2**32
        value = (value << 17 | value >> 15) % 2**32 * 668265263 % 2**32
        data = data[4:]
    for byte in data:
        value = (value + byte * fifth) % 2**32
        value = (value << 11 | value >> 21) % 2**32 * first % 2**32
    value = (value ^ value >> 15) * second % 2**32
    value = (value ^ value >> 13) * third % 2**32
    return value ^ value >> 16


def _lz4(random: Random, content: bytes) -> bytes:
    """A frame of LZ4 with ``content``, or that claims to have much more."""
    size = struct.pack("<Q", forged.number(random) % 2**64) if random.random() < 0.2 else b""
    flags = bytes([0x60 | 8 * bool(size), random.choice((0x40, 0x50, 0x60, 0x70))]) + size
    head = b"\x04\x22\x4d\x18" + flags + bytes([_xxh32(flags) >> 8 & 255])
    if random.random() < 0.2:
        block = b"\x1f\0\1\0" + b"\xff" * random.choice((100, 15_000)) + b"\0" + b"\x50" + bytes(5)
        return head + (struct.pack("<I", len(block)) + block) * random.choice((1, 3, 1000)) + bytes(4)
    return head + struct.pack("<I", len(content) | 1 << 31) + content + bytes(4)


def _zstd(random: Random, content: bytes) -> bytes:
    """A frame of Zstandard with ``content`` as it is, or with repeated bytes behind it."""
    single = random.random() < 0.4
    claim = len(content) if random.random() < 0.7 else forged.number(random) % 2**64
    head = b"\x28\xb5\x2f\xfd" + (
        b"\xe0" + struct.pack("<Q", claim) if single else b"\0" + bytes([random.choice((0x58, 0x88, 0xFF))])
    )
    blocks = [(len(content) << 3 | 1 * (random.random() < 0.7)).to_bytes(4, "little")[:3] + content]
    if random.random() < 0.2:
        repeated = ((1 << 17) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
        blocks = blocks + [repeated] * random.choice((1, 100, 20_000))
    return head + b"".join(blocks)


def _stream(random: Random, number: int, compression: str) -> str:
    """The description of stream ``number``."""
    node = INFO[INFO.index('<node name="0"') : INFO.rindex("</node></dv>")]
    node = node.replace('"0"', f'"{number}"').replace("/0/", f"/{number}/").replace("NONE", compression)
    if random.random() < 0.12:
        side = random.choice((*forged.TEXTS, str(forged.number(random)), "65536")).replace("<", "")
        kind = random.choice(("FRME", "IMUS", "TRIG", "\u00e4\u00f6", "E", "X" * 5000))
        changes = (
            *(("EVTS", kind), (">128<", f">{side}<"), ("sizeX", "sizeQ"), ("typeIdentifier", "type"), ("node", "n")),
            *(("<attr", "<attr a='1'"), ("compression", "c"), ("int", "long"), ("128", "-1"), ("/", "")),
            *(("capture", "&lt;" * 100), ("capture", "&x;")),
        )
        old, new = random.choice(changes)
        node = node.replace(old, new)
    return node


def _aedat4(random: Random) -> tuple[str, bytes]:
    code, packing = random.choice(
        ((0, "NONE"), (0, "NONE"), (1, "LZ4"), (2, "LZ4_HIGH"), (3, "ZSTD"), (4, "ZSTD_HIGH"))
    )
    streams = "".join(_stream(random, number, packing) for number in range(random.choice((1,) * 20 + (0, 2))))
    info = INFO[: INFO.index('<node name="0"')] + streams + "</node></dv>"
    if random.random() < 0.05:
        info = random.choice(
            (
                "<a>" * 20_000 + "</a>" * 20_000,
                '<!DOCTYPE a [<!ENTITY b "c">]>' + info,
                info[:200],
                "",
                "\xff" * 40,
                " " * 10**6,
            )
        )
    text = info.encode("utf-8", "replace") if random.random() < 0.97 else info.encode("utf-16")
    code = code if random.random() < 0.97 else forged.number(random)
    at = random.choice((-1, -1, -1, forged.number(random)))
    scalars = {0: forged.words([code], "i"), 1: forged.words([at], "q")}
    length = len(text) if random.random() < 0.97 else forged.number(random) % 2**32
    header = table_of(b"IOHE", scalars, 2, struct.pack("<I", length) + text + b"\0")
    out = b"#!AER-DAT4.0\r\n" + (forged.struck(random, header, 2) if random.random() < 0.05 else header)
    for _ in range(forged.some(random, 100, 4)):
        out += _packet(random, code)
    return "a.aedat4", out


def _packet(random: Random, code: int) -> bytes:
    """A packet of events, packed as ``code`` says."""
    rows = [(1000 + t, x, y, p) for t, x, y, p in _rows(random)]
    if random.random() < 0.2:
        rows = [(forged.number(random) % 2**63, forged.number(random), forged.number(random), 1) for _ in rows]
    packed = b"".join(forged.words([t], "q") + forged.words([x, y], "h") + bytes([p, 0, 0, 0]) for t, x, y, p in rows)
    length = len(rows) if random.random() < 0.9 else forged.number(random) % 2**32
    content = table_of(random.choice((b"EVTS",) * 9 + (b"FRME",)), {}, 0, struct.pack("<I", length) + packed)
    if random.random() < 0.15:
        content = forged.struck(random, content, 3)
    content = {1: _lz4, 2: _lz4, 3: _zstd, 4: _zstd}.get(code, lambda _, same: same)(random, content)
    if random.random() < 0.05:
        content = forged.struck(random, content, 2)
    stream = 0 if random.random() < 0.97 else forged.number(random)
    size = len(content) if random.random() < 0.97 else forged.number(random)
    return forged.words([stream, size], "i") + content


FAMILIES: Final = (
    Family("events-words", file_of(_words), read_file),
    Family("events-aedat3", file_of(_aedat3), read_file),
    Family("events-aedat4", file_of(_aedat4), read_file),
)
