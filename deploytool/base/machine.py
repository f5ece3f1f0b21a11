"""The processor cores of this machine, and the processes that torchrun started."""

from __future__ import annotations

import os


def threads() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched_processes() -> int:
    """The number of processes that torchrun started to train together; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the first process that torchrun started (RANK 0), or the only one."""
    return os.environ.get("RANK", "0") == "0"
