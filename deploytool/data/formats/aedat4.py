"""AEDAT 4.0, of iniVation's DV: streams of packets of events, frames and others; times are microseconds since 1970.

The package aedat reads it. Specification: docs.inivation.com, "AEDAT 4.0".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final
from xml.parsers import expat

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.frames import UNPACKED
from deploytool.data.formats.parts import START, Part, Parts, Place, joined
from deploytool.data.formats.reading import RawEvents, Reading, camera_size

HEADER: Final = b"IOHE"
HEADER_AT: Final = 14
"""Where the header begins, with its size."""
HEADER_MAX: Final = 1 << 24
"""The most bytes of the header; package aedat reserves as many as it states."""
PACKING_FIELD, TABLE_FIELD, INFO_FIELD = 0, 1, 2
"""The numbers of the fields with the compression, the place of the table behind the packets, and the description of the
streams."""
DEPTH_MAX: Final = 32
"""The deepest nesting of the description."""
PACKET: Final = struct.Struct("<ii")
"""What a packet begins with: the number of its stream, and its size."""
UNPACKED_MAX: Final = 1 << 28
"""The most bytes of a packet when it is unpacked."""
HEADER_END: Final = 26
"""The end of the name of the header's type, which follows the version, the header's size and an offset."""
HELD: Final = 1 << 17
"""Number of events that are kept back, because an event of a later packet may be older."""
NEED: Final = "an AEDAT4 file with one stream of events"


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``, sorted by time, because packets of a stream may overlap.

    ``place`` is the number of parts to leave out. Raises InputError if the file is damaged, or has no event stream or
    several.
    """
    for number, events in enumerate(_sorted(_packets(path))):
        if number >= place.at:
            yield Part(events, Place(number))


def _sorted(packets: Iterator[RawEvents]) -> Iterator[RawEvents]:
    """The events of ``packets`` in order of time, as far as no event comes later than by `HELD` events."""
    held: list[RawEvents] = []
    for packet in packets:
        held.append(packet)
        if sum(map(len, held)) >= 2 * HELD:
            events = _in_order(held)
            yield events.take(slice(HELD))
            held = [events.take(slice(HELD, None))]
    if held:
        yield _in_order(held)


def _in_order(packets: list[RawEvents]) -> RawEvents:
    events = joined(Part(packet, START) for packet in packets)
    return events.take(np.argsort(events.t, kind="stable"))


def _packets(path: Path) -> Iterator[RawEvents]:
    """The events of each packet in the file ``path``. Raises as `parts` does."""
    import aedat

    _refuse_damaged(path)
    number, streams = 0, {}
    try:
        decoder = aedat.Decoder(path)
        streams = {number: each for number, each in decoder.id_to_stream().items() if each["type"] == "events"}
        for packet in decoder if len(streams) == 1 else ():
            if packet["stream_id"] in streams:
                ((_, stream),) = streams.items()
                found, sensor = packet["events"], camera_size(stream["height"], stream["width"], str(path))
                number += len(found)
                yield RawEvents(found["t"], found["x"], found["y"], found["on"], sensor=sensor)
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError | GeneratorExit | InputError):
            raise
        raise InputError(str(path), f"cannot be read ({error})", NEED, "Copy it again.") from None
    if not number:
        raise InputError(str(path), f"0 events in {len(streams)} streams", NEED)


def _refuse_damaged(path: Path) -> None:
    """Raises InputError unless the header of the file ``path`` has a description of its streams in XML, and its packets
    lie in the file and are not too large when they are unpacked.

    Package aedat ends Python if the description is not in UTF-8 or nested deeply, and where memory is refused.
    """
    with path.open("rb") as file:
        begin = file.read(HEADER_END)
        (size,) = struct.unpack("<I", begin[HEADER_AT : HEADER_AT + 4].rjust(4, b"\0"))
        file.seek(HEADER_AT + 4)
        header = memoryview(file.read(min(size, HEADER_MAX)))
        try:
            if begin[-len(HEADER) :] != HEADER:
                raise ValueError("no header")
            if len(header) < size:
                raise ValueError("a header that is cut short")
            info, packing, table_at = _fields(header)
            _refuse_odd_xml(info)
        except (struct.error, ValueError, expat.ExpatError):
            found = "cannot be read (its header is damaged)"
            raise InputError(str(path), found, NEED, "Copy it again.") from None
        try:
            _check_packets(file, packing, path.stat().st_size if table_at <= 0 else table_at)
        except ValueError as error:
            raise InputError(str(path), f"cannot be read ({error})", NEED, "Copy it again.") from None


def _fields(header: memoryview) -> tuple[str, int, int]:
    """(description of the streams, number of the compression, where the table behind the packets is) in ``header``.

    Raises ValueError or struct.error if it is damaged.
    """
    (table,) = struct.unpack_from("<I", header, 0)
    (back,) = struct.unpack_from("<i", header, table)
    (fields,) = struct.unpack_from("<H", header, table - back)

    def place(field: int) -> int:
        """Where ``field`` is; 0 if it is left out."""
        inside = 4 + 2 * field < fields
        (offset,) = struct.unpack_from("<H", header, table - back + 4 + 2 * field) if inside else (0,)
        return table + offset if offset else 0

    packing = struct.unpack_from("<i", header, at)[0] if (at := place(PACKING_FIELD)) else 0
    behind = struct.unpack_from("<q", header, at)[0] if (at := place(TABLE_FIELD)) else -1
    at = place(INFO_FIELD)
    (offset,) = struct.unpack_from("<I", header, at)
    (length,) = struct.unpack_from("<I", header, at + offset)
    return bytes(header[at + offset + 4 :][:length]).decode("utf-8"), packing, behind


def _refuse_odd_xml(text: str) -> None:
    """Raises ValueError or ExpatError for XML that is damaged, has declarations, or is nested deeply."""
    if "<!" in text:
        raise ValueError("XML with declarations")
    depth = 0

    def down(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise ValueError("XML that is nested deeply")

    def up(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = down, up
    parser.Parse(text, True)


def _check_packets(file: BinaryIO, packing: int, end: int) -> None:
    """Raises ValueError if a packet of ``file``, which is behind its header, does not end before ``end``, or may be too
    large when it is unpacked."""
    at = file.tell()
    unpacked = UNPACKED.get(packing)
    if unpacked is None:
        raise ValueError(f"unknown compression {packing}")
    if end < at:
        raise ValueError("the table behind its packets is said to be in its header")
    while at < end:
        head = file.read(PACKET.size)
        if len(head) < PACKET.size:
            raise ValueError("a packet is cut short")
        _, size = PACKET.unpack(head)
        at += PACKET.size + size
        if size < 0 or at > end:
            raise ValueError(f"a packet of {size} bytes is cut short")
        if packing and unpacked(memoryview(file.read(size))) > UNPACKED_MAX:
            raise ValueError(f"a packet of {size} bytes may be of more than {UNPACKED_MAX:,} bytes when it is unpacked")
        file.seek(at)
