"""Which property makes a neuron fire differently in two runs: each in turn is put from one run into the other.

The neuron is replayed alone, from its input events. If the neuron of the test run, with one property of the reference
run, fires as the reference run does up to the event, then this property explains the difference. If no single one does,
the smallest set of properties that does is found.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.cell import Cell, Moment, Number
from deploytool.ir.traffic import Traffic
from deploytool.validate.divergence.history import At, Inputs, Replay, Subject, subjects

Property: TypeAlias = Literal[
    "inputs", "weights", "threshold", "v_init", "floor", "reset", "at_most_one", "leak", "numbers", "steps"
]
PROPERTIES: Final[tuple[Property, ...]] = (
    "inputs",
    "weights",
    "threshold",
    "v_init",
    "floor",
    "reset",
    "at_most_one",
    "leak",
    "numbers",
    "steps",
)
"""What two runs of a neuron may differ in. If several explain a difference, the first is named. "steps" is the way in
which events are added up: one by one, or all of a time step at once."""

REFERENCE, TEST = 0, 1
NO_STEPS: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Setting:
    """A neuron put together from two runs: ``cell``, the run whose input events and the run whose weights it gets.

    With ``stepped`` it is updated once per time step.
    """

    cell: Cell
    inputs: int
    weights: int
    stepped: bool


@dataclass(frozen=True, eq=False)
class Case:
    """One neuron in two runs until ``end_us``: (reference, test) ``subjects`` and ``inputs``.

    ``starts_us`` (T,) are the time steps if one of the runs is clock-driven, and ``stepped`` says which ones are;
    ``steps`` is the step of each input event, empty without steps.
    """

    subjects: tuple[Subject, Subject]
    inputs: tuple[Inputs, Inputs]
    end_us: int
    replay: Replay
    starts_us: tuple[int, ...] = ()
    stepped: tuple[bool, bool] = (False, False)
    steps: tuple[Array, Array] = (NO_STEPS, NO_STEPS)

    @cached_property
    def cells(self) -> tuple[Cell, Cell]:
        """The constants of the neuron in both runs."""
        return self.subjects[0].cell, self.subjects[1].cell

    @cached_property
    def weights(self) -> tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]:
        """[run of the weights][run of the input events]: the exact weight of each input event."""
        one, other = self.subjects
        return (
            (one.weights(self.inputs[0]), one.weights(self.inputs[1])),
            (other.weights(self.inputs[0]), other.weights(self.inputs[1])),
        )

    @cached_property
    def same_inputs(self) -> bool:
        """Whether the neuron gets the same input events in both runs, in the same order; in steps, in the same step."""
        one, other = (self.identities(side) for side in (REFERENCE, TEST))
        return sorted(one) == sorted(other) if self.starts_us else one == other

    def identities(self, side: int) -> list[tuple[int, ...]]:
        """(time, flow, position) of each input event; with time steps, (step, flow, position)."""
        identity = self.inputs[side].identity
        times = self.steps[side] if self.starts_us else identity[:, 0]
        return [(t, *row) for t, row in zip(times.tolist(), identity[:, 1:].tolist(), strict=True)]

    @cached_property
    def settings(self) -> tuple[Setting, Setting]:
        """The neuron as it is in either run."""
        return (
            Setting(self.cells[0], REFERENCE, REFERENCE, self.stepped[0]),
            Setting(self.cells[1], TEST, TEST, self.stepped[1]),
        )

    @property
    def donor(self) -> int:
        """The run whose properties are put into the other: the reference, but never the clock-driven one of two.

        A clock-driven run has no order within a step that a run event by event could take over.
        """
        return TEST if self.stepped == (True, False) else REFERENCE

    @property
    def receiver(self) -> int:
        """The other run."""
        return 1 - self.donor

    def ordered(self, setting: Setting) -> int | None:
        """The run whose input events ``setting`` gets, in an order that exists; None if there is none.

        A clock-driven run has no order within a step. If both runs have the same events, it is that of the other run.
        """
        if setting.stepped or not self.stepped[setting.inputs]:
            return setting.inputs
        return 1 - setting.inputs if self.same_inputs and not self.stepped[1 - setting.inputs] else None

    def moments(self, setting: Setting) -> list[Moment]:
        """The updates of the neuron in ``setting``, which has an order of its events."""
        side = self.ordered(setting)
        assert side is not None
        weights = self.weights[setting.weights][side]
        if not setting.stepped:
            return self.replay.events(setting.cell, self.inputs[side].times_us, weights, self.end_us)
        each: list[list[Number]] = [[] for _ in self.starts_us]
        for step, weight in zip(self.steps[side].tolist(), weights, strict=True):
            each[step].append(weight)
        return self.replay.steps(setting.cell, self.starts_us, each)

    @cached_property
    def runs(self) -> tuple[list[Moment], list[Moment]]:
        """The updates of the neuron in either run."""
        return self.moments(self.settings[0]), self.moments(self.settings[1])

    def step_of(self, setting: Setting, moment: Moment) -> int:
        """The time step of an update in ``setting``."""
        side = self.ordered(setting)
        return moment.arrival if setting.stepped or side is None else int(self.steps[side][moment.arrival])

    def fired(self, setting: Setting) -> list[tuple[int, int]]:
        """What tells two settings apart: an entry for each spike.

        It is (time step, 0); without steps (input event, time), if both runs have the same events, or (time, 0).
        """
        moments = self.moments(setting)
        if self.starts_us:
            return [(self.step_of(setting, moment), 0) for moment in moments for _ in range(moment.spikes)]
        same = self.same_inputs
        return [
            (moment.arrival, moment.t_us) if same else (moment.t_us, 0)
            for moment in moments
            for _ in range(moment.spikes)
        ]

    def until(self, t_us: int) -> Case:
        """The same without the events after ``t_us``."""
        return replace(self, inputs=(self.inputs[0].until(t_us), self.inputs[1].until(t_us)), end_us=t_us)

    def until_step(self, step: int) -> Case:
        """The same without the events after time step ``step``."""
        kept = [np.flatnonzero(steps <= step) for steps in self.steps]
        return replace(
            self,
            inputs=(self.inputs[0].at(kept[0]), self.inputs[1].at(kept[1])),
            steps=(self.steps[0][kept[0]], self.steps[1][kept[1]]),
            starts_us=self.starts_us[: step + 1],
        )


def case_of(one: Traffic, other: Traffic, layer: str, at: At, replay: Replay) -> Case:
    """Neuron ``at`` of ``layer`` in two runs, over the whole sample."""
    pair = subjects(one, other, layer, at)
    inputs = pair[0].inputs(one, pair[1]), pair[1].inputs(other, pair[0])
    end_us = max(one.stream.duration_us, other.stream.duration_us) - 1
    clocked = next((traffic for traffic in (one, other) if traffic.starts_us is not None), None)
    if clocked is None or clocked.starts_us is None:
        return Case(pair, inputs, end_us, replay)
    steps = _steps(one, inputs[0], clocked), _steps(other, inputs[1], clocked)
    stepped = one.starts_us is not None, other.starts_us is not None
    return Case(pair, inputs, end_us, replay, tuple(clocked.starts_us.tolist()), stepped, steps)


def _steps(traffic: Traffic, inputs: Inputs, clocked: Traffic) -> Array:
    if traffic.starts_us is not None:
        return inputs.causes
    return traffic.steps(inputs.causes, inputs.identity[:, 0], clocked)


def differing(case: Case) -> list[Property]:
    """The properties that the two runs do not share, in the order of `PROPERTIES`."""
    one, other = case.cells
    found = {
        "inputs": not case.same_inputs,
        "weights": case.weights[0] != case.weights[1],
        "threshold": one.threshold != other.threshold,
        "v_init": one.v_init != other.v_init,
        "floor": one.floor != other.floor,
        "reset": (one.reset, one.v_reset) != (other.reset, other.v_reset),
        "at_most_one": one.at_most_one != other.at_most_one,
        "leak": one.leak != other.leak,
        "numbers": one.numbers != other.numbers,
        "steps": case.stepped[REFERENCE] != case.stepped[TEST],
    }
    return [each for each in PROPERTIES if found[each]]


def with_property(case: Case, setting: Setting, which: Property) -> Setting:
    """``setting`` with one property of the donor."""
    donor = case.settings[case.donor]
    match which:
        case "inputs":
            return replace(setting, inputs=donor.inputs)
        case "weights":
            return replace(setting, weights=donor.weights)
        case "steps":
            return replace(setting, stepped=donor.stepped)
        case "reset":
            cell = replace(setting.cell, reset=donor.cell.reset, v_reset=donor.cell.v_reset)
        case "leak":
            looks_ahead = donor.cell.looks_ahead or setting.cell.looks_ahead
            cell = replace(setting.cell, leak=donor.cell.leak, looks_ahead=looks_ahead)
        case _:
            cell = replace(setting.cell, **{which: getattr(donor.cell, which)})
    return replace(setting, cell=cell)


def explaining(case: Case) -> tuple[tuple[Property, ...], ...]:
    """The smallest sets of properties of the donor with which the neuron of the receiver fires as the donor does.

    All of them have one size, and come in the order of `PROPERTIES`. The empty set is the only one if the neuron fires
    alike in both runs. "numbers" is no alternative to others: where V just meets the threshold, rounding to float32
    changes a spike without being the reason.
    """
    wanted, properties = case.fired(case.settings[case.donor]), differing(case)
    for size in range(len(properties) + 1):
        found = []
        for chosen in itertools.combinations(properties, size):
            setting = exchanged(case, chosen)
            if case.ordered(setting) is not None and case.fired(setting) == wanted:
                found.append(chosen)
        if found:
            return found[0], *(chosen for chosen in found[1:] if "numbers" not in chosen)
    return (tuple(properties),)


def exchanged(case: Case, properties: Sequence[Property]) -> Setting:
    """The neuron of the receiver with ``properties`` of the donor."""
    setting = case.settings[case.receiver]
    for each in properties:
        setting = with_property(case, setting, each)
    return setting
