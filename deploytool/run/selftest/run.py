"""Runs the self-test on a device, core by core, against the emulator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import TargetError, UsageError
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EventStream, places_of
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.self_test import Answer, Case, SelfTest, Speed
from deploytool.ir.target import ALL_LAYERS, Target, Watch
from deploytool.run.selftest import sensor
from deploytool.run.selftest.known import CASES
from deploytool.run.selftest.networks import random_events
from deploytool.run.selftest.questions import QUESTIONS, Question
from deploytool.run.selftest.sensor import Sensing
from deploytool.run.targets.table import make_target

SENSOR: Final = "crop-or-pool"
OVERLOAD: Final = "overload"
SPREAD: Final = "spread"
TESTS: Final = (*CASES, *QUESTIONS, SENSOR, OVERLOAD, SPREAD)
"""The names of all tests, those of open questions after the known answers."""
BURST: Final = 1000
"""Input events of the test of overload, as fast as the device takes them."""
COPIES: Final = 3


@dataclass(frozen=True)
class Device:
    """A device under test: a target, and the same ``fast``, which sends events as fast as the device takes them."""

    name: str
    chip: str
    target: Target
    fast: Target


def run_selftest(
    device: Device, cores: Sequence[int], tests: Sequence[str] = TESTS, tick: Tick = no_progress
) -> SelfTest:
    """What ``device`` answers to ``tests`` on each of ``cores``; questions about the chip as a whole use the last core.

    Raises UsageError for an unknown test.
    """
    if unknown := [name for name in tests if name not in TESTS]:
        raise UsageError("--only", f"no test {unknown[0]!r}", f"one of {', '.join(TESTS)}")
    emulator = make_target("emulator")
    jobs = [(name, core) for core in cores for name in tests if _on_each(name) or core == cores[-1]]
    cases: list[Case] = []
    answers: list[Answer] = []
    speeds: list[Speed] = []
    spread = None
    for done, (name, core) in enumerate(jobs):
        tick(done, len(jobs), f"{name} on core {core}")
        if name in CASES:
            cases.append(_case(device, emulator, name, core))
        elif name == OVERLOAD:
            speed, answer = _overload(device, emulator, core)
            answers.append(answer)
            speeds += [speed] if speed else []
        elif name == SPREAD:
            spread = _spread(device, core)
        elif name == SENSOR:
            answers.append(_sensor(device, core))
        else:
            answers.append(_answer(device, name, QUESTIONS[name], core))
    return SelfTest(device.name, device.chip, tuple(cases), tuple(answers), tuple(speeds), spread)


def _on_each(name: str) -> bool:
    return name in CASES or name == OVERLOAD or (name in QUESTIONS and QUESTIONS[name].each_core)


def _case(device: Device, emulator: Target, name: str, core: int) -> Case:
    tests, make = CASES[name]
    known = make(device.chip, core)
    wanted = emulator.run(known.program, [known.stream], Watch(rasters=1))
    spikes = int(sum(counts.sum() for counts in wanted.counts.values()))
    try:
        found = device.target.run(known.program, [known.stream], Watch(rasters=1))
    except TargetError as error:
        return Case(name, core, tests, passed=False, says=str(error), spikes=spikes)
    says = first_difference(known.program, known.stream, wanted, found)
    return Case(name, core, tests, passed=not says, says=says, spikes=spikes)


def first_difference(program: Program, stream: EventStream, wanted: Recording, found: Recording) -> str:
    """The first difference between the spikes of two recordings of ``stream``, event by event; "" if there is none.

    Spikes belong to the input event before them. Their order within one event is not compared.
    """
    for name in program.parts:
        shape = program.map_of(name)
        keys = [_by_event(stream, recording.spikes[name], shape) for recording in (wanted, found)]
        each, counts = np.unique(np.concatenate(keys), return_inverse=True)
        number = [np.bincount(part, minlength=len(each)) for part in np.split(counts, [len(keys[0])])]
        if (different := np.flatnonzero(number[0] != number[1])).size:
            first = int(different[0])
            event, place = divmod(int(each[first]), int(np.prod(shape)))
            c, y, x = (int(at) for at in np.unravel_index(place, shape))
            core = program.core_of[program.parts[name][0]]
            return (
                f"{name} on core {core}: after input event {event} neuron (feature {c}, y {y}, x {x}) fires "
                f"{number[1][first]} times, the emulator's {number[0][first]} times"
            )
    return ""


def _by_event(stream: EventStream, spikes: Any, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """(N,): one number for the input event before each spike and its neuron."""
    event = np.searchsorted(stream.events["t"], spikes["t"], side="right") - 1
    return np.asarray(event * np.prod(shape) + places_of(spikes, shape), np.int64)


def _answer(device: Device, name: str, question: Question, core: int) -> Answer:
    probe = question.probe(device.chip, core)
    try:
        found = probe.answer(device.target.run(probe.program, probe.streams, Watch(rasters=len(probe.streams))))
    except TargetError as error:
        found = f"not as far as an answer: {error}"
    return Answer(name, core, question.asks, question.assumed, found)


def _sensor(device: Device, core: int) -> Answer:
    found = None
    if isinstance(device.target, Sensing):
        try:
            found = sensor.answer(device.target, device.chip, core)
        except TargetError as error:
            found = f"not as far as an answer: {error}"
    return Answer(SENSOR, core, sensor.ASKS, sensor.ASSUMED, found)


def _overload(device: Device, emulator: Target, core: int) -> tuple[Speed | None, Answer]:
    """How fast ``core`` takes events, and whether all of them had their effect."""
    _, make = CASES["weights"]
    program = make(device.chip, core).program
    burst = random_events(program.input_shape, BURST, seed=core, spacing_us=1)
    wanted = emulator.run(program, [burst]).counts["layer"]
    asks, assumed = "Does every event count at the highest rate?", "every event counts"
    started = time.perf_counter()
    try:
        recording = device.fast.run(program, [burst], ALL_LAYERS)
    except TargetError as error:
        return None, Answer(OVERLOAD, core, asks, assumed, str(error))
    seconds = float(recording.measured.get("seconds", [time.perf_counter() - started])[0])
    missing = int(np.abs(wanted - recording.counts["layer"]).sum())
    found = assumed if not missing else f"spike counts differ by {missing:,} of {int(wanted.sum()):,}"
    return Speed(core, len(burst), int(recording.synops[0]), seconds), Answer(OVERLOAD, core, asks, assumed, found)


def _spread(device: Device, core: int) -> float | None:
    """The largest difference between equal runs on ``core``, in % of their mean spikes; None if they failed."""
    _, make = CASES["weights"]
    known = make(device.chip, core)
    try:
        counts = device.target.run(known.program, [known.stream] * COPIES).counts["layer"][:]
    except TargetError:
        return None
    apart = max(int(np.abs(a - b).sum()) for i, a in enumerate(counts) for b in counts[i + 1 :])
    return float(100 * apart / max(counts.sum() / COPIES, 1))
