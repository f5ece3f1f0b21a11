"""The open questions about the chip: what no document says, asked of a device by a network whose output is the answer.

Each question has an answer that deploytool assumes, which is the emulator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.recording import Recording
from deploytool.run.selftest.networks import alone, another, events, layer, program

ONE: Final[Shape] = (1, 1, 1)
TWO: Final[Shape] = (2, 1, 1)
REPEATS: Final = 5
"""How often an order is asked, to see whether it varies."""


@dataclass(frozen=True)
class Probe:
    """A program, its samples, and what their recording says."""

    program: Program
    streams: tuple[EventStream, ...]
    answer: Callable[[Recording], str]


@dataclass(frozen=True)
class Question:
    """What is ``asked`` and what deploytool assumes. ``probe(chip, core)`` asks it, of every core if ``each_core``."""

    asks: str
    assumed: str
    probe: Callable[[str, int], Probe]
    each_core: bool = False


def _by_counts(answers: Mapping[Any, str]) -> Callable[[Recording], str]:
    """The answer in ``answers`` {output counts, sample after sample: answer} for the counts of a recording."""

    def answer(recording: Recording) -> str:
        counts = tuple(recording.output_counts.ravel().tolist())
        return answers.get(counts, f"neither: output counts {', '.join(map(str, counts))}")

    return answer


def _threshold(chip: str, core: int) -> Probe:
    only = alone(chip, core, layer([[[[5]]]], ONE, ONE))
    four = events(ONE, np.zeros((4, 3), int))
    return Probe(only, (four,), _by_counts({(4,): "at V >= threshold", (3,): "at V > threshold"}))


def _overflow(chip: str, core: int) -> Probe:
    """V = 32767 + 100, threshold 32640; then 256 times 127. What is left of the first sum decides on a second spike."""
    high = layer([[[[100]], [[127]]]], TWO, ONE, threshold=32640, v_init=32767)
    sent = events(TWO, np.array([[0, 0, 0]] + [[1, 0, 0]] * 256))
    found = {(1,): "V stays at 32767", (2,): "V has more bits", (0,): "V wraps to negative values"}
    return Probe(alone(chip, core, high), (sent,), _by_counts(found))


ORDER: Final = ("features ascend", "columns ascend", "rows ascend", "row by row", "all features of a place together")
OTHERWISE: Final = ("features descend", "columns descend", "rows descend", "column by column", "feature by feature")


def _order(chip: str, core: int) -> Probe:
    """One event makes 2x2 neurons of two features fire. Five judges each fire if one of two of them was first."""
    burst = layer(np.full((2, 1, 2, 2), 5), ONE, (2, 2, 2), [Route("judge")], padding=(1, 1))
    first = [(0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 1), (1, 0, 0)]
    second = [(1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 0), (0, 0, 1)]
    weights = np.zeros((5, 2, 2, 2))
    for judge, (early, late) in enumerate(zip(first, second, strict=True)):
        weights[judge][early], weights[judge][late] = 5, -5
    layers = {"burst": burst, "judge": layer(weights, (2, 2, 2), (5, 1, 1))}
    asked = program(chip, layers, [core, another(core)], [Route("burst")])
    return Probe(asked, tuple(events(ONE, np.zeros((1, 3), int)) for _ in range(REPEATS)), _order_of)


def _order_of(recording: Recording) -> str:
    judged = recording.output_counts
    if not (judged == judged[0]).all():
        return "varies from run to run"
    return ", ".join(yes if one else no for one, yes, no in zip(judged[0], ORDER, OTHERWISE, strict=True))


def _same_time(chip: str, core: int) -> Probe:
    """Two events of one time, +6 and -6, in both orders."""
    only = alone(chip, core, layer([[[[6]], [[-6]]]], TWO, ONE, floor=-6))
    rows = np.array([(7, 0, 0, 0), (7, 1, 0, 0)], EVENT)
    streams = tuple(EventStream(each.copy(), TWO, 1000) for each in (rows, rows[::-1]))
    found = {(1, 0): "as they were sent", (1, 1): "lower features first", (0, 0): "higher features first"}
    return Probe(only, streams, _by_counts(found))


def _merge(chip: str, core: int) -> Probe:
    """One event reaches two cores through a third one; the first sends +5, the second -5 to ``core``."""
    low, high = sorted((another(core), another(core, another(core))))
    source = another(core, low, high)
    relay = layer([[[[5]]]], ONE, ONE, [Route("plus"), Route("minus")])
    plus = layer([[[[5]]], [[[0]]]], ONE, TWO, [Route("sum")])
    minus = layer([[[[0]]], [[[5]]]], ONE, TWO, [Route("sum")])
    layers = {"relay": relay, "plus": plus, "minus": minus, "sum": layer([[[[5]], [[-5]]]], TWO, ONE)}
    asked = program(chip, layers, [source, low, high, core], [Route("relay")])
    found = {(1,) * REPEATS: "the source's first destination first", (0,) * REPEATS: "its second destination first"}
    return Probe(asked, tuple(events(ONE, np.zeros((1, 3), int)) for _ in range(REPEATS)), _by_counts(found))


def _monitored(chip: str, core: int) -> Probe:
    """The spikes that one event causes in 2x2 neurons of two features, as they arrive at the host."""
    burst = layer(np.full((2, 1, 2, 2), 5), ONE, (2, 2, 2), padding=(1, 1))
    emitted = [(c, y, x) for y in range(2) for x in range(2) for c in range(2)]

    def answer(recording: Recording) -> str:
        orders = [
            recording.spikes["layer"][recording.spikes["layer"]["sample"] == i][list("cyx")].tolist()
            for i in range(len(recording))
        ]
        if any(order != orders[0] for order in orders):
            return "varies from run to run"
        return "row by row, features together" if orders[0] == emitted else f"(feature, y, x) = {orders[0]}"

    one = tuple(events(ONE, np.zeros((1, 3), int)) for _ in range(REPEATS))
    return Probe(alone(chip, core, burst), one, answer)


def _leak(chip: str, core: int) -> Probe:
    """Ten ticks of a clock of 100 Hz with a bias of 2 and no input: 2 4 6>1 3 5>0 2 4 6>1 3 5>0."""
    biased = replace(layer([[[[5]]]], ONE, ONE), bias=np.array([2], np.int16))
    clocked = replace(alone(chip, core, biased), slow_clock_hz=100)
    silence = EventStream(np.empty(0, EVENT), ONE, 105_000)
    found = {(4,): "every tick adds the bias, and fires", (0,): "no leak, or no neuron fires at a tick"}
    return Probe(clocked, (silence,), _by_counts(found))


QUESTIONS: Final[Mapping[str, Question]] = MappingProxyType(
    {
        "firing": Question("When does a neuron fire?", "at V >= threshold", _threshold, each_core=True),
        "overflow": Question("What happens above 32767?", "V stays at 32767", _overflow),
        "core-order": Question(
            "In which order do the spikes of one event leave a core (cores 0 and 1 have parallel lanes)?",
            ", ".join(ORDER),
            _order,
            each_core=True,
        ),
        "leak": Question(
            "Does the slow clock add the bias (sources conflict about cores 0 and 1)?",
            "every tick adds the bias, and fires",
            _leak,
            each_core=True,
        ),
        "equal-times": Question("In which order are events of one time processed?", "as they were sent", _same_time),
        "merge-order": Question(
            "Of two sources of one core, which one's spikes arrive first?",
            "the source's first destination first",
            _merge,
        ),
        "monitor-order": Question(
            "In which order do monitored spikes of one event arrive?", "row by row, features together", _monitored
        ),
    }
)
"""{id: question} that any target can be asked. `sensor` has the one about the layer of the sensor."""
