"""A job: what a run does with every sample. Any stretch of the samples can be run by itself, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Final

import numpy as np

from deploytool.base.errors import UsageError
from deploytool.ir.events import EventStream, count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import Recording
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.jobs.perturbation import Perturbation, perturb_program, perturb_stream
from deploytool.run.record.activity import updates_of_neurons
from deploytool.run.record.checks import check_mapped, check_sendable, check_stream
from deploytool.run.targets.processor import EVENT_DRIVEN, run_events
from deploytool.run.targets.table import Options, make_target

QUANTISED: Final = "quantised"


@dataclass(frozen=True, eq=False)
class Job:
    """Runs ``program`` ``on`` a target, or clock-driven ("quantised") in ``time_steps``, over samples.

    ``watch`` and ``rasters`` are those of `Target.run`, rasters counted from the first sample of the whole job.
    With ``extremes`` the lowest and highest V are measured, which takes the slower loop. ``perturbation`` is applied
    to the program and to every sample. Raises UsageError for what does not go together.
    """

    program: Program
    on: str
    time_steps: int | None = None
    watch: tuple[str, ...] | None = None
    rasters: int = 0
    extremes: bool = False
    perturbation: Perturbation | None = None

    def __post_init__(self) -> None:
        if self.on == QUANTISED and self.time_steps is None:
            raise UsageError("--on quantised", "no number of time steps", "--time-steps N")
        if self.extremes and self.on not in EVENT_DRIVEN:
            raise UsageError("--extremes", f"given with --on {self.on}", " or ".join(EVENT_DRIVEN))
        if self.perturbation and self.on not in (*EVENT_DRIVEN, QUANTISED):
            raise UsageError("--perturb", f"given with --on {self.on}", "a target that computes, not a board")

    @cached_property
    def executed(self) -> Program:
        """The program that is run: perturbed, where that was asked."""
        return self.program if self.perturbation is None else perturb_program(self.program, self.perturbation)

    def run(self, streams: Iterable[EventStream], first: int, options: Options) -> Recording:
        """What came out for ``streams``, which are the samples of the job from number ``first`` on.

        Raises as `Target.run` does.
        """
        sent = _Sent(self.executed, streams, first, self.perturbation)
        recording = self._runner(options)(sent, max(0, self.rasters - first))
        spikes = {INPUT: sent.counts, **{name: maps.sum(axis=0) for name, maps in recording.counts.items()}}
        updates = updates_of_neurons(self.executed, spikes)
        activity = {name: replace(known, updates=updates.get(name)) for name, known in recording.activity.items()}
        return replace(
            recording,
            durations_us=np.array(sent.durations_us, np.int64),
            activity=activity,
            perturbation=self.perturbation.says if self.perturbation else "",
        )

    def _runner(self, options: Options) -> Callable[[Iterable[EventStream], int], Recording]:
        """What runs (streams, rasters)."""
        if self.on == QUANTISED:
            steps, threads, tick = self.time_steps or 0, options.threads, options.tick
            return lambda streams, rasters: run_clocked(
                self.executed, streams, steps, True, self.watch, rasters, threads, tick
            )
        if self.extremes:
            return partial(self._measured, options)
        target = make_target(self.on, options)
        return lambda streams, rasters: target.run(self.executed, streams, self.watch, rasters)

    def _measured(self, options: Options, streams: Iterable[EventStream], rasters: int) -> Recording:
        """The recording by the loop that keeps track of the lowest and highest V."""
        program, on_chip = self.executed, self.on == "emulator"
        if on_chip:
            check_mapped(program)
        return run_events(
            options.device,
            program,
            streams,
            "emulator" if on_chip else "simulator",
            self.watch,
            rasters,
            options.threads,
            options.tick,
            check_sendable if on_chip else check_stream,
            vectors=False,
        )


@dataclass(eq=False)
class _Sent:
    """Streams on their way into a run: perturbed, and what is sent summed up in passing."""

    program: Program
    streams: Iterable[EventStream]
    first: int
    perturbation: Perturbation | None
    durations_us: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.program.input_shape, np.int64)

    def __iter__(self) -> Iterator[EventStream]:
        for number, whole in enumerate(self.streams, self.first):
            stream = whole if self.perturbation is None else perturb_stream(whole, self.perturbation, number)
            check_stream(self.program, stream)
            self.counts += count(stream.events, stream.shape)
            self.durations_us.append(stream.duration_us)
            yield stream
