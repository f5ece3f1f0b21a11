"""The verb calibrate-chip: which assumptions of the emulator explain how recordings of a chip differ from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UnsupportedError, UsageError
from deploytool.base.numbers import percent, rounded
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import load_recording
from deploytool.store.artifact import Artifact, Store
from deploytool.store.cache import StageCache
from deploytool.workflow.sources.samples import SampleSource
from deploytool.workflow.stored.replay import DataPlace, ReplayError, streams_of

if TYPE_CHECKING:
    from deploytool.run.jobs.assumptions import Assumption
    from deploytool.validate.calibration import DropRate, Score

DRAWS: Final = 9
"""Draws of a random assumption. The number is odd, so that their median is a count."""
DROPS: Final = (0.002, 0.005, 0.01, 0.03, 0.1, 0.2)
"""The shares of lost input events at which predictions are drawn."""
HALVES: Final = 4
"""The smallest number of samples that is divided by load."""
SHOWN: Final = 16
"""The number of assumptions in the table of a terminal."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured: ``counts`` (S, N) of ``layers``, one after the other, and the ``streams`` that were sent."""

    program: Program
    layers: tuple[str, ...]
    counts: Array
    streams: Sequence[EventStream]

    def of(self, samples: Array) -> Measured:
        """The samples with these numbers alone."""
        return replace(self, counts=self.counts[samples], streams=[self.streams[index] for index in samples])


@dataclass(frozen=True)
class Loss:
    """The estimated loss of input events in samples of ``events_per_ms`` (lowest, highest)."""

    samples: int
    events_per_ms: tuple[float, float]
    rate: DropRate | None

    def as_json(self) -> dict[str, Any]:
        """It as plain values."""
        rate = self.rate
        return {
            "samples": self.samples,
            "events_per_ms": [rounded(value) for value in self.events_per_ms],
            "lost_percent": rate and rounded(rate.percent),
            "lost_95_percent": rate and [rounded(rate.low), rounded(rate.high)],
            "dispersion": rate and rounded(rate.dispersion),
        }


@dataclass(frozen=True)
class Calibration:
    """What explains the difference ``now`` (% pooled) of recordings from the emulator: ``scores``, the best first.

    ``losses`` are of all samples and, if there are enough, of the half with less and the half with more load.
    """

    recordings: tuple[str, ...]
    layers: tuple[str, ...]
    samples: int
    now: float
    says: str
    scores: tuple[Score, ...]
    losses: tuple[Loss, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "recordings": list(self.recordings),
            "layers": list(self.layers),
            "samples": self.samples,
            "difference_percent": rounded(self.now),
            "conclusion": self.says,
            "assumptions": [
                {
                    "assumption": each.id,
                    "says": each.says,
                    "verdict": each.verdict,
                    "difference_percent": rounded(each.difference),
                    "expected_percent": rounded(each.expected),
                    "gain_percent": rounded(each.gain),
                    "gain_99_percent": each.interval and [rounded(value) for value in each.interval],
                    "samples_better": each.better,
                    "samples_worse": each.worse,
                }
                for each in self.scores
            ],
            "events_lost": [each.as_json() for each in self.losses],
        }

    def for_terminal(self) -> dict[str, Any]:
        """The conclusion, and the best assumptions in a table of 60 columns."""
        hidden = len(self.scores) - SHOWN
        return {
            "recordings": list(self.recordings),
            "layers": list(self.layers),
            "samples": self.samples,
            "difference now": percent(self.now),
            "assumptions": [
                {
                    "assumption": each.id,
                    "with_%": each.difference,
                    "gain, 99_%": _span(each.interval),
                    "verdict": each.verdict,
                }
                for each in self.scores[:SHOWN]
            ],
            **({"not shown": f"{hidden} with larger differences, see --json"} if hidden > 0 else {}),
            "events lost": [
                {
                    "events_per_ms": "{:.3g} to {:.3g}".format(*each.events_per_ms),
                    "samples": each.samples,
                    "lost_%": each.rate and each.rate.percent,
                    "95_%": _span((each.rate.low, each.rate.high) if each.rate else None),
                }
                for each in self.losses
            ],
            "conclusion": self.says,
        }


