"""The target: what runs a Program, and what it is asked to keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording


@dataclass(frozen=True)
class Watch:
    """What a run keeps of every sample.

    Spikes of ``layers`` are counted, None being all of them, and those of the outputs always. Of the first ``rasters``
    samples every single spike of these layers, and of "input", is kept too. With ``extremes`` the lowest and highest V
    are measured, which takes a slower loop.
    """

    layers: tuple[str, ...] | None = None
    rasters: int = 0
    extremes: bool = False


ALL_LAYERS: Final = Watch()
"""The counts of all layers, and nothing more."""


class Target(Protocol):
    """What runs a Program: the simulator, the emulator, a board. Tests of the contract are in tests/contract.py."""

    @property
    def name(self) -> str:
        """What it is called: "emulator", or a board such as "speck2edevkit:0"."""
        ...

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        """What came out for each of ``streams``, state reset before each.

        Raises UnsupportedError when the target cannot run this program, or cannot measure what is asked, InputError
        for streams that do not fit it, and TargetError when events were lost.
        """
        ...
