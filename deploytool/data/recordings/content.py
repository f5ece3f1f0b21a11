"""What is in files, known again without reading them again, as long as they do not change."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, TypeAlias

from deploytool.base.digest import file_digest
from deploytool.base.errors import InputError

RACY_NS: Final = 2_000_000_000
"""A file that was changed so shortly before it was read could be changed again at the same time of its file system."""

Signature: TypeAlias = tuple[int, int, int, int, int]
"""Size, time of writing, time of change, number and device of a file: what changes when it is written."""

_DIGESTS: Final[dict[Path, tuple[Signature, str]]] = {}
"""The digests of the files that this process read, as long as they do not change."""


def signature(path: Path) -> Signature:
    """The signature of the file or folder ``path``, by which a change is seen. Raises InputError if there is none.

    The time of writing can be set back by anybody, the time of change cannot: the file system itself keeps it.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "a file or folder that is there") from None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def settled(known: Signature) -> bool:
    """Whether the last change of a file is so long ago that another one would give it another signature."""
    return time.time_ns() - max(known[1:3]) > RACY_NS


def content(path: Path) -> str:
    """The SHA-256 of the file ``path``: computed once in a process, as long as the file does not change."""
    before = signature(path)
    if (known := _DIGESTS.get(path)) and known[0] == before:
        return known[1]
    try:
        found = file_digest(path)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "a file of events") from None
    if settled(before):
        _DIGESTS[path] = before, found
    return found
