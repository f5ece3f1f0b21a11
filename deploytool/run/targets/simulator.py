"""The simulator: runs any Program event by event, in float32 or in the chip's integers, without the chip's limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EventStream
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.recording import Recording
from deploytool.run.record.checks import check_stream
from deploytool.run.targets.processor import CPU, run_events


class Simulator:
    """A Target that runs every Program. ``threads`` share the samples on the CPU, or a GPU ("cuda") is the ``device``.

    The result depends on neither.
    """

    name = SIMULATOR

    def __init__(self, threads: int = 1, tick: Tick = no_progress, device: str = CPU) -> None:
        self.threads = threads
        self.tick = tick
        self.device = device

    def run(
        self, program: Program, streams: Iterable[EventStream], watch: Sequence[str] | None = None, rasters: int = 0
    ) -> Recording:
        """See `deploytool.ir.program.Target`."""
        return run_events(
            self.device, program, streams, "simulator", watch, rasters, self.threads, self.tick, check_stream
        )
