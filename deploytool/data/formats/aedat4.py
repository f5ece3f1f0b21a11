"""AEDAT 4.0, of iniVation's DV: streams of packets of events, frames and others; times are microseconds since 1970.

The package aedat reads it. Specification: docs.inivation.com, "AEDAT 4.0".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.parsers import expat

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.parts import START, Part, Parts, Place, joined
from deploytool.data.formats.reading import RawEvents, Reading

HEADER: Final = b"IOHE"
HEADER_AT: Final = 14
"""Where the header begins, with its size."""
HEADER_MAX: Final = 1 << 24
INFO_FIELD: Final = 2
"""The number of the field with the description of the streams."""
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

    _refuse_damaged_header(path)
    number, streams = 0, {}
    try:
        decoder = aedat.Decoder(path)
        streams = {number: each for number, each in decoder.id_to_stream().items() if each["type"] == "events"}
        for packet in decoder if len(streams) == 1 else ():
            if packet["stream_id"] in streams:
                ((_, stream),) = streams.items()
                found, sensor = packet["events"], (stream["height"], stream["width"])
                number += len(found)
                yield RawEvents(found["t"], found["x"], found["y"], found["on"], sensor=sensor)
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError | GeneratorExit):
            raise
        raise InputError(str(path), f"cannot be read ({error})", NEED, "Copy it again.") from None
    if not number:
        raise InputError(str(path), f"0 events in {len(streams)} streams", NEED)


def _refuse_damaged_header(path: Path) -> None:
    """Raises InputError unless the header of the file ``path`` has a description of its streams in XML.

    Package aedat ends Python if that is not in UTF-8.
    """
    with path.open("rb") as file:
        begin = file.read(HEADER_END)
        (size,) = struct.unpack("<I", begin[HEADER_AT : HEADER_AT + 4].rjust(4, b"\0"))
        file.seek(HEADER_AT + 4)
        header = file.read(min(size, HEADER_MAX))
    try:
        if begin[-len(HEADER) :] != HEADER:
            raise ValueError("no header")
        (table,) = struct.unpack_from("<I", header, 0)
        (back,) = struct.unpack_from("<i", header, table)
        (field,) = struct.unpack_from("<H", header, table - back + 4 + 2 * INFO_FIELD)
        (offset,) = struct.unpack_from("<I", header, table + field)
        (length,) = struct.unpack_from("<I", header, table + field + offset)
        text = header[table + field + offset + 4 :][:length].decode("utf-8")
        if "<!" in text:
            raise ValueError("XML with declarations")
        expat.ParserCreate().Parse(text, True)
    except (struct.error, ValueError, expat.ExpatError):
        found = "cannot be read (its header is damaged)"
        raise InputError(str(path), found, NEED, "Copy it again.") from None
