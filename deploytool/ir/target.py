"""The target: what runs a Program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording


class Target(Protocol):
    """What runs a Program: the simulator, the emulator, a board. Tests of the contract are in tests/contract.py."""

    name: str

    def run(
        self, program: Program, streams: Iterable[EventStream], watch: Sequence[str] | None = None, rasters: int = 0
    ) -> Recording:
        """What came out for each of ``streams``, state reset before each; counts of the layers in ``watch``.

        ``watch`` None watches every layer; the outputs are always watched. Of the first ``rasters`` samples every
        single spike of the watched layers, and of "input", is kept too.
        Raises UnsupportedError when the target cannot run this program, TargetError when events were lost.
        """
        ...
