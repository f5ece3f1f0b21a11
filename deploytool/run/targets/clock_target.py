"""The target that runs a Program in time steps, as training does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import ALL_LAYERS, Watch
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.targets.options import DEFAULTS, Options


@dataclass(frozen=True)
class ClockTarget:
    """A clock-driven Target. It runs every Program; the rung is "torch" in float32."""

    time_steps: TimeSteps
    options: Options = DEFAULTS
    name: ClassVar[str] = "quantised"

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        """See `deploytool.ir.target.Target`. Raises UnsupportedError for delays that are not whole steps."""
        if watch.extremes:
            raise UnsupportedError(self.name, "asked to measure the lowest and highest V", "an event-driven target")
        return run_clocked(program, streams, self.time_steps, watch, self.options.threads, self.options.tick)
