"""Run options of a target. Only the number of time steps affects results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import Bins
from deploytool.ir.program import Program

CPU: Final = "cpu"
CUDA: Final = "cuda"
DEVICES: Final = (CPU, CUDA)
"""The devices that can compute a run."""

Configure: TypeAlias = Callable[[Program], Mapping[str, Any]]
"""A function that returns the chip's configuration, in the vendor's terms, for a mapped program."""


@dataclass(frozen=True)
class Options:
    """How a target runs.

    ``threads`` of the CPU share the samples, or a GPU is the ``device``; ``tick`` is told of every sample.
    ``configure`` gives the configuration that a board is filled with, None where there can be no board.
    ``time_steps`` and ``bins``, of equal time or of equal counts of events, are those of a target that runs in time
    steps: the only options that a result depends on.
    """

    configure: Configure | None = None
    threads: int = 1
    tick: Tick = no_progress
    device: str = CPU
    time_steps: int | None = None
    bins: Bins = "time"


DEFAULTS: Final = Options()
