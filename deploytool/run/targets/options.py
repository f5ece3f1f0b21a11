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


OWN_PACE: Final = 1.0


@dataclass(frozen=True)
class OnBoard:
    """How a board is used. ``pace`` is how much faster than recorded events are sent; None: as fast as it takes them.

    ``power``: measure the power of every rail, where the kit can.
    """

    pace: float | None = OWN_PACE
    power: bool = True


AS_RECORDED: Final = OnBoard()


@dataclass(frozen=True)
class Options:
    """How a target runs.

    Either ``threads`` of the CPU share the samples, or ``device`` is a GPU. ``tick`` is called for every sample.
    ``configure`` returns the configuration for a board; it is None if there can be no board.
    ``time_steps`` and ``bins`` (steps of equal time or of equal counts of events) are for a target that runs in time
    steps. They are the only options that affect a result. ``board`` is for a board.
    """

    configure: Configure | None = None
    threads: int = 1
    tick: Tick = no_progress
    device: str = CPU
    time_steps: int | None = None
    bins: Bins = "time"
    board: OnBoard = AS_RECORDED


DEFAULTS: Final = Options()
