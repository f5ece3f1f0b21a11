"""AEDAT 4.0, of iniVation's DV: streams of packets of events, frames and others; times are microseconds since 1970.

The package aedat reads it. Specification: docs.inivation.com, "AEDAT 4.0".
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.reading import RawEvents, Reading

HEADER: Final = b"IOHE"
HEADER_END: Final = 26
"""The end of the name of the header's type, which follows the version, the header's size and an offset."""
NEED: Final = "an AEDAT4 file with one stream of events"


def read(path: Path, _: Reading) -> RawEvents:
    """The events in the file ``path``, sorted by time, because packets of a stream may overlap.

    Raises InputError if it is damaged, or has no event stream or several.
    """
    import aedat

    with path.open("rb") as file:
        if file.read(HEADER_END)[-len(HEADER) :] != HEADER:
            raise InputError(str(path), "cannot be read (its header is damaged)", NEED, "Copy it again.")
    try:
        decoder = aedat.Decoder(path)
        streams = {number: each for number, each in decoder.id_to_stream().items() if each["type"] == "events"}
        packets = [packet["events"] for packet in decoder if packet["stream_id"] in streams]
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise InputError(str(path), f"cannot be read ({error})", NEED, "Copy it again.") from None
    if len(streams) != 1 or not sum(map(len, packets)):
        raise InputError(str(path), f"{sum(map(len, packets))} events in {len(streams)} streams", NEED)
    found = np.concatenate(packets)
    found = found[np.argsort(found["t"], kind="stable")]
    (stream,) = streams.values()
    return RawEvents(found["t"], found["x"], found["y"], found["on"], sensor=(stream["height"], stream["width"]))
