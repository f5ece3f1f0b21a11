"""The emulator: runs what would be flashed, core by core, in the chip's integers, with its routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.run.record.checks import check_mapped, check_sendable
from deploytool.run.targets.processor import CPU, run_events


class Emulator:
    """A Target that stands for the chip. Every layer is a core with its own queue of events, worked off in order.

    ``threads`` share the samples on the CPU, or a GPU ("cuda") is the ``device``; the result depends on neither.
    It refuses what the chip would not get: a program without cores, and events whose router words would wrap around.
    """

    name = "emulator"

    def __init__(self, threads: int = 1, tick: Tick = no_progress, device: str = CPU) -> None:
        self.threads = threads
        self.tick = tick
        self.device = device

    def run(
        self, program: Program, streams: Iterable[EventStream], watch: Sequence[str] | None = None, rasters: int = 0
    ) -> Recording:
        """See `deploytool.ir.program.Target`. Raises UnsupportedError when ``program`` is not mapped for a chip."""
        check_mapped(program)
        return run_events(
            self.device, program, streams, "emulator", watch, rasters, self.threads, self.tick, check_sendable
        )
