"""Measures of a process and of folders, as /proc, the allocators and the file system give them."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """Resident memory, open file descriptors, threads, and child processes."""

    rss_bytes: int
    descriptors: int
    threads: int
    children: int


def process(number: int) -> Process:
    """The measures of the process ``number``. Raises OSError if it has ended."""
    folder = Path(f"/proc/{number}")
    status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    children = sum(len((task / "children").read_text().split()) for task in (folder / "task").iterdir())
    descriptors = len(os.listdir(folder / "fd"))  # noqa: PTH208
    return Process(int(status["VmRSS"].split()[0]) * 1024, descriptors, int(status["Threads"]), children)


class Kept(NamedTuple):
    """Memory that a process has not freed: bytes of glibc's malloc, and the number of blocks of Python's allocator."""

    malloc_bytes: int
    python_blocks: int


_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS)


def kept() -> Kept:
    """What this process has not freed, after a collection of cycles. Pages that hold little of it count as little.

    Raises AttributeError without glibc 2.33 or later.
    """
    gc.collect()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo
    found = mallinfo2()
    return Kept(found.uordblks + found.hblkhd, sys.getallocatedblocks())


def size(folder: Path) -> tuple[int, int]:
    """(number, bytes) of the files in ``folder``, whose content may change meanwhile."""
    number = total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
            number += 1
    return number, total
