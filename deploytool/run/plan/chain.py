"""A chain: layers of which each takes the spikes of one layer or of the input, as records for one compiled call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.native import ALIGNMENT, aligned, aligned_copy
from deploytool.run.kernels.chain import LINK
from deploytool.run.plan.windows import Layout


class Step(NamedTuple):
    """A layer of a chain: its ``layout``, the number of the layer that is its ``source``, -1 for the input, and
    ``reach`` and ``place`` as in `LINK`."""

    layout: Layout
    source: int
    reach: Array
    place: Array


class Begun(NamedTuple):
    """A chain in a run: ``links`` (L,), which point into its ``state``, and into the counts of the run."""

    links: Array
    state: Array


@dataclass(frozen=True, eq=False)
class Chain:
    """The layers with these ``names``, as ``links`` (L,) of dtype `LINK`, whose ``state`` is an offset.

    ``start`` is the state of all layers before the first event, as bytes. ``steps`` own what the links point to.
    """

    names: tuple[str, ...]
    links: Array
    start: Array
    steps: Sequence[Step] = field(repr=False)

    def begun(self, counts: Mapping[str, Array]) -> Begun:
        """The chain in a run from rest, which adds to ``counts`` {layer: (S, C, H, W)}."""
        state, links = aligned(len(self.start), np.uint8), self.links.copy()
        state[:] = self.start
        links["state"] += state.ctypes.data
        for name, maps in counts.items():
            links["counts"][self.names.index(name)] = maps.ctypes.data
        return Begun(links, state)

    def ended(self, run: Begun) -> None:
        """Remembers the room for spikes that a ``run`` needed, for the next one."""
        np.maximum(self.links["room"], run.links["room"], out=self.links["room"])


def make_chain(steps: Mapping[str, Step]) -> Chain:
    """The chain of ``steps`` {layer: its step}, in order. Compiles the loops of their shapes."""
    links, states, offset = np.zeros(len(steps), LINK), [], 0
    for link, step in zip(links, steps.values(), strict=True):
        for name, value in step.layout.windows._asdict().items():
            link[name] = value.ctypes.data if isinstance(value, np.ndarray) else value
        start = step.layout.start
        link["source"], link["neurons"], link["bytes"] = step.source, step.place.size, len(start)
        link["reach"], link["place"], link["start"] = (each.ctypes.data for each in (step.reach, step.place, start))
        link["state"] = offset
        padding = -len(start) % ALIGNMENT
        states += [start, np.zeros(padding, np.uint8)]
        offset += len(start) + padding
    return Chain(tuple(steps), links, aligned_copy(np.concatenate(states)), tuple(steps.values()))
