"""A job: the settings of a run. Any stretch of its samples can be run separately, on any machine."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from deploytool.base.errors import UnsupportedError, UsageError
from deploytool.base.memory import OPTION, allowed_in_words
from deploytool.ir.events import Bins, EventStream, count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import Recording, Setup
from deploytool.ir.target import ALL_LAYERS, Watch
from deploytool.run.jobs.perturbation import Perturbation, perturb_program, perturb_stream
from deploytool.run.record.activity import updates_of_neurons
from deploytool.run.record.checks import check_stream
from deploytool.run.targets.options import OWN_PACE, OnBoard, Options
from deploytool.run.targets.table import check_time_steps, kind_of, make_target, options_of


@dataclass(frozen=True)
class Job:
    """The settings for all samples of a run: target, time steps, what to record, perturbation.

    ``time_steps`` is None for a target that is event-driven; ``bins`` says whether steps are of equal time or of equal
    counts of events. Rasters are counted from the first sample of the whole job. ``perturbation`` changes the program
    and every sample. ``pace`` is a board's, as in `OnBoard`; ``repeat`` numbers equal jobs. Raises UsageError for
    options that exclude each other.
    """

    on: str
    time_steps: int | None = None
    watch: Watch = ALL_LAYERS
    perturbation: Perturbation | None = None
    bins: Bins = "time"
    pace: float | None = OWN_PACE
    repeat: int = 0

    def __post_init__(self) -> None:
        kind, given = kind_of(self.on), f"given with --on {self.on}"
        check_time_steps(self.on, self.time_steps)
        if self.bins != "time" and not kind.time_steps:
            raise UsageError("--bins", given, options_of(lambda kind: kind.time_steps))
        if self.watch.extremes and not kind.extremes:
            raise UsageError("--extremes", given, options_of(lambda kind: kind.extremes))
        if self.pace != OWN_PACE and kind.computes:
            raise UsageError("--pace", given, options_of(lambda kind: not kind.computes))
        if self.perturbation and not kind.computes:
            raise UsageError("--perturb", given, options_of(lambda kind: kind.computes))

    @property
    def asked(self) -> dict[str, Any]:
        """The part of a recording's key besides program and samples. It must not change: existing stores rely on it."""
        layers = self.watch.layers
        asked: dict[str, Any] = {
            "on": self.on,
            "watch": None if layers is None else sorted(layers),
            "rasters": self.watch.rasters,
        }
        if self.time_steps is not None:
            asked["time_steps"] = self.time_steps
        if self.bins != "time":
            asked["bins"] = self.bins
        if self.watch.extremes:
            asked["extremes"] = True
        if self.perturbation is not None:
            asked["perturbation"] = asdict(self.perturbation)
        if self.pace != OWN_PACE:
            asked["pace"] = self.pace
        if self.repeat:
            asked["repeat"] = self.repeat
        return asked

    def _setup(self, program: Program) -> Setup:
        return Setup(
            network=program.graph_digest,
            program=program.digest,
            arithmetic=program.arithmetic,
            time_steps=self.time_steps,
            bins=self.bins,
            perturbation=self.perturbation.says if self.perturbation else "",
        )

    def run(self, program: Program, streams: Iterable[EventStream], first: int, options: Options) -> Recording:
        """The recording of ``program`` on ``streams``, the samples of the job from number ``first`` on.

        Raises as `Target.run` does.
        """
        executed = program if self.perturbation is None else perturbed(program, self.perturbation)
        sent = _Sent(executed, streams, first, self.perturbation)
        target = make_target(
            self.on, replace(options, time_steps=self.time_steps, bins=self.bins, board=OnBoard(self.pace))
        )
        watch = replace(self.watch, rasters=max(0, self.watch.rasters - first))
        try:
            recording = target.run(executed, sent, watch)
        except MemoryError:
            found = "the spikes of some of the samples do not fit into memory"
            todo = (
                "If neurons fire at nearly every event, thresholds are too small for the weights; otherwise use fewer "
                f"--rasters, --watch fewer layers, or allow more with {OPTION}."
            )
            raise UnsupportedError(f"--on {self.on}", found, allowed_in_words(), todo) from None
        spikes = {INPUT: sent.counts, **{name: maps.sum(axis=0) for name, maps in recording.counts.items()}}
        updates = updates_of_neurons(executed, spikes)
        activity = {name: replace(known, updates=updates.get(name)) for name, known in recording.activity.items()}
        return replace(
            recording,
            durations_us=np.array(sent.durations_us, np.int64),
            activity=activity,
            setup=self._setup(program),
        )


@lru_cache(maxsize=1)
def perturbed(program: Program, perturbation: Perturbation) -> Program:
    """The perturbed program, cached for all stretches of samples."""
    return perturb_program(program, perturbation)


@dataclass(eq=False)
class _Sent:
    """Iterates over perturbed streams and adds up the events sent."""

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

    def __length_hint__(self) -> int:
        return operator.length_hint(self.streams, 0)
