"""The loops of `pooled` on a CPU: neurons and the sum pooling after them, sample by sample, in the processor's cache.

Arrays are (T, B, n) float32 for the n = H W C neurons of a sample, and (T, B, h, w C) for its pooled spikes. Features
come last.
"""

# mypy: disable-error-code="untyped-decorator"
# numba has no types of its own.

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.train.network.loops import ONE, TWO, ZERO, Constants, compiled, fabs, rint, step, step_back

INFINITE: Final = np.float32(np.inf)


class Maps(NamedTuple):
    """The size of a sample's maps, and of the windows that are summed, ``kernel`` x ``kernel``."""

    rows: int
    columns: int
    features: int
    kernel: int


class Table(NamedTuple):
    """theta g(U) / scale of the whole numbers U from ``least`` on."""

    values: Array
    least: int


@compiled
def integrate_pooled(
    current: Array, forward: tuple[Array, Array, Array], first: int, last: int, maps: Maps, neuron: Constants
) -> None:
    """Fills ``forward`` for the ``current`` of the samples from ``first`` to before ``last``.

    ``forward`` is U, the sums of n over windows, and (B, 3) the least U, the largest, and the largest sum of distances
    of U from whole numbers.
    """
    for sample in range(first, last):
        _integrate(current, forward, sample, maps, neuron)


@compiled
def _integrate(current: Array, forward: tuple[Array, Array, Array], sample: int, maps: Maps, neuron: Constants) -> None:
    membrane, pooled, bounds = forward
    width, high = maps.columns * maps.features, maps.rows // maps.kernel
    state = np.zeros(maps.rows * width, np.float32)
    spikes, total = np.zeros(width, np.float32), np.zeros(width, np.float32)
    seen = np.zeros((3, width), np.float32)
    seen[0], seen[1] = INFINITE, -INFINITE
    for t in range(len(current)):
        for y in range(maps.rows):
            first, last = y * width, (y + 1) * width
            u = membrane[t, sample, first:last]
            step(current[t, sample, first:last], u, spikes, state[first:last], neuron)
            _watch(u, seen[0], seen[1], seen[2])
            if y // maps.kernel < high:
                _add(spikes, total, y % maps.kernel == 0)
                if y % maps.kernel == maps.kernel - 1:
                    _across(total, pooled[t, sample, y // maps.kernel], maps)
    bounds[sample, 0], bounds[sample, 1], bounds[sample, 2] = seen[0].min(), seen[1].max(), seen[2].max()


@compiled
def _watch(u: Array, least: Array, most: Array, apart: Array) -> None:
    for i in range(len(u)):
        least[i] = u[i] if u[i] < least[i] else least[i]
        most[i] = u[i] if u[i] > most[i] else most[i]
        apart[i] += fabs(u[i] - rint(u[i]))


@compiled
def _add(spikes: Array, total: Array, begins: bool) -> None:
    for i in range(len(total)):
        total[i] = spikes[i] if begins else total[i] + spikes[i]


@compiled
def _across(total: Array, out: Array, maps: Maps) -> None:
    """Fills a row ``out`` (w C) with sums of ``total`` (W C) over windows."""
    if maps.kernel == 2 and maps.features == 8:
        _pairs(total, out, 8)
    elif maps.kernel == 2 and maps.features == 16:
        _pairs(total, out, 16)
    else:
        _windows(total, out, maps)


@compiled
def _pairs(total: Array, out: Array, features: int) -> None:
    for x in range(len(out) // features):
        for c in range(features):
            out[x * features + c] = total[2 * x * features + c] + total[(2 * x + 1) * features + c]


@compiled
def _windows(total: Array, out: Array, maps: Maps) -> None:
    for x in range(maps.columns // maps.kernel):
        for c in range(maps.features):
            place = x * maps.kernel * maps.features + c
            found = total[place]
            for k in range(1, maps.kernel):
                found += total[place + k * maps.features]
            out[x * maps.features + c] = found


@compiled
def back_pooled(
    backward: tuple[Array, Array, Array], table: Table, first: int, last: int, maps: Maps, neuron: Constants
) -> None:
    """Makes dL/dI in ``backward``, (dL/d pooled, U, dL/dI), for the samples from ``first`` to before ``last``.

    theta g(U) / scale comes from ``table``, or if that is empty, dL/dI holds it before.
    """
    for sample in range(first, last):
        _back(backward, table, sample, maps, neuron)


@compiled
def _back(backward: tuple[Array, Array, Array], table: Table, sample: int, maps: Maps, neuron: Constants) -> None:
    from_pooled, membrane, slopes = backward
    width, high = maps.columns * maps.features, maps.rows // maps.kernel
    state = np.zeros(maps.rows * width, np.float32)
    from_spikes, nothing = np.zeros(width, np.float32), np.zeros(width, np.float32)
    spikes, spikes_before = np.zeros(width, np.float32), np.zeros(width, np.float32)
    counts = neuron.saturates or not neuron.subtract
    for t in range(len(membrane) - 1, -1, -1):
        for y in range(maps.rows):
            first, last = y * width, (y + 1) * width
            if y // maps.kernel < high and y % maps.kernel == 0:
                _spread(from_pooled[t, sample, y // maps.kernel], from_spikes, maps)
            u, before = membrane[t, sample, first:last], membrane[max(t - 1, 0), sample, first:last]
            if counts:
                _fired(u, spikes, neuron)
                _fired(before, spikes_before, neuron)
            out = slopes[t, sample, first:last]
            if len(table.values):
                _look_up(u, out, table.values, table.least)
            given = from_spikes if y // maps.kernel < high else nothing
            step_back(given, (before, spikes_before), (u, spikes), out, state[first:last], neuron)


@compiled
def _spread(window: Array, out: Array, maps: Maps) -> None:
    """Fills a row ``out`` (W C) with the values of its windows (w C), 0 outside whole windows."""
    whole = maps.columns // maps.kernel
    for x in range(whole):
        for k in range(maps.kernel):
            place = (x * maps.kernel + k) * maps.features
            for c in range(maps.features):
                out[place + c] = window[x * maps.features + c]
    out[whole * maps.kernel * maps.features :] = ZERO


@compiled
def _fired(u: Array, spikes: Array, neuron: Constants) -> None:
    """Fills ``spikes`` with 0, 1, or 2 for two and more; that is all that a reset to zero or a ceiling needs."""
    for i in range(len(u)):
        once = ONE if u[i] >= neuron.theta else ZERO
        spikes[i] = TWO if neuron.many and u[i] >= TWO * neuron.theta else once


@compiled
def _look_up(u: Array, slopes: Array, values: Array, least: int) -> None:
    for i in range(len(u)):
        slopes[i] = values[np.uint32(np.int32(u[i]) - np.int32(least))]
