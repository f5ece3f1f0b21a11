"""A chain of layers run one after the other, with another order of the spikes that one event causes.

Integrate-and-fire neurons without leak see the order of their events, not their times. So each layer gets its events
at the times 0, 1, 2, ...; the spikes that one event causes then are those with its time, and may be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.events import EVENT, Events, EventStream
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.target import Watch
from deploytool.run.targets.table import make_target

Order: TypeAlias = Callable[[Events, np.random.Generator], tuple[Array, ...]]
"""f(events, generator): the keys (N,) by which events of one time are sorted, the most important first."""


def ordered(events: Events, order: Order, rng: np.random.Generator) -> Events:
    """``events`` with those of one time sorted by ``order``."""
    keys = order(events, rng)
    found: Events = events[np.lexsort((*reversed(keys), events["t"]))]
    return found


def run_in_order(program: Program, streams: Sequence[EventStream], order: Order) -> Mapping[str, Array]:
    """{layer: (S, C, H, W)}: the spikes of a chain in which the spikes that one event causes leave in ``order``."""
    rng = np.random.default_rng(0)
    sent = [np.array(stream.events) for stream in streams]
    counts = {}
    for name, layer in program.layers.items():
        ((source, route),) = program.feeders(name)
        alone = replace(
            program,
            chip=SIMULATOR,
            core_of={},
            input_shape=program.map_of(source),
            input_routes=(route,),
            layers={name: replace(layer, routes=())},
            outputs=(name,),
        )
        numbered = [_numbered(events, alone) for events in sent]
        recording = make_target(SIMULATOR).run(alone, numbered, Watch(rasters=len(sent)))
        counts[name] = np.asarray(recording.counts[name])
        spikes = recording.spikes[name]
        each = [spikes[spikes["sample"] == index] for index in range(len(sent))]
        sent = [ordered(_events(of_sample), order, rng) for of_sample in each]
    return counts


def _numbered(events: Events, program: Program) -> EventStream:
    """``events`` at the times 0, 1, 2, ..."""
    events["t"] = np.arange(len(events))
    return EventStream(events, program.input_shape, len(events) + 1)


def _events(spikes: Array) -> Events:
    found = np.zeros(len(spikes), EVENT)
    for axis in ("t", "c", "y", "x"):
        found[axis] = spikes[axis]
    return found
