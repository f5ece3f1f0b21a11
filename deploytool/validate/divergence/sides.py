"""What one neuron did in two runs around the event at which they part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from deploytool.ir.cell import Moment, Number
from deploytool.ir.divergence import Side, Update
from deploytool.ir.events import Events
from deploytool.validate.divergence.causes import Run
from deploytool.validate.divergence.counterfactual import REFERENCE, TEST, Case

BEFORE: Final = 60
AFTER: Final = 20
"""Updates of a membrane that are kept before and after the event."""
SPIKES: Final = 400
"""Spikes of the layer that are kept, before and after the event."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One run: the ``moments`` of the neuron in the whole sample, and the index ``at`` of the event among them.

    ``at`` is None if this run did not get the event; V is then ``standing``.
    """

    moments: list[Moment]
    at: int | None
    standing: Number

    @property
    def event(self) -> Moment | None:
        """The update at the event."""
        return None if self.at is None else self.moments[self.at]


@dataclass(frozen=True, eq=False)
class Sides:
    """The neuron of ``case`` in both runs; they part at ``t_us``."""

    case: Case
    t_us: int
    spikes: tuple[int, int]
    seen: tuple[Seen, Seen]

    def as_values(self, runs: tuple[Run, Run]) -> tuple[Side, Side]:
        """(reference, test) as values."""
        return self.side(REFERENCE, runs[REFERENCE]), self.side(TEST, runs[TEST])

    def update(self, side: int, moment: Moment) -> Update:
        """``moment`` of one run in real units."""
        case, subject = self.case, self.case.subjects[side]
        inputs, weights = case.inputs[side], case.weights[side][side]
        if case.stepped[side]:
            source, weight = None, moment.after - moment.before
        elif moment.arrival < 0:
            source, weight = None, 0
        else:
            source = subject.sender(inputs, moment.arrival)
            weight = weights[moment.arrival]
        before, after, end = (subject.real(v) for v in (moment.before, moment.after, moment.end))
        return Update(moment.t_us, source, subject.real(weight), before, after, moment.spikes, end)

    def side(self, side: int, run: Run) -> Side:
        """One run as a value."""
        subject, cell, seen = self.case.subjects[side], self.case.cells[side], self.seen[side]
        centre = sum(moment.t_us < self.t_us for moment in seen.moments) if seen.at is None else seen.at
        begin = max(0, centre - BEFORE)
        event = seen.event
        return Side(
            run=run.name,
            spikes=self.spikes[side],
            before=subject.real(seen.standing if event is None else event.before),
            after=None if event is None else subject.real(event.after),
            threshold=subject.real(cell.threshold),
            floor=None if cell.floor is None else subject.real(cell.floor),
            trace=tuple(self.update(side, moment) for moment in seen.moments[begin : centre + AFTER]),
            at=None if seen.at is None else seen.at - begin,
            raster=_near(run.traffic.spikes[subject.layer], self.t_us),
        )


def _near(spikes: Events, t_us: int) -> tuple[tuple[int, int, int, int], ...]:
    """The spikes around ``t_us``."""
    centre = int(np.searchsorted(spikes["t"], t_us))
    near = spikes[max(0, centre - SPIKES) : centre + SPIKES]
    return tuple((t, c, y, x) for t, c, y, x in near.tolist())


def sides_of(case: Case, t_us: int, step: int | None, spikes: tuple[int, int]) -> Sides:
    """What the neuron of ``case`` did in both runs around the difference at ``t_us``, or in time step ``step``."""
    if step is None:
        at = _at_event(case, t_us, spikes)
    else:
        at = _in_step(case, REFERENCE, step, spikes), _in_step(case, TEST, step, spikes)
        t_us = case.starts_us[step]
        for side, index in enumerate(at):
            t_us = t_us if index is None or case.stepped[side] else case.runs[side][index].t_us
    seen = tuple(Seen(case.runs[side], at[side], _standing(case, side, t_us)) for side in (REFERENCE, TEST))
    return Sides(case, t_us, spikes, (seen[REFERENCE], seen[TEST]))


def _at_event(case: Case, t_us: int, spikes: tuple[int, int]) -> tuple[int | None, int | None]:
    """The index of the update at which the neuron fires in one run and not, or less often, in the other.

    The run in which it fires more often in this microsecond decides; the other has the same update or none. If the
    same updates fire in both, it is the first of them.
    """
    now = [_updates_at(case, side, t_us) for side in (REFERENCE, TEST)]
    for side in sorted((REFERENCE, TEST), key=lambda side: -spikes[side]):
        for key, index in now[side].items():
            same = now[1 - side].get(key)
            less = 0 if same is None else case.runs[1 - side][same].spikes
            if case.runs[side][index].spikes > less:
                return (index, same) if side == REFERENCE else (same, index)
    fired = [
        next((index for index in now[side].values() if case.runs[side][index].spikes), None)
        for side in (REFERENCE, TEST)
    ]
    return fired[REFERENCE], fired[TEST]


def _updates_at(case: Case, side: int, t_us: int) -> dict[tuple[int, ...], int]:
    """{what was updated: index of the update} of the updates at ``t_us``, in order."""
    found: dict[tuple[int, ...], int] = {}
    identity = case.inputs[side].identity
    for index, moment in enumerate(case.runs[side]):
        if moment.t_us == t_us:
            who = (-1, -1) if moment.arrival < 0 else tuple(identity[moment.arrival, 1:].tolist())
            again = sum(key[:2] == who for key in found)
            found[*who, again] = index
    return found


def _in_step(case: Case, side: int, step: int, spikes: tuple[int, int]) -> int | None:
    """The index of the update in time step ``step`` at which a run parts from the other, clock-driven one.

    Where an event-driven run fires more often, it is the first spike that the other does not have; otherwise its last
    update in the step, if it has any.
    """
    if case.stepped[side]:
        return step
    inside = [i for i, moment in enumerate(case.runs[side]) if int(case.steps[side][moment.arrival]) == step]
    fired = [i for i in inside for _ in range(case.runs[side][i].spikes)]
    more = spikes[side] - spikes[1 - side]
    if more > 0:
        return fired[len(fired) - more]
    return inside[-1] if inside else None


def _standing(case: Case, side: int, t_us: int) -> Number:
    """V before ``t_us``."""
    before = [moment.end for moment in case.runs[side] if moment.t_us < t_us]
    return before[-1] if before else case.cells[side].v_init
