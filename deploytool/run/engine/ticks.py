"""Ticks of the slow clock among the input events of samples."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.events import EVENT, Events, EventStream, channels_last
from deploytool.ir.program import CLOCK, INPUT, Program
from deploytool.run.kernels.batches import Queue, sites_of

TICK: Final = np.iinfo(np.uint16).max
"""The feature, row and column of a tick. No input map has a pixel there: a map of that size has no int32 indices."""


def with_ticks(program: Program, stream: EventStream) -> Events:
    """The events of ``stream`` and the ticks that ``program`` takes, a tick before the events of its time."""
    ticks_us = program.ticks_us(stream.duration_us)
    if not len(ticks_us):
        return stream.events
    ticks = np.full(len(ticks_us), TICK).astype(EVENT)
    ticks["t"] = ticks_us
    return np.insert(stream.events, np.searchsorted(stream.events["t"], ticks_us, "left"), ticks)


def with_clock(program: Program, events: Events, ends: Array, bins: Array) -> dict[str, Queue]:
    """The queues of the slow clock and of the input for ``events`` and ticks of samples that end at ``ends``, and whose
    bins of 1 ms end at ``bins``. Each is its own cause."""
    is_tick = (events["c"] == TICK) & (events["y"] == TICK)

    def queue(chosen: NDArray[np.bool_], neurons: Array) -> Queue:
        counted = np.concatenate([[0], np.cumsum(chosen)])
        return Queue(np.flatnonzero(chosen).astype(np.int32), neurons, counted[ends], counted[bins])

    sites = sites_of(events[~is_tick], channels_last(program.input_shape))
    return {CLOCK: queue(is_tick, np.zeros(int(is_tick.sum()), np.int32)), INPUT: queue(~is_tick, sites)}
