"""Speed benchmarks, each compared with a named peer or the machine's limit in the same run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.errors import UsageError
from deploytool.bench.speed.check import check
from deploytool.bench.speed.commands import commands
from deploytool.bench.speed.gpu import gpu
from deploytool.bench.speed.memory import memory
from deploytool.bench.speed.program import machine
from deploytool.bench.speed.readers import readers
from deploytool.bench.speed.simulator import large, simulator
from deploytool.bench.speed.training import training

BENCHMARKS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {
        "simulator": simulator,
        "large": large,
        "gpu": gpu,
        "training": training,
        "memory": memory,
        "check": check,
        "readers": readers,
        "commands": commands,
    }
)


def bench(what: str, root: Path | None = None) -> dict[str, Any]:
    """The tables of the benchmark ``what``, or of all. Raises UsageError if it does not exist.

    The benchmark of commands takes N-MNIST from the folder ``root``.
    """
    if what != "all" and what not in BENCHMARKS:
        known = f"one of {', '.join(BENCHMARKS)}, claims, or nothing for all; or a network"
        raise UsageError("bench", f"found {what!r}", known)
    every: Mapping[str, Callable[[], Any]] = {**BENCHMARKS, "commands": partial(commands, root)}
    chosen = every if what == "all" else {what: every[what]}
    return {"cores": os.cpu_count(), "machine": machine(), **{name: run() for name, run in chosen.items()}}
