"""The loops of training on events, compiled: spikes counted in windows, and membranes followed along them."""

# mypy: disable-error-code="untyped-decorator"
# numba has no types of its own.

from __future__ import annotations

from typing import Any

import numpy as np

from deploytool.base.arrays import Array
from deploytool.train.network.loops import compiled


@compiled
def tally(spikes: Array, durations_us: Array, kernel: int, counts: Array) -> None:
    """Adds every one of ``spikes`` (N,), records of `deploytool.ir.recording.SPIKE`, to ``counts`` (W, S, H, W, C).

    A spike at t in a sample that lasts d is in window t W // d, as in `deploytool.ir.events.steps_at`. Its position is
    divided by ``kernel``; a position outside the map is left out.
    """
    windows, _, rows, columns, _ = counts.shape
    for i in range(len(spikes)):
        spike = spikes[i]
        sample, y, x = np.int64(spike.sample), spike.y // kernel, spike.x // kernel
        if y < rows and x < columns:
            counts[spike.t * windows // durations_us[sample], sample, y, x, spike.c] += np.float32(1)


@compiled
def follow(current: Array, spikes: Array, membrane: Array, first: int, last: int, theta: Any, floor: Any) -> None:
    """Fills ``membrane`` (U) for ``current`` and the ``spikes`` (n) that were fired, all (W, n), for the neurons from
    ``first`` to before ``last``."""
    state = np.zeros(last - first, np.float32)
    for t in range(len(current)):
        given, fired, out = current[t, first:last], spikes[t, first:last], membrane[t, first:last]
        for i in range(len(state)):
            u = state[i] + given[i]
            out[i] = u
            state[i] = max(u - theta * fired[i], floor)
