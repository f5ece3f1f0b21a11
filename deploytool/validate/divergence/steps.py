"""What a time step hides: the same events of one neuron added up one by one, and all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploytool.ir.cell import Cell, Moment, Number
from deploytool.ir.divergence import Reason
from deploytool.validate.divergence.counterfactual import Case, Property, exchanged
from deploytool.validate.divergence.history import Subject
from deploytool.validate.divergence.words import counted, moment, number, times

SHOWN: Final = 10
"""Events of a step that a sentence lists."""


@dataclass(frozen=True, eq=False)
class Hidden:
    """What time step ``step`` hid, of the ``starts_us`` of all: the same neuron with the same events, both ways.

    ``events`` are its updates one by one in this step, ``stepped`` is the update at once.
    """

    reason: Reason
    step: int
    begin_us: int
    subject: Subject
    cell: Cell
    events: tuple[Moment, ...]
    stepped: Moment
    weights: tuple[Number, ...]

    def says(self, event: str, step: str) -> str:
        """What the step hid, in words; ``event`` and ``step`` are the names of the two runs."""
        real = self.subject.real
        added = [weight for weight in self.weights if weight]
        listed = " ".join(number(real(weight), sign=True) for weight in added[:SHOWN])
        if len(added) > SHOWN:
            listed += f" and {len(added) - SHOWN} more"
        start = number(real(self.stepped.before))
        threshold = number(real(self.cell.threshold))
        spikes = sum(each.spikes for each in self.events)
        one_by_one = self._one_by_one(spikes)
        fires = f"fires {times(self.stepped.spikes)}" if self.stepped.spikes else "does not fire"
        total = number(real(self.stepped.after - self.stepped.before), sign=True)
        at_once = f"adds only their sum {total} and {fires} at V = {number(real(self.stepped.after))}"
        end = "" if spikes != self.stepped.spikes else self._ends(event, step)
        return (
            f"in time step {self.step + 1} the neuron gets {counted(len(added), 'input')} ({listed}), from V = "
            f"{start} with the threshold {threshold}; {event} adds them one by one: {one_by_one}; {step} {at_once}{end}"
        )

    def _one_by_one(self, spikes: int) -> str:
        real = self.subject.real
        held = sum(each.after == self.cell.floor for each in self.events) if self.cell.floor is not None else 0
        said = []
        if held:
            said.append(f"V is held at the floor {number(real(self.cell.floor or 0))} {times(held)}")
        if spikes:
            first = next(each for each in self.events if each.spikes)
            also = f"fires {times(spikes)}, first" if spikes > 1 else "fires"
            said.append(f"V reaches {number(real(first.after))} and the neuron {also} at {moment(first.t_us)}")
        else:
            highest = max((each.after for each in self.events), default=self.stepped.before)
            said.append(f"V reaches no more than {number(real(highest))} and the neuron does not fire")
        return ", and ".join(said)

    def _ends(self, event: str, step: str) -> str:
        real = self.subject.real
        last = self.events[-1].end if self.events else self.stepped.before
        return f", so that V is then {number(real(last))} in {event} and {number(real(self.stepped.end))} in {step}"


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
        case.starts_us[step],
        case.subjects[case.receiver],
        alone.cell,
        events,
        update,
        added,
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
