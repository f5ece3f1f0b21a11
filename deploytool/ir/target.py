"""The Target protocol, and the choice of what a run records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording


@dataclass(frozen=True)
class Watch:
    """Selects what a run records.

    Spikes are counted in ``layers`` (None: all layers) and always in the outputs. For the first ``rasters`` samples the
    single spikes of these layers and of "input" are kept too. ``extremes`` also measures the lowest and highest V, with
    a slower loop.
    """

    layers: tuple[str, ...] | None = None
    rasters: int = 0
    extremes: bool = False


ALL_LAYERS: Final = Watch()
"""Records spike counts of all layers, and nothing else."""


class Target(Protocol):
    """Runs a Program: the simulator, the emulator or a board. tests/contract.py tests this contract."""

    @property
    def name(self) -> str:
        """The name of the target: "emulator", or a board such as "speck2edevkit:0"."""
        ...

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        """The recording of ``program`` on each of ``streams``. The state is reset before each stream.

        Raises UnsupportedError if the target cannot run this program or cannot measure what ``watch`` asks for,
        InputError for streams that do not match its input, and TargetError if events were lost.
        """
        ...
