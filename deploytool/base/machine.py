"""The processor cores of this machine, and the processes that torchrun started."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import UsageError
from deploytool.base.printable import shortened

SET_BY_TORCHRUN: Final = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torchrun sets besides WORLD_SIZE."""

DIGITS_MAX: Final = 6
"""More digits than these are no number of processes."""

EVERYWHERE: Final = MappingProxyType({"deterministic": "everywhere"})
"""What the machine of a training states if every x86-64 processor gives its weights."""


def threads() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched_processes() -> int:
    """The number of processes that torchrun started to train together; 1 without it.

    Raises UsageError if the environment is not as torchrun sets it.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    number, missing = _number(size), [name for name in SET_BY_TORCHRUN if name not in os.environ]
    if number == 1:
        return 1
    if not number:
        found = "no number of processes"
    elif missing:
        found = f"{', '.join(missing)} not set"
    elif (rank := _number(os.environ["RANK"])) is None or rank >= number:
        found = f"RANK={shortened(os.environ['RANK'], 20)} is no number below it"
    else:
        return number
    todo = "Unset WORLD_SIZE, or start the processes with torchrun."
    raise UsageError(f"WORLD_SIZE={size}", found, f"WORLD_SIZE, {', '.join(SET_BY_TORCHRUN)}", todo)


def is_first_process() -> bool:
    """Whether this is the first process that torchrun started (RANK 0), or the only one, whatever its RANK is."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < DIGITS_MAX else None


def trained_on(machine: Mapping[str, str | int]) -> str:
    """The sentence about a model that was trained on ``machine``, whose keys are those of a manifest."""
    named = {"numpy": "NumPy", "torch": "PyTorch", "numba": "numba", "python": "Python"}
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    where = [f"{machine['processor']} ({machine['instructions']})", threads]
    if "processes" in machine:
        where.append(f"{machine['processes']} processes")
    if "gpu" in machine:
        where.append(str(machine["gpu"]))
    versions = [f"{says} {machine[name]}" for name, says in named.items() if name in machine]
    if machine.items() >= EVERYWHERE.items():
        another = "Its figures are the same on every x86-64 processor and with any number of threads; another"
    else:
        another = "Another processor, number of threads or"
    return (
        f"Trained on {', '.join(where)}, with {', '.join(versions)}. {another} version can train slightly different "
        "weights; everything after training is the same on every machine."
    )


def processor() -> str:
    """The name of the processor of this machine, as it states it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
