"""Training that gives the same weights on every x86-64 processor. Nothing here loads torch before it is needed.

Of all that computes in training, only torch's own operations depend on the processor: on its instructions, and on the
number of threads among which a sum is divided. The compiled loops give the same bits everywhere.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import RecipeError, UsageError
from deploytool.base.machine import launched_processes
from deploytool.recipe import TrainSection

INSTRUCTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
)
"""Variables with which torch, its MKL and its oneDNN use the same instructions on all processors. Each reads its own
once, the first time that it computes."""

X86_64: Final = ("x86_64", "AMD64")


def problems(spec: TrainSection) -> Iterator[RecipeError]:
    """Why this machine cannot train ``spec`` as all others do, if it asks for that."""
    if spec.deterministic == "here":
        return
    where, found = "train.deterministic", "found 'everywhere'"
    if (kind := platform.machine()) not in X86_64:
        yield RecipeError(where, f"{found} on a processor of kind {kind or 'unknown'}", "x86-64, or 'here'")
    if (count := launched_processes()) > 1:
        yield RecipeError(where, f"{found} in {count} processes of torchrun", "one process, or 'here'")


def before_torch_is_loaded(spec: TrainSection) -> None:
    """Sets the instructions that torch will use if ``spec`` asks for those of all processors, and torch is not loaded.

    They hold for the whole process.
    """
    if spec.deterministic == "everywhere" and "torch" not in sys.modules:
        os.environ.update(INSTRUCTIONS)


@contextmanager
def same_everywhere(spec: TrainSection) -> Iterator[None]:
    """A context in which torch computes as on every x86-64 processor, if ``spec`` asks for that.

    Raises UsageError if torch was loaded before with other instructions.
    """
    if spec.deterministic == "here":
        yield
        return
    before_torch_is_loaded(spec)
    import torch

    stated = all(os.environ.get(name) == value for name, value in INSTRUCTIONS.items())
    loaded = torch.backends.cpu.get_cpu_capability()
    if not stated or loaded != "DEFAULT":
        variables = " ".join(f"{name}={value}" for name, value in INSTRUCTIONS.items())
        raise UsageError(
            "train.deterministic",
            f"found 'everywhere', but this process loaded PyTorch before, with the instructions {loaded}",
            "PyTorch with those of every x86-64 processor",
            f"Use the command deploytool, or start Python with {variables}.",
        )
    from deploytool.train.network.threads import sums_on_one_thread

    with sums_on_one_thread():
        yield
