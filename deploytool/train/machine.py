"""The machine and the versions that a training depends on: other ones can give slightly different weights."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Final

import torch

from deploytool.base.machine import EVERYWHERE, launched_processes, processor
from deploytool.recipe import TrainSection

PACKAGES: Final = ("numpy", "torch", "numba")
"""The libraries that compute in training."""


def machine(spec: TrainSection) -> dict[str, str | int]:
    """The processor, the instructions and the number of threads that this process trains with, and the versions.

    ``gpu`` is stated if torch used one, ``processes`` if torchrun started several, and ``deterministic`` if ``spec``
    asks for the same weights everywhere.
    """
    found: dict[str, str | int] = {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
    if (processes := launched_processes()) > 1:
        found["processes"] = processes
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found["gpu"] = torch.cuda.get_device_name()
    if spec.deterministic == "everywhere":
        found |= EVERYWHERE
    return {**found, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
