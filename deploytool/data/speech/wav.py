"""The audio samples in a WAV file: chunks of a name and a length each, of which ``fmt `` says what ``data`` holds.

Whole numbers of 8 bits (0 to 255), or of 16, 24, 32 or 64 bits (signed), and reals of 32 or 64 bits, the lowest byte
first, or the highest in files that begin with RIFX. Each length is checked before it is used; SciPy's reader, which
trusts them, lets any kind of error out.
Specification: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import doubles
from deploytool.base.errors import InputError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
WHOLE_BYTES: Final = (1, 2, 3, 4, 8)
FLOAT_BYTES: Final = (4, 8)
UNKNOWN: Final = 0xFFFF_FFFF
"""The length of a chunk that goes on to the end of its file, as programs write it that cannot go back."""


class Audio(NamedTuple):
    """``samples`` (N,) from -1 to 1, at ``rate_hz``."""

    rate_hz: int
    samples: NDArray[np.float64]


class _Format(NamedTuple):
    """What the chunk ``fmt `` says: numbers of ``bytes_each``, of the ``kind`` i or f, in the ``order`` < or >."""

    kind: str
    bytes_each: int
    channels: int
    rate_hz: int
    order: str


def read_audio(path: Path) -> Audio:
    """The audio in the file ``path``.

    Raises InputError if it is damaged or cut short, is of another format, or has several channels.
    """
    try:
        return _audio(memoryview(path.read_bytes()), str(path))
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "a WAV file") from None
    except ValueError as error:
        raise InputError(str(path), f"cannot be read ({error})", "a WAV file") from None


def _audio(content: memoryview, name: str) -> Audio:
    """The audio in the ``content`` of the file ``name``. Raises ValueError if it is no WAV file."""
    order = {b"RIFF": "<", b"RIFX": ">"}.get(bytes(content[:4]))
    if order is None or bytes(content[8:12]) != b"WAVE":
        raise ValueError("it does not begin as a WAV file")
    stated: _Format | None = None
    for chunk, data in _chunks(content[12:], order):
        if chunk == b"fmt ":
            stated = _format(data, order)
        elif chunk == b"data":
            if stated is None:
                raise ValueError("samples before their format")
            if stated.channels != 1:
                todo = "Write one channel to a file of its own."
                raise InputError(name, f"{stated.channels} channels", "one", todo)
            return Audio(stated.rate_hz, _numbers(data, stated))
    raise ValueError("no samples in it")


def _chunks(content: memoryview, order: str) -> Iterator[tuple[bytes, memoryview]]:
    """(name, data) of every chunk. Raises ValueError for one that ends behind the file."""
    at = 0
    while len(content) - at >= 8:
        name, length = bytes(content[at : at + 4]), struct.unpack_from(f"{order}I", content, at + 4)[0]
        at += 8
        length = len(content) - at if length == UNKNOWN and name == b"data" else length
        if length > len(content) - at:
            raise ValueError("cut short")
        yield name, content[at : at + length]
        at += length + length % 2


def _format(data: memoryview, order: str) -> _Format:
    """What the chunk ``data`` says. Raises ValueError for a format that is not supported."""
    if len(data) < 16:
        raise ValueError("its format is cut short")
    coding, channels, rate_hz, _, block, bits = struct.unpack_from(f"{order}HHIIHH", data)
    if coding == EXTENSIBLE and len(data) >= 26:
        (coding,) = struct.unpack_from(f"{order}H", data, 24)
    bytes_each, rest = divmod(block, channels or 1)
    allowed = {PCM: WHOLE_BYTES, FLOAT: FLOAT_BYTES}.get(coding, ())
    if rest or not channels or bytes_each not in allowed or not 0 < bits <= 8 * bytes_each:
        raise ValueError(f"format {coding} of {bits} bits in {block} bytes")
    return _Format("f" if coding == FLOAT else "i", bytes_each, channels, rate_hz, order)


def _numbers(data: memoryview, stated: _Format) -> NDArray[np.float64]:
    """(N,): the numbers in ``data``, from -1 to 1 if they are whole. Raises ValueError if the last one is cut."""
    size = stated.bytes_each
    if len(data) % size:
        raise ValueError(f"{len(data)} bytes of samples of {size} bytes")
    if stated.kind == "f":
        return doubles(np.frombuffer(data, f"{stated.order}f{size}"))
    if size == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    if size == 3:
        each = np.frombuffer(data, np.uint8).reshape(-1, 3)[:, :: -1 if stated.order == ">" else 1]
        wide = np.zeros((len(each), 4), np.uint8)
        wide[:, 1:] = each
        return wide.view("<i4").ravel().astype(np.float64) / 2.0**31
    return np.frombuffer(data, f"{stated.order}i{size}").astype(np.float64) / 2.0 ** (8 * size - 1)
