"""Content digests of values and files: the same value has the same digest on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

PIECE: Final = 1 << 20
"""Number of bytes of a file that are in memory at a time."""


def digest(value: Any) -> str:
    """The SHA-256 (hex) of a value made of dataclasses, mappings, sequences, arrays, numbers and strings.

    Dataclasses count by class name and fields, arrays by dtype, shape and bytes in C order.
    Raises TypeError for any other type, because a repr is no exact description to hash.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def file_digest(path: Path, tick: Callable[[int], None] = lambda _: None) -> str:
    """The SHA-256 (hex) of the content of the file ``path``. Raises OSError if it cannot be read.

    ``tick`` is told of every piece read: its number of bytes.
    """
    hasher = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
            tick(len(piece))
    return hasher.hexdigest()


def _feed(hasher: hashlib._Hash, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hasher.update(f"<{type(value).__name__}".encode())
        for field in dataclasses.fields(value):
            hasher.update(f".{field.name}=".encode())
            _feed(hasher, getattr(value, field.name))
        hasher.update(b">")
    elif isinstance(value, np.ndarray):
        hasher.update(f"[{value.dtype.str}{value.shape}".encode())
        hasher.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        hasher.update(b"{")
        for key, item in value.items():
            hasher.update(f"{key!r}:".encode())
            _feed(hasher, item)
        hasher.update(b"}")
    elif isinstance(value, (tuple, list)):
        hasher.update(b"(")
        for item in value:
            _feed(hasher, item)
            hasher.update(b",")
        hasher.update(b")")
    elif isinstance(value, np.generic):
        _feed(hasher, value.item())
    elif value is None or isinstance(value, (bool, int, float, str)):
        hasher.update(repr(value).encode())
    else:
        raise TypeError(f"cannot digest a {type(value).__name__}")