def calibrate_chip(
    cache: StageCache, recordings: Sequence[str], place: DataPlace, source: SampleSource | None, limit: int
) -> Calibration:
    """What explains the differences of ``recordings`` from the emulator, from their first ``limit`` samples.

    The samples are found where the recordings say, or at ``place``, or they are those of ``source``. Raises UsageError
    for recordings of different programs and for samples that are not found.
    """
    artifacts = [cache.store.get(name, "recording") for name in recordings]
    measured = _together([_measured(cache.store, each, place, source) for each in artifacts], recordings)
    names = tuple(artifact.name for artifact in artifacts)
    return calibrate(cache, names, measured.of(np.arange(min(limit, len(measured.streams)))))


def calibrate(cache: StageCache, names: tuple[str, ...], measured: Measured) -> Calibration:
    """What explains the difference of ``measured`` from the emulator."""
    from deploytool.run.jobs.assumptions import assumptions, dropped
    from deploytool.validate.calibration import conclusion, difference, ranked, score

    plain, tried = _predicted(None, measured)[0], list(assumptions(measured.program))
    steps, drawn, scores, medians = len(DROPS) + len(tried) + 1, {}, [], {}
    with cache.messages.progress("calibrate", "change") as tick:
        for number, share in enumerate(DROPS, 1):
            drawn[share] = _predicted(dropped(share), measured)
            tick(number, steps, "events lost")
        losses = tuple(_losses(measured, plain, drawn))
        rate = losses[0].rate
        lost = [dropped(rate.percent / 100)] if rate and rate.percent else []
        for number, each in enumerate([*tried, *lost], len(DROPS) + 1):
            draws = _predicted(each, measured)
            found = score(measured.counts, plain, draws, each.id, each.says)
            scores.append(found.with_rate(rate) if each in lost and rate else found)
            medians[each.id] = np.median(draws, axis=0)
            tick(number, steps, each.id)
    best_first = ranked(measured.counts, scores, medians)
    now = difference(measured.counts, plain)
    says = conclusion(now, best_first, len(measured.streams))
    return Calibration(names, measured.layers, len(measured.streams), now, says, best_first, losses)


def knows_samples(store: Store, name: str) -> bool:
    """Whether the recording called ``name`` says of which samples it is, so that only their place may be missing."""
    imported = store.get(name, "recording").manifest.recipe.get("imported")
    return imported is None or str(imported.get("samples_of")).startswith("recording-")


def _span(interval: tuple[float, float] | None) -> str:
    """An interval in %, with fewer decimals if it is far from 0."""
    if interval is None:
        return "-"
    decimals = 2 if max(map(abs, interval)) < 10 else 1
    return " to ".join(f"{value + 0:.{decimals}f}" for value in interval)


def _predicted(assumption: Assumption | None, measured: Measured) -> Array:
    """The counts (D, S, N) that the emulator has with ``assumption``, once for each draw."""
    from deploytool.run.jobs.assumptions import counts_with

    return counts_with(assumption, measured.program, measured.streams, measured.layers, DRAWS)


def _losses(measured: Measured, plain: Array, drawn: Mapping[float, Array]) -> Iterator[Loss]:
    """The loss in all samples, then in the half with less and in the half with more events per ms."""
    from deploytool.validate.calibration import drop_rate

    load = np.array([1000 * len(stream.events) / stream.duration_us for stream in measured.streams])
    by_load = np.argsort(load, kind="stable")
    groups = [by_load]
    if len(load) >= HALVES:
        groups += np.array_split(by_load, 2)
    for group in groups:
        part = {share: draws[:, group] for share, draws in drawn.items()}
        rate = drop_rate(measured.counts[group], plain[group], part)
        yield Loss(len(group), (float(load[group].min()), float(load[group].max())), rate)


