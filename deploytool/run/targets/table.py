"""The targets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import UsageError
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.target import Target
from deploytool.run.targets.board import BOARDS, Board, Configure
from deploytool.run.targets.emulator import Emulator
from deploytool.run.targets.processor import CPU
from deploytool.run.targets.simulator import Simulator


@dataclass(frozen=True)
class Options:
    """How a target runs: ``threads`` and ``device`` of the simulator and the emulator, ``tick`` for all.

    ``configure`` gives the configuration that a board is filled with; None where there can be no board.
    """

    configure: Configure | None = None
    threads: int = 1
    tick: Tick = no_progress
    device: str = CPU


def _board(name: str, options: Options) -> Target:
    if options.configure is None:
        raise UsageError(name, "a board, where only what computes can run", "the simulator or the emulator")
    return Board(name, options.configure, options.tick)


TARGETS: Final[Mapping[str, Callable[[str, Options], Target]]] = MappingProxyType(
    {
        "simulator": lambda _, options: Simulator(options.threads, options.tick, options.device),
        "emulator": lambda _, options: Emulator(options.threads, options.tick, options.device),
        **dict.fromkeys(BOARDS, _board),
    }
)
"""{kind: what makes the target of that name}; a board's name is its kind and number, as in "speck2edevkit:0"."""


def make_target(name: str, options: Options) -> Target:
    """The target called ``name``: "simulator", "emulator", or a board such as "speck2edevkit:0".

    Raises UsageError for an unknown name, TargetError when the board or its driver is missing.
    """
    kind = name.partition(":")[0]
    if kind not in TARGETS:
        raise UsageError("target", f"no target {name!r}", f"one of {', '.join(TARGETS)}", "Boards: speck2edevkit:0.")
    return TARGETS[kind](name, options)
