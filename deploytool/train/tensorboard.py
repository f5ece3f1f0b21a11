"""TensorBoard event files: the history of a training, epoch by epoch, without TensorBoard.

A file is a sequence of records (TFRecord): length (uint64), CRC of that, data, CRC of it; a CRC is the masked CRC-32C
(Castagnoli) of TensorFlow's record_writer.cc. The data is an Event in the encoding of protocol buffers, of which a
double wall_time = 1, an int64 step = 2, a string file_version = 3 and a Summary summary = 5 {Value value = 1 {string
tag = 1; float simple_value = 2}} are written (tensorflow/core/util/event.proto, framework/summary.proto).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from deploytool.base.errors import ArtifactError

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5
"""Wire types of protocol buffers."""


class EventFile:
    """A new event file in ``folder``. Raises ArtifactError when it cannot be written."""

    def __init__(self, folder: Path) -> None:
        now = time.time()
        self.path = folder / f"events.out.tfevents.{now:.6f}.deploytool"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(_record(_field(1, DOUBLE, now) + _field(3, BYTES, b"brain.Event:2")))
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def add(self, entry: Mapping[str, float]) -> None:
        """Appends every value of ``entry`` as a scalar, at the step ``entry["epoch"]``."""
        values = b"".join(
            _field(1, BYTES, _field(1, BYTES, tag.encode()) + _field(2, FLOAT, value))
            for tag, value in entry.items()
            if tag != "epoch"
        )
        event = _field(1, DOUBLE, time.time()) + _field(2, VARINT, int(entry["epoch"])) + _field(5, BYTES, values)
        try:
            with self.path.open("ab") as file:
                file.write(_record(event))
        except OSError as error:
            raise _unwritable(self.path, error) from None


def _unwritable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"--tensorboard {path.parent}", f"cannot be written ({error.strerror})", "a writable folder")


def _field(number: int, wire: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | wire)
    match value:
        case bytes():
            return key + _varint(len(value)) + value
        case int() if wire == VARINT:
            return key + _varint(value)
        case _:
            return key + struct.pack("<d" if wire == DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    return bytes(_groups(value))


def _groups(value: int) -> Iterator[int]:
    """Seven bits of ``value`` at a time, the lowest first, all but the last marked by the eighth."""
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checked(length) + data + _checked(data)


def _checked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """The CRC-32C of ``data`` (Castagnoli, RFC 3720 appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


_TABLE: Final = tuple(map(_remainder, range(256)))
