"""The reason for a difference in words: what a property was in both runs, and what it did to the neuron."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.cell import Cell
from deploytool.ir.divergence import LayerDivergence, Reason
from deploytool.ir.program import INPUT, STATE
from deploytool.ir.traffic import Traffic
from deploytool.validate.divergence.counterfactual import REFERENCE, TEST, Case, Property
from deploytool.validate.divergence.history import Subject, origin
from deploytool.validate.divergence.steps import hidden_by_step
from deploytool.validate.divergence.words import apart, counted, moment, neuron, number, times

STEPS_OF_ROUNDING: Final = 1
"""Rounding moves a value by less than one integer; calibration may round up or down."""
Identity: TypeAlias = tuple[int, ...]
"""(time or time step, flow, position) of an input event."""

LARGEST_WEIGHT: Final = np.iinfo(np.int8).max - 0.5
"""From here on an integer weight may be one that was cut to the range of int8."""
FLOAT32: Final = 1e-6
"""Relative difference of two real numbers that float32 cannot tell apart."""


CALLED: Final[Mapping[str, str]] = {
    "torch": "the torch run",
    "quantised": "the quantised run",
    "simulator": "the simulator",
    "emulator": "the emulator",
    "board": "the board",
}
"""The rungs in a sentence."""


@dataclass(frozen=True)
class Run:
    """One run of a sample: its ``name``, everything that flowed, and its ``role`` in the comparison."""

    name: str
    traffic: Traffic
    role: Literal["reference", "test"]

    @property
    def called(self) -> str:
        """The run in a sentence: ``the emulator``, or ``the test run`` if its name is more than that of a rung."""
        return CALLED.get(self.name, f"the {self.role} run")

    @property
    def introduced(self) -> str:
        """The run where it is first mentioned, with its whole name."""
        return CALLED.get(self.name, f"the {self.role} run (“{self.name}”)")


@dataclass(frozen=True, eq=False)
class Question:
    """One neuron whose difference is to be explained: the two ``runs`` and the ``case`` until the difference.

    ``whole`` is the case over the whole sample. ``properties`` explain the difference together; ``earlier`` are the
    differences of the layers before it.
    """

    runs: tuple[Run, Run]
    whole: Case
    case: Case
    properties: tuple[Property, ...]
    earlier: Mapping[str, LayerDivergence]

    @property
    def names(self) -> tuple[str, str]:
        """What the sentences call the two runs."""
        return self.runs[0].called, self.runs[1].called

    def unperturbed(self, side: int) -> Subject:
        """The neuron in the program of one run, before its perturbation."""
        return replace(self.case.subjects[side], program=self.runs[side].traffic.unperturbed)


@dataclass(frozen=True)
class Cause:
    """A ``reason``, what it is in words (``says``), and how to name the property that was exchanged (``exchanged``)."""

    reason: Reason
    says: str
    exchanged: str


def cause(question: Question, which: Property) -> Cause:
    """The cause that property ``which`` is."""
    return CAUSES[which](question)


def _inputs(question: Question) -> Cause:
    case, (a, b) = question.case, question.names
    when = _in_step if case.starts_us else _at_time
    lost, added, t = _first_input_difference(case)
    if not lost and not added:
        says = f"the input events at {moment(t)} arrive in another order in {b} than in {a}"
        return Cause("order of simultaneous events", says, "order of input events")
    identity, side = (lost or added)[0], REFERENCE if lost else TEST
    subject = case.subjects[side]
    sender = subject.sender(case.inputs[side], case.identities(side).index(identity))
    shape, source = subject.program.map_of(sender.layer), origin(subject.program, sender.layer)
    more = _other_events(case)
    if source != INPUT:
        says = f"{neuron(sender, shape)} fires {when(identity[0])} in {a if lost else b} only{more}"
        if (before := question.earlier.get(source)) and before.t_us is not None:
            says += f"; {source} itself first differs at {moment(before.t_us)}"
        return Cause("upstream", says, "input spikes")
    later = None if case.starts_us else _same_place_later(question.whole, identity, TEST if lost else REFERENCE)
    if later is not None:
        early, late = (a, b) if lost else (b, a)
        shift = f"comes {later - identity[0]:,} us later in {late}"
        says = f"the event of {neuron(sender, shape)} {when(identity[0])} in {early} {shift}{more}"
        return Cause("shifted input event", says, "input events")
    if lost:
        says = f"the event of {neuron(sender, shape)} {when(identity[0])} is missing in {b}{more}"
        return Cause("lost input event", says, "input events")
    says = f"{b} has an event of {neuron(sender, shape)} {when(identity[0])} that {a} does not have{more}"
    return Cause("added input event", says, "input events")


def _at_time(t_us: int) -> str:
    return f"at {moment(t_us)}"


def _in_step(step: int) -> str:
    return f"in time step {step + 1}"


def _first_input_difference(case: Case) -> tuple[list[Identity], list[Identity], int]:
    """(events of the first differing time that only the reference got, that only the test got, this time or step)."""
    one, other = (case.identities(side) for side in (REFERENCE, TEST))
    if case.starts_us:
        one, other = sorted(one), sorted(other)
    both = min(len(one), len(other))
    index = next((i for i in range(both) if one[i] != other[i]), both)
    t = min(each[index][0] for each in (one, other) if index < len(each))
    now = [[row for row in each if row[0] == t] for each in (one, other)]
    return _without(now[0], now[1]), _without(now[1], now[0]), t


def _without(these: Sequence[Identity], those: Sequence[Identity]) -> list[Identity]:
    """``these`` without those that are in ``those``, each as often."""
    left = Counter(those)
    found = []
    for each in these:
        if left[each]:
            left[each] -= 1
        else:
            found.append(each)
    return found


def _same_place_later(case: Case, identity: Identity, side: int) -> int | None:
    """The time of the first later event at the position of ``identity`` that only ``side`` has."""
    only = _without(case.identities(side), case.identities(1 - side))
    return next((row[0] for row in only if row[0] > identity[0] and row[1:] == identity[1:]), None)


def _other_events(case: Case) -> str:
    """How many more input events of the neuron differ, as a clause."""
    one, other = (case.identities(side) for side in (REFERENCE, TEST))
    number = len(_without(one, other)) + len(_without(other, one))
    return f" (the first of {number:,} input events that only one run has)" if number > 1 else ""


def _weights(question: Question) -> Cause:
    case, (a, b) = question.case, question.names
    inputs = case.inputs[TEST]
    pairs = case.weights[REFERENCE][TEST], case.weights[TEST][TEST]
    real = [[subject.real(weight) for weight in each] for subject, each in zip(case.subjects, pairs, strict=True)]
    change = np.array(real[TEST]) - np.array(real[REFERENCE])
    base = [question.unperturbed(side) for side in (REFERENCE, TEST)]
    plain = [np.array([each.real(weight) for weight in each.weights(inputs)]) for each in base]
    varied = sum(float(np.abs(np.array(real[side]) - plain[side]).sum()) for side in (REFERENCE, TEST))
    reason: Reason = "rounding of weights" if _rounded_weights(base, plain) else "different weights"
    if varied > float(np.abs(plain[1] - plain[0]).sum()):
        reason = "perturbation of weights"
    taps = case.subjects[TEST].taps(inputs)
    total = dict.fromkeys(taps, 0.0)
    for tap, each in zip(taps, change.tolist(), strict=True):
        total[tap] += each
    largest = max(total, key=lambda tap: abs(total[tap]))
    index, arrived = taps.index(largest), taps.count(largest)
    shown = apart(real[REFERENCE][index], real[TEST][index])
    least = FLOAT32 * abs(total[largest])
    number_of = sum(abs(each) > least for each in total.values())
    _, channel, ky, kx = largest
    place = f"the weight of input feature {channel}, kernel row {ky}, column {kx}"
    if channel < 0:
        place = "the bias, which the slow clock adds,"
    one = f"{place} is {shown[0]} in {a} and {shown[1]} in {b}"
    said = f"{one} ({counted(arrived, 'event')} so far)"
    if number_of > 1:
        said = f"{number_of} weights differ{_effect(question, float(change.sum()), least)}; the largest change: {said}"
    return Cause(reason, said, "weights")


def _effect(question: Question, change: float, least: float) -> str:
    """What all weights that differ do to the sum of the inputs, as a clause."""
    inputs, (a, b) = f"the {len(question.case.inputs[TEST].causes):,} inputs so far", question.names
    if abs(change) <= least:
        return f", and their effects on the sum of {inputs} cancel"
    return f" and change the sum of {inputs} by {number(change, sign=True)} from {a} to {b}"


def _rounded_weights(base: Sequence[Subject], plain: Sequence[Array]) -> bool:
    """Whether rounding to integers explains all differences between the weights of two runs."""
    tolerance = _rounding(base) + FLOAT32 * np.abs(plain[0])
    cut = np.zeros(len(plain[0]), bool)
    for subject, values in zip(base, plain, strict=True):
        if _step(subject):
            cut |= np.abs(values) / _step(subject) >= LARGEST_WEIGHT
    return bool(_rounding(base)) and bool(np.all((np.abs(plain[1] - plain[0]) <= tolerance) | cut))


def _rounding(base: Sequence[Subject]) -> float:
    """By how much rounding may move a real value apart in two runs; 0 if both have the same integers, or float32."""
    steps = [_step(subject) for subject in base]
    return 0.0 if steps[0] == steps[1] else STEPS_OF_ROUNDING * sum(steps)


def _step(subject: Subject) -> float:
    """The real value of one integer; 0 in float32."""
    return 0.0 if subject.cell.numbers.kind == "float32" else subject.per_native / subject.unit


def _threshold(question: Question) -> Cause:
    cells, subjects = question.case.cells, question.case.subjects
    values = [subject.real(cell.threshold) for subject, cell in zip(subjects, cells, strict=True)]
    base = [question.unperturbed(side) for side in (REFERENCE, TEST)]
    plain = [subject.real(subject.cell.threshold) for subject in base]
    varied = sum(abs(value - each) for value, each in zip(values, plain, strict=True))
    steps = _rounding(base)
    reason: Reason = "different threshold"
    if varied > abs(plain[1] - plain[0]):
        reason = "perturbation of the threshold"
    elif steps and abs(plain[1] - plain[0]) <= steps + FLOAT32 * abs(plain[0]):
        reason = "rounding of the threshold"
    shown = apart(*values)
    says = f"the threshold of the neuron is {shown[0]} in {question.names[0]} and {shown[1]} in {question.names[1]}"
    return Cause(reason, says, "threshold")


def _v_init(question: Question) -> Cause:
    shown = apart(*_reals(question, lambda cell: cell.v_init))
    says = f"V starts at {shown[0]} in {question.names[0]} and at {shown[1]} in {question.names[1]}"
    return Cause("initial potential", says, "initial V")


def _floor(question: Question) -> Cause:
    (a, b), (one, other) = question.names, question.case.cells
    real = [subject.real(cell.floor or 0) for subject, cell in zip(question.case.subjects, (one, other), strict=True)]
    if one.floor is None or other.floor is None:
        with_floor, without = (b, a) if one.floor is None else (a, b)
        value = number(real[TEST] if one.floor is None else real[REFERENCE])
        says = f"{with_floor} keeps V at or above the floor {value}, and {without} has no floor"
    else:
        shown = apart(*real)
        says = f"the floor of V is {shown[0]} in {a} and {shown[1]} in {b}"
    return Cause("floor", f"{says}{_clamped(question)}", "floor")


def _clamped(question: Question) -> str:
    """How often, and when last, the floor held V up before the event, as a clause."""
    found = []
    for name, cell, moments in zip(question.names, question.case.cells, question.case.runs, strict=True):
        held = [each for each in moments if cell.floor is not None and each.after == cell.floor]
        if held:
            found.append(f"in {name} V was held at it {times(len(held))}, last at {moment(held[-1].t_us)}")
    return f" ({'; '.join(found)})" if found else ""


def _reset(question: Question) -> Cause:
    said = []
    for name, cell, subject in zip(question.names, question.case.cells, question.case.subjects, strict=True):
        subtracts = cell.reset == "subtract"
        said.append(
            f"{name} subtracts the threshold from V"
            if subtracts
            else f"{name} sets V to {number(subject.real(cell.v_reset))}"
        )
    return Cause("reset", f"after a spike, {said[0]} and {said[1]}", "reset rule")


def _at_most_one(question: Question) -> Cause:
    (a, b), (one, _) = question.names, question.case.cells
    once, often = (a, b) if one.at_most_one else (b, a)
    says = f"{once} fires at most once per input event, and {often} fires until V is below the threshold"
    return Cause("at_most_one", says, "number of spikes per event")


def _leak(question: Question) -> Cause:
    said = []
    for cell in question.case.cells:
        leak = cell.leak
        said.append("does not leak" if leak is None else f"leaks with a time constant of {leak.tau_us / 1000:g} ms")
    return Cause("leak", f"the neuron {said[0]} in {question.names[0]} and {said[1]} in {question.names[1]}", "leak")


def _numbers(question: Question) -> Cause:
    (a, b), case = question.names, question.case
    for name, cell, subject, moments in zip(question.names, case.cells, case.subjects, case.runs, strict=True):
        if cell.numbers.kind != "int16":
            continue
        limits = STATE.min * subject.per_native, STATE.max * subject.per_native
        held = [each for each in moments if each.after in limits]
        if held:
            limit, value = STATE.min if held[0].after < 0 else STATE.max, subject.real(held[0].after)
            says = f"V reaches the limit of int16 in {name} at {moment(held[0].t_us)}: it stays at {number(limit)}"
            says += "" if value == limit else f", which is {number(value)} in real units"
            return Cause("saturation", says, "arithmetic")
    says = f"{a} and {b} round the sum of the inputs differently: float32 rounds after every input, integers never"
    return Cause("float32 rounding", says, "arithmetic")


def _steps(question: Question) -> Cause:
    hidden = hidden_by_step(question.case, question.properties)
    stepped = question.case.stepped[TEST]
    event, step = question.names if stepped else (question.names[1], question.names[0])
    return Cause(hidden.reason, hidden.says(event, step), "event-by-event sums")


def _reals(question: Question, value: Callable[[Cell], int | float]) -> list[float]:
    return [
        subject.real(value(cell)) for subject, cell in zip(question.case.subjects, question.case.cells, strict=True)
    ]


CAUSES: Final[Mapping[Property, Callable[[Question], Cause]]] = {
    "inputs": _inputs,
    "weights": _weights,
    "threshold": _threshold,
    "v_init": _v_init,
    "floor": _floor,
    "reset": _reset,
    "at_most_one": _at_most_one,
    "leak": _leak,
    "numbers": _numbers,
    "steps": _steps,
}
