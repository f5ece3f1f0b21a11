"""Traffic: everything that flowed through a program in one sample, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.events import Bins, Events, EventStream, steps_at, steps_of
from deploytool.ir.program import Program


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The N input events of a logical layer in the order in which it processed them.

    ``causes`` (N,) rise with the events at the input that caused them, or are the time steps of a clock-driven run.
    ``flows`` (N,) index `Program.inflows` of the layer, and the number after them is the slow clock; ``senders`` (N,)
    are the channels-last numbers of the neurons that fired there, and ``places`` (N, 3) is where the event arrives on
    the input map, (c, y, x).
    """

    causes: NDArray[np.int64]
    times_us: NDArray[np.int64]
    flows: NDArray[np.int64]
    senders: NDArray[np.int64]
    places: Array

    def __len__(self) -> int:
        return len(self.times_us)


@dataclass(frozen=True, eq=False)
class Traffic:
    """One sample through ``program``, as it was executed; ``unperturbed`` is the program before a perturbation.

    ``stream`` is the input. ``spikes`` {logical layer: (N,) of dtype EVENT} in the order in which they left, with their
    ``causes``; ``arrivals`` {logical layer: its input events}. ``starts_us`` (T,) are the beginnings of the time steps
    of a clock-driven run, made by ``bins``; None if it was event-driven.
    """

    program: Program
    unperturbed: Program
    stream: EventStream
    spikes: Mapping[str, Events]
    causes: Mapping[str, NDArray[np.int64]]
    arrivals: Mapping[str, Arrivals]
    starts_us: NDArray[np.int64] | None = None
    bins: Bins = "time"

    def steps(self, causes: Array, times_us: Array, clocked: Traffic) -> NDArray[np.int64]:
        """(N,): the time step of ``clocked``, a clock-driven run, to which events of this event-driven one belong."""
        assert clocked.starts_us is not None
        number = len(clocked.starts_us)
        if clocked.bins == "count":
            found: NDArray[np.int64] = steps_of(self.stream, number, "count")[causes]
            return found
        return steps_at(times_us, number, self.stream.duration_us)
