"""Event files for tests, written from the formats' specifications: one small function per format."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from hypothesis import strategies as st

from deploytool.data.formats.reading import RawEvents

Row: TypeAlias = tuple[int, int, int, int]
"""(t_us, x, y, polarity)."""

ROWS: Final = [(5, 1, 2, 1), (5, 3, 9, 0), (4000, 33, 0, 1), (90_000, 0, 33, 0)]

ROW_LISTS: Final = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 299), st.integers(0, 199), st.integers(0, 1)), max_size=40
).map(sorted)
"""Rows in order of time, of a camera of 300 x 200 pixels."""


def rows_of(raw: RawEvents) -> list[tuple[int, ...]]:
    """The rows that were read."""
    return list(zip(*(getattr(raw, column).tolist() for column in "txyp"), strict=True))


def nbin(rows: Iterable[Row]) -> bytes:
    """The five-byte format of N-MNIST: x, y, then polarity and 23 bits of time, highest first."""
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for t, x, y, p in rows)


def dat(rows: Iterable[Row], head: str = "% Data file containing CD events.\n% Version 2\n") -> bytes:
    """Prophesee DAT, version 2; times are stored modulo 2^32."""
    words = (struct.pack("<II", t % 2**32, p << 28 | y << 14 | x) for t, x, y, p in rows)
    return head.encode() + bytes([12, 8]) + b"".join(words)


def evt2(rows: Iterable[Row], head: str = "% evt 2.0\n% end\n") -> bytes:
    """Prophesee EVT 2.0; times are stored modulo 2^34."""
    words, high = [], -1
    for t, x, y, p in rows:
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high % 2**28)
        words.append(p << 28 | t % 64 << 22 | x << 11 | y)
    return head.encode() + struct.pack(f"<{len(words)}I", *words)


def evt3(rows: Iterable[Row], head: str = "% evt 3.0\n% end\n") -> bytes:
    """Prophesee EVT 3.0 without vectors; times are stored modulo 2^24."""
    words, before = [], (-1, -1, -1)
    for t, x, y, p in rows:
        now = t >> 12, t % 4096, y
        for kind, value, last in zip((8, 6, 0), now, before, strict=True):
            if value != last or kind == 6:
                words.append(kind << 12 | value % 4096)
        words.append(2 << 12 | p << 11 | x)
        before = now
    return head.encode() + struct.pack(f"<{len(words)}H", *words)


def evt21(rows: Iterable[Row], order: str = "legacy") -> bytes:
    """Prophesee EVT 2.1, one pixel per word; times are stored modulo 2^34."""
    pairs, high = [], -1
    for t, x, y, p in rows:
        if t >> 6 != high:
            high = t >> 6
            pairs.append((8 << 28 | high % 2**28, 0))
        pairs.append((p << 28 | t % 64 << 22 | (x & ~31) << 11 | y, 1 << x % 32))
    content = f"% evt 2.1\n% format EVT21;endianness={order};height=200;width=300\n% end\n".encode()
    return content + b"".join(struct.pack("<II", *(pair if order == "legacy" else pair[::-1])) for pair in pairs)


def aedat2(rows: Iterable[Row], chip: str = "# AEChip: eu.seebetter.ini.chips.davis.DAVIS346blue") -> bytes:
    """AEDAT 2.0 of a DAVIS346, or of a DVS128 if ``chip`` says so; times are stored modulo 2^32."""
    content = f"#!AER-DAT2.0\r\n# Timestamps tick is 1 us\r\n{chip}\r\n#End Of ASCII Header\r\n".encode()
    for t, x, y, p in rows:
        davis = 259 - y << 22 | 345 - x << 12 | p << 11
        address = 127 - y << 8 | 127 - x << 1 | 1 - p if "128" in chip else davis
        content += struct.pack(">II", address, t % 2**32)
    return content


def aedat3(packets: Sequence[Sequence[Row]]) -> bytes:
    """AEDAT 3.1: one packet per sequence of events, behind one of another type; times run over after 2^31."""
    content = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    content += struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
    for rows in packets:
        ran_over = rows[0][0] >> 31
        content += struct.pack("<hhiiiiii", 1, 1, 8, 4, ran_over, len(rows), len(rows), len(rows))
        for t, x, y, p in rows:
            content += struct.pack("<Ii", x << 17 | y << 2 | p << 1 | 1, t % 2**31)
    return content


def event_stream(rows: Iterable[Row], atis: bool = False) -> bytes:
    """Event Stream 2.0 of DVS events, or of ATIS events, on a sensor of 300x200 pixels."""
    content = b"Event Stream" + bytes([2, 0, 0, 2 if atis else 1]) + struct.pack("<HH", 300, 200)
    now, most = 0, 63 if atis else 127
    for t, x, y, p in rows:
        while t - now >= most:
            steps = min(3, (t - now) // most) if atis else 1
            content += bytes([252 + steps if atis else 255])
            now += steps * most
        content += bytes([t - now << 2 | p << 1 if atis else t - now << 1 | p]) + struct.pack("<HH", x, 199 - y)
        now = t
    return content
