"""The first difference between two lists of spikes of one layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.events import Events
from deploytool.validate.divergence.history import At


@dataclass(frozen=True)
class First:
    """The first place in two lists of spikes at which they differ: at ``t_us``, neuron ``at``.

    ``spikes`` (one, other) is how often the neuron fired in this microsecond. They are equal if nothing but the order
    of the spikes within it differs; ``others`` are then further neurons that fired.
    """

    t_us: int
    at: At
    spikes: tuple[int, int]
    others: tuple[At, ...] = ()


@dataclass(frozen=True, eq=False)
class Stepped:
    """The ``spikes`` of a layer, and the time ``steps`` (N,) they belong to; ``ordered`` if they left in this order."""

    spikes: Events
    steps: NDArray[np.int64]
    ordered: bool


@dataclass(frozen=True)
class FirstStep:
    """The first time ``step`` in which neuron ``at`` fired differently, and how often in either run."""

    step: int
    at: At
    spikes: tuple[int, int]


def first_difference(one: Events, other: Events) -> First | None:
    """The first difference of two lists of spikes, each in the order in which they left; None if they are equal.

    Of the spikes at the first place where the lists differ, and of all later ones in this microsecond, it is the first
    whose neuron fired more often in one run than in the other during this microsecond.
    """
    both = min(len(one), len(other))
    unequal = np.flatnonzero(one[:both] != other[:both])
    if not unequal.size and len(one) == len(other):
        return None
    index = int(unequal[0]) if unequal.size else both
    t_us = min(int(events["t"][index]) for events in (one, other) if index < len(events))
    now = [_at(events, t_us) for events in (one, other)]
    counts = [Counter(places) for places in now]
    begins = [int(np.searchsorted(events["t"], t_us)) for events in (one, other)]
    later = [places[max(0, index - begin) :] for places, begin in zip(now, begins, strict=True)]
    candidates = [place for pair in zip(*_padded(later), strict=True) for place in pair if place is not None]
    differing = [place for place in candidates if counts[0][place] != counts[1][place]]
    place, *others = dict.fromkeys(differing[:1] or candidates)
    return First(t_us, place, (counts[0][place], counts[1][place]), tuple(others))


def _at(events: Events, t_us: int) -> list[At]:
    """The neurons that fired at ``t_us``, in order."""
    begin, end = (int(np.searchsorted(events["t"], t_us, side=side)) for side in ("left", "right"))
    found: list[At] = [(c, y, x) for _, c, y, x in events[begin:end].tolist()]
    return found


def _padded(lists: list[list[At]]) -> list[list[At | None]]:
    """``lists`` with None at the end, so that all have the same length."""
    longest = max(map(len, lists))
    return [[*each, *[None] * (longest - len(each))] for each in lists]


def first_step_difference(one: Stepped, other: Stepped) -> FirstStep | None:
    """The first time step in which a neuron fired more often in one run than in the other; None if there is none.

    Of several neurons it is the first one to fire, in the run that is event-driven if there is one.
    """
    counts = [Counter(_keys(each)) for each in (one, other)]
    differing = {key for key in counts[0].keys() | counts[1].keys() if counts[0][key] != counts[1][key]}
    if not differing:
        return None
    step = min(step for step, _ in differing)
    runs = sorted((one, other), key=lambda each: not each.ordered)
    at = next(key[1] for each in runs for key in _keys(each) if key[0] == step and key in differing)
    return FirstStep(step, at, (counts[0][step, at], counts[1][step, at]))


def _keys(stepped: Stepped) -> list[tuple[int, At]]:
    """(step, neuron) of every spike, in order."""
    places = [(c, y, x) for _, c, y, x in stepped.spikes.tolist()]
    return list(zip(stepped.steps.tolist(), places, strict=True))