def _measured(store: Store, artifact: Artifact, place: DataPlace, source: SampleSource | None) -> Measured:
    """The counts of the recording ``artifact``, and what was sent. Raises UsageError for what is missing."""
    digest = artifact.manifest.inputs.get("program")
    mapped = None if digest is None else store.by_digest(digest)
    if mapped is None:
        found = "made without a program" if digest is None else "its program is not in the store"
        raise UsageError(artifact.name, found, "a recording of a program in the store", "Import it with --program.")
    program, recording = load_program(mapped.path), load_recording(artifact.path)
    if program.arithmetic == "float32":
        raise UnsupportedError(
            artifact.name, "a recording of a program in float32", "one of a program mapped for a chip"
        )
    try:
        streams = source.load(program.input_shape) if source else streams_of(store, artifact, program, place)
    except ReplayError as error:
        need = "--data FILE or --data FOLDER, the events that were sent"
        raise UsageError(artifact.name, "its input events were not found", need, str(error)) from None
    layers = tuple(layer for layer in program.parts if layer in recording.counts)
    if not layers:
        raise UsageError(artifact.name, "no layer of its program in it", "the counts of at least one")
    counts = [np.asarray(recording.counts[layer]).reshape(len(recording), -1) for layer in layers]
    return Measured(
        leading_to(program, layers), layers, np.concatenate(counts, axis=1), _matched(artifact.name, recording, streams)
    )


def _matched(where: str, recording: Recording, streams: Sequence[EventStream]) -> list[EventStream]:
    """The stream of each sample of ``recording``, by its name or the last part of it.

    Raises InputError for a sample that none or more than one is of.
    """
    if tuple(stream.name for stream in streams) == recording.samples:
        return list(streams)
    named: dict[str, list[EventStream]] = {}
    for stream in streams:
        for name in {stream.name, PurePath(stream.name).name}:
            named.setdefault(name, []).append(stream)
    found = [named.get(name) or named.get(PurePath(name).name, []) for name in recording.samples]
    for name, known in zip(recording.samples, found, strict=True):
        if len(known) != 1:
            some = f"{len(known) or 'no'} sample{'s' * (len(known) > 1)} with the name {name!r}"
            raise InputError(where, f"{some} in the data", "one for each sample", "Give the events that were sent.")
    return [stream for (stream,) in found]


def _together(parts: Sequence[Measured], names: Sequence[str]) -> Measured:
    """All samples of ``parts``. Raises UsageError unless they are of one program, with the same layers."""
    first = parts[0]
    for name, part in zip(names, parts, strict=True):
        if (part.program.digest, part.layers) != (first.program.digest, first.layers):
            need = "recordings of one program, with the same layers"
            raise UsageError(name, f"another program, or other layers, than {names[0]}", need)
    streams = [stream for part in parts for stream in part.streams]
    return replace(first, counts=np.concatenate([part.counts for part in parts]), streams=streams)


def leading_to(program: Program, layers: Sequence[str]) -> Program:
    """The layers of ``program`` whose spikes can reach ``layers``, which become its outputs."""
    needed = set(layers)
    while True:
        reached = {
            program.place_in(source)[0]
            for logical in needed
            for part in program.parts[logical]
            for source, _ in program.feeders(part)
        } - {"input"}
        if reached <= needed:
            break
        needed |= reached
    kept = {part for logical in needed for part in program.parts[logical]}
    return replace(
        program,
        input_routes=tuple(route for route in program.input_routes if route.to in kept),
        layers={
            name: replace(layer, routes=tuple(route for route in layer.routes if route.to in kept))
            for name, layer in program.layers.items()
            if name in kept
        },
        outputs=tuple(layers),
        core_of={name: core for name, core in program.core_of.items() if name in kept},
    )
