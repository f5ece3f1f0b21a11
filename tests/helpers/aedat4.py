"""AEDAT4 files for tests, as small as the format allows: a header and one uncompressed packet of events."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

INFO = """<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">
<node name="0" path="/mainloop/Recorder/outInfo/0/"><attr key="compression" type="string">NONE</attr>
<attr key="originalModuleName" type="string">capture</attr><attr key="originalOutputName" type="string">events</attr>
<attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>
<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/mainloop/Recorder/outInfo/0/info/">
<attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>
<attr key="source" type="string">DVS128</attr><attr key="tsOffset" type="long">0</attr>
</node></node></node></dv>"""


def aedat4(events: Sequence[tuple[int, int, int, int]]) -> bytes:
    """The file of ``events`` (t_us, x, y, polarity)."""
    info = INFO.encode()
    header = table_of(
        b"IOHE", {0: struct.pack("<i", 0), 1: struct.pack("<q", -1)}, 2, struct.pack("<I", len(info)) + info + b"\0"
    )
    rows = b"".join(struct.pack("<qhh?xxx", t, x, y, bool(p)) for t, x, y, p in events)
    packet = table_of(b"EVTS", {}, 0, struct.pack("<I", len(events)) + rows)
    return b"#!AER-DAT4.0\r\n" + header + struct.pack("<ii", 0, len(packet)) + packet


def table_of(kind: bytes, scalars: Mapping[int, bytes], vector_field: int, vector: bytes) -> bytes:
    """A flatbuffer of one table, its size before it: ``scalars`` by their fields, and one vector or text."""
    fields = max([vector_field, *scalars]) + 1
    directory = 4 + 2 * fields
    table = 8 + directory + -(8 + directory) % 8
    offsets, values, at = [0] * fields, b"", 8
    offsets[vector_field] = 4
    for field, value in sorted(scalars.items(), key=lambda item: -len(item[1])):
        offsets[field], values, at = at, values + value, at + len(value)
    start = table + at
    start += -(start + 8) % 8
    out = (struct.pack("<I", table) + kind).ljust(table - directory, b"\0")
    out += struct.pack(f"<HH{fields}HiI", directory, at, *offsets, directory, start - (table + 4)) + values
    out = out.ljust(start, b"\0") + vector
    return struct.pack("<I", len(out)) + out
