"""What the chip's readout layer says at every tick of the slow clock, computed from the output spikes.

A period ends at its tick, and a spike at the time of a tick belongs to the next period. At each tick the moving average
of a class is its spikes in the last ``periods`` periods divided by ``periods``. The class with the largest average, the
first of equals, is given if its average is above the threshold (Speck user guide: "greater than"); otherwise the
readout is idle. Periods before the sample count as silent. The last reading is at the end of the sample at the latest.

No source confirms the first of equals, an average that is not rounded down, the silence before a sample, and the phase
of the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.program import ticks_before

IDLE: Final = -1
"""The class of a reading in which no class is above the threshold."""


@dataclass(frozen=True)
class Averaging:
    """A moving average over ``periods`` of a slow clock, and the ``threshold`` in spikes per period."""

    slow_clock_hz: int
    periods: int
    threshold: int


@dataclass(frozen=True, eq=False)
class Readings:
    """K readings of a sample: ``t_us`` (K,), ``counts`` (K, C) spikes in the moving window, and ``classes`` (K,)."""

    t_us: NDArray[np.int64]
    counts: NDArray[np.int64]
    classes: NDArray[np.int64]


def readings(t_us: Array, neurons: Array, classes: int, duration_us: int, averaging: Averaging) -> Readings:
    """The readings of a sample of ``duration_us``, whose output ``neurons`` (N,), each a class, fired at ``t_us`` (N,).

    Times are in any order. Spikes of a period that the sample does not complete are in no reading.
    """
    ticks_us = ticks_before(averaging.slow_clock_hz, duration_us + 1)
    spikes = np.zeros((len(ticks_us) + 1, classes), np.int64)
    np.add.at(spikes, (np.searchsorted(ticks_us, t_us, "right"), neurons), 1)
    until = np.concatenate([np.zeros((averaging.periods, classes), np.int64), np.cumsum(spikes[:-1], axis=0)])
    counts = until[averaging.periods :] - until[: -averaging.periods]
    above = counts.max(axis=1) > averaging.threshold * averaging.periods
    return Readings(ticks_us, counts, np.where(above, counts.argmax(axis=1), IDLE))
