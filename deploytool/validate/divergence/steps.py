"""What a time step hides: the same events of one neuron added up one by one, and all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploytool.ir.cell import Cell, Moment, Number
from deploytool.ir.divergence import Reason
from deploytool.validate.divergence.counterfactual import Case, Property, exchanged
from deploytool.validate.divergence.history import Subject
from deploytool.validate.divergence.words import apart, counted, moment, number, sentence, times

SHOWN: Final = 10
"""Events of a step that a sentence lists."""


@dataclass(frozen=True, eq=False)
class Hidden:
    """What time step ``step`` hid, counted from 0: the same neuron with the same events, both ways.

    ``events`` are its updates one by one in this step, ``stepped`` is the update at once. ``earlier``: the spikes
    themselves differ only in a later step.
    """

    reason: Reason
    step: int
    subject: Subject
    cell: Cell
    events: tuple[Moment, ...]
    stepped: Moment
    weights: tuple[Number, ...]
    earlier: bool

    def says(self, event: str, step: str) -> str:
        """What the step hid, in words; ``event`` and ``step`` are the names of the two runs."""
        real = self.subject.real
        added = [weight for weight in self.weights if weight]
        listed = " ".join(number(real(weight), sign=True) for weight in added[:SHOWN])
        if len(added) > SHOWN:
            listed += f" and {len(added) - SHOWN} more"
        start, threshold = number(real(self.stepped.before)), number(real(self.cell.threshold))
        when = f"in time step {self.step + 1}"
        if self.earlier:
            when = f"V is different already after time step {self.step + 1}: in it,"
        total = number(real(self.stepped.after - self.stepped.before), sign=True)
        fires = f"fires {times(self.stepped.spikes)}" if self.stepped.spikes else "does not fire"
        return (
            f"{when} the neuron starts at V = {start} with the threshold {threshold} and gets "
            f"{counted(len(added), 'input')}: {listed}. {sentence(event)} adds them one by one: "
            f"{self._one_by_one()}. {sentence(step)} adds only their sum, {total}: V is "
            f"{number(real(self.stepped.after))}, and the neuron {fires}{self._ends(event, step)}"
        )

    def _one_by_one(self) -> str:
        real = self.subject.real
        held = sum(each.after == self.cell.floor for each in self.events) if self.cell.floor is not None else 0
        spikes = sum(each.spikes for each in self.events)
        said = f"V is held at the floor {number(real(self.cell.floor or 0))} {times(held)}, " if held else ""
        if spikes:
            first = next(each for each in self.events if each.spikes)
            also = f"fires {times(spikes)}, first" if spikes > 1 else "fires"
            return f"{said}V reaches {number(real(first.after))}, and the neuron {also} at {moment(first.t_us)}"
        highest = max((each.after for each in self.events), default=self.stepped.before)
        return f"{said}V reaches no more than {number(real(highest))}, and the neuron does not fire"

    def _ends(self, event: str, step: str) -> str:
        """V after the step, where the spikes do not tell the difference."""
        if sum(each.spikes for each in self.events) != self.stepped.spikes:
            return ""
        real = self.subject.real
        last, at_once = apart(real(self.events[-1].end if self.events else self.stepped.before), real(self.stepped.end))
        return f"; V is then {last} in {event} and {at_once} in {step}"


def hidden_by_step(case: Case, properties: Sequence[Property]) -> Hidden:
    """What the first time step hid after which the neuron is not the same any more.

    The neuron is that of the clock-driven run with all other ``properties`` of the event-driven one, so that only the
    way to add up events differs.
    """
    alone = exchanged(case, [each for each in properties if each != "steps"])
    by_event, by_step = replace(alone, stepped=False), replace(alone, stepped=True)
    side = case.ordered(by_event)
    assert side is not None
    weights, steps = case.weights[alone.weights][side], case.steps[side]
    moments, at_once = case.moments(by_event), case.moments(by_step)
    v: Number = alone.cell.v_init
    for step, update in enumerate(at_once):
        events = tuple(each for each in moments if steps[each.arrival] == step)
        ended, spikes = (events[-1].end if events else v), sum(each.spikes for each in events)
        if ended != update.end or spikes != update.spikes:
            break
        v = ended
    added = tuple(weights[each.arrival] for each in events)
    return Hidden(
        _reason(case, alone.cell, events, update, added),
        step,
        case.subjects[case.receiver],
        alone.cell,
        events,
        update,
        added,
        earlier=step < len(case.starts_us) - 1,
    )


def _reason(case: Case, cell: Cell, events: Sequence[Moment], update: Moment, weights: Sequence[Number]) -> Reason:
    """Which part of adding up at once makes the difference, found by replaying the events of the step in other ways."""
    times_us = [each.t_us for each in events]
    start = replace(cell, v_init=update.before)

    def same(changed: Cell) -> bool:
        moments = case.replay.events(changed, times_us, weights, case.end_us)
        end = moments[-1].end if moments else update.before
        end = end if cell.floor is None else max(end, cell.floor)
        return (sum(each.spikes for each in moments), end) == (update.spikes, update.end)

    if same(replace(start, floor=None)):
        return "floor once per time step"
    if same(replace(start, at_most_one=False)):
        return "spikes per time step"
    if same(replace(start, at_most_one=False, floor=None)):
        return "floor once per time step"
    if cell.reset == "zero" and update.spikes and any(each.spikes for each in events):
        return "reset once per time step"
    return "sum over a time step"
