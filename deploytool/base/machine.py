"""The processor cores of this machine, and the processes that torchrun started."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from deploytool.base.errors import UsageError

SET_BY_TORCHRUN: Final = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torchrun sets besides WORLD_SIZE."""

DIGITS_MAX: Final = 6
"""More digits than these are no number of processes."""


def threads() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched_processes() -> int:
    """The number of processes that torchrun started to train together; 1 without it.

    Raises UsageError if the environment is not as torchrun sets it.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    number = int(size) if size.isascii() and size.isdecimal() and len(size) < DIGITS_MAX else 0
    missing = [name for name in SET_BY_TORCHRUN if name not in os.environ]
    if number == 1 or (number > 1 and not missing):
        return number
    found = f"{', '.join(missing)} not set" if number else "no number of processes"
    todo = "Unset WORLD_SIZE, or start the processes with torchrun."
    raise UsageError(f"WORLD_SIZE={size}", found, f"WORLD_SIZE, {', '.join(SET_BY_TORCHRUN)}", todo)


def is_first_process() -> bool:
    """Whether this is the first process that torchrun started (RANK 0), or the only one."""
    return os.environ.get("RANK", "0") == "0"


def processor() -> str:
    """The name of the processor of this machine, as it states it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
