"""Where two runs part by their kept spikes alone, for runs that cannot be run again: without a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.ir.divergence import Explained, LayerDivergence, Place
from deploytool.ir.events import EVENT, Events
from deploytool.validate.divergence.first import first_difference
from deploytool.validate.divergence.words import moment, neuron, times


def observe(
    title: str, index: int, spikes: tuple[Mapping[str, Array], Mapping[str, Array]], shapes: Mapping[str, Shape]
) -> Explained:
    """The first difference of every layer of ``shapes`` in sample ``index``, called ``title``, from ``spikes``.

    The reason is not known. Spikes of one microsecond are compared whatever their order, which others may not keep.
    """
    layers = tuple(_layer(name, [_ordered(each[name]) for each in spikes]) for name in shapes)
    parted = [each for each in layers if each.t_us is not None]
    if not parted:
        return Explained(index, title, -1, f"Sample {index} ({title}): all kept spikes are the same.", None, (), layers)
    first = min(parted, key=lambda each: each.t_us or 0)
    assert first.neuron is not None
    did = [f"fires {times(n)}" if n else "does not fire" for n in first.spikes]
    who = neuron(first.neuron, shapes[first.layer])
    says = (
        f"Sample {index} ({title}): by the kept spikes, the runs first differ in {first.layer} at "
        f"{moment(first.t_us or 0)}: {who} {did[0]} in the reference and {did[1]} in the test. "
        "The reason is not known, because they cannot both be run again."
    )
    return Explained(index, title, -1, says, first, (), layers)


def _layer(name: str, spikes: Sequence[Events]) -> LayerDivergence:
    one, other = spikes
    totals = len(one), len(other)
    found = first_difference(one, other)
    if found is None:
        return LayerDivergence(name, None, None, None, (0, 0), totals, (), (), "")
    place = Place(name, *found.at)
    return LayerDivergence(name, found.t_us, None, place, found.spikes, totals, ("not known",), (), "not known")


def _ordered(spikes: Array) -> Events:
    """``spikes`` in order of time, and of position within a microsecond."""
    events = np.empty(len(spikes), EVENT)
    for field in EVENT.names or ():
        events[field] = spikes[field]
    return np.sort(events, order=("t", "y", "x", "c"))
