"""The general compiled loops: process the input of a layer event by event, or a whole time step at once.

State is flat and channels-last: neuron (o, y, x) is at (y * W + x) * O + o. Tables (`Geometry`) say which neurons an
input event reaches, so that one loop serves every kernel, stride, padding, dilation and group.
Indices are unsigned where speed matters: numba then omits the handling of negative indices, and LLVM vectorises.
numba keeps the compiled code on disk; a second process compiles nothing.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value"
# numba has no types of its own, and to it an int is an int64.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled

QUEUE_MAX: Final = 1 << 28
"""Number of spikes that a layer may fire in one part of a run, at four bytes each: more ends in a MemoryError, because
it would soon exhaust the memory of any machine."""

FIRST_ROOM: Final = 1024
"""Number of spikes for which there is room before a buffer grows."""


class Geometry(NamedTuple):
    """Where the input events of a layer go.

    ``weights`` is (C, KH, KW, O / groups), flat; its kernel rows and columns are in the order in which the targets of
    one event ascend. ``rows`` (H, 3) gives for each input row the first target row, the number of target rows, and the
    kernel row of the first; ``columns`` (W, 3) likewise. Successive targets are ``row_step`` rows (``column_step``
    columns) apart on the output map, which is ``width`` wide and has ``features`` features.
    """

    weights: Array
    kernel_rows: int
    kernel_columns: int
    rows: Array
    columns: Array
    row_step: int
    column_step: int
    width: int
    features: int
    features_per_group: int
    inputs_per_group: int


def update(state: Any, here: Any, weights: Any, tap: Any, length: Any, floor: Any, least: Any) -> Any:  # noqa: ARG001
    """Adds ``weights[tap:]`` to ``length`` neurons from ``here`` on and clamps them at ``floor``.

    Returns whether one of them reached ``least``; and, in integers, the lowest and the highest V, and 0.
    """
    raise AssertionError("compiled code only")


def _update_int16(state: Any, here: Any, weights: Any, tap: Any, length: Any, floor: Any, least: Any) -> Any:
    lowest = highest = np.int16(0)
    v, w = np.uint64(here), np.uint64(tap)
    for i in range(np.uint64(length)):
        total: Any = np.int32(state[v + i]) + np.int32(weights[w + i])
        u = max(np.int16(min(max(total, -32768), 32767)), floor)
        state[v + i] = u
        lowest = min(lowest, u)
        highest = max(highest, u)
    return highest >= least, lowest, highest


def _update_float32(state: Any, here: Any, weights: Any, tap: Any, length: Any, floor: Any, least: Any) -> Any:
    reached = np.int32(0)
    v, w = np.uint64(here), np.uint64(tap)
    for i in range(np.uint64(length)):
        u = state[v + i] + weights[w + i]
        u = u if u > floor else floor
        state[v + i] = u
        reached = np.int32(reached | np.int32(u >= least))
    return reached > 0, np.float32(0), np.float32(0)


@overload(update)
def _update(state: Any, here: Any, weights: Any, tap: Any, length: Any, floor: Any, least: Any) -> Any:  # noqa: ARG001
    return _update_int16 if state.dtype == types.int16 else _update_float32


@compiled
def grown(buffer: Array, needed: int) -> Array:
    """A copy of ``buffer`` with room for ``needed`` elements, and at least twice its size.

    Raises MemoryError for more than `QUEUE_MAX`.
    """
    if needed > QUEUE_MAX:
        raise MemoryError("too many spikes at once")
    larger = np.empty(max(2 * len(buffer), needed), buffer.dtype)
    larger[: len(buffer)] = buffer
    return larger


@compiled
def fire(
    state: Array, threshold: Array, here: int, length: int, subtract: bool, many: bool, neurons: Array, fired: int
) -> int:
    """Fires those of ``length`` neurons from ``here`` on that are at their threshold; returns the new end.

    Writes them to ``neurons[fired:]`` and resets them. Every neuron is written, but the end advances only for those
    that fire: there is no branch to mispredict.
    """
    first, v = np.uint64(fired), np.uint64(here)
    end = first
    for i in range(np.uint64(length)):
        neurons[end] = v + i
        end += np.uint64(state[v + i] >= threshold[v + i])
    if many:
        return fire_again(state, threshold, subtract, neurons, fired, neurons[first:end].copy())
    for spike in range(first, end):
        neuron = np.uint64(neurons[spike])
        state[neuron] = state[neuron] - threshold[neuron] if subtract else 0
    return np.int64(end)


@compiled
def fire_again(state: Array, threshold: Array, subtract: bool, neurons: Array, fired: int, ready: Array) -> int:
    """Fires each neuron of ``ready`` until V < threshold, and writes it once per spike; returns the new end."""
    for neuron in ready:
        while state[neuron] >= threshold[neuron]:
            neurons[fired] = neuron
            fired += 1
            state[neuron] = state[neuron] - threshold[neuron] if subtract else 0
    return fired


@compiled
def integrate(
    state: Array,
    geometry: Geometry,
    threshold: Array,
    least: Any,
    floor: Any,
    subtract: bool,
    most: int,
    sites: Array,
    coordinates: Array,
) -> tuple[Array, Array, int, Any, Any]:
    """The effect of input events on a layer, one after the other; changes its ``state`` (N,).

    Event i is at (c, y, x) = ``coordinates[sites[i]]``; c = -1 is outside the map. ``least`` is the smallest of
    ``threshold`` (N,), ``most`` the number of spikes that one update can cause. Returns the neurons that fired, in
    order; the number of these spikes that each event caused; the number of synaptic updates; the lowest and the highest
    V (in integers).
    """
    weights, rows, columns, group = geometry.weights, geometry.rows, geometry.columns, geometry.features_per_group
    row_stride, column_stride = geometry.width * geometry.features, geometry.column_step * geometry.features
    in_one_run = column_stride == group
    neurons = np.empty(FIRST_ROOM, np.int32)
    caused = np.zeros(len(sites), np.int32)
    fired = updates = 0
    lowest = highest = state.dtype.type(0)
    for event in range(len(sites)):
        site = sites[event]
        c, y, x = coordinates[site, 0], coordinates[site, 1], coordinates[site, 2]
        if c < 0:
            continue
        before = fired
        runs, length = (1, columns[x, 1] * group) if in_one_run else (columns[x, 1], group)
        left = columns[x, 0] * geometry.features + c // geometry.inputs_per_group * group
        for row in range(rows[y, 1]):
            start = (rows[y, 0] + row * geometry.row_step) * row_stride + left
            kernel_row = c * geometry.kernel_rows + rows[y, 2] + row
            taps = (kernel_row * geometry.kernel_columns + columns[x, 2]) * group
            for run in range(runs):
                here = start + run * column_stride
                reached, low, high = update(state, here, weights, taps + run * group, length, floor, least)
                updates += length
                lowest = min(lowest, low)
                highest = max(highest, high)
                if reached:
                    if fired + length * most > len(neurons):
                        neurons = grown(neurons, fired + length * most)
                    fired = fire(state, threshold, here, length, subtract, most > 1, neurons, fired)
        caused[event] = fired - before
    return neurons[:fired], caused, updates, lowest, highest


@compiled
def tally(counts: Array, neurons: Array) -> None:
    """Adds to ``counts`` (N,) how often each neuron is in ``neurons``."""
    for neuron in neurons:
        counts[np.uint64(neuron)] += 1


@compiled
def accumulate(state: Array, geometry: Geometry, sites: Array, amounts: Array, coordinates: Array) -> int:
    """Adds ``amounts[i]`` spikes at ``coordinates[sites[i]]`` to ``state`` (N,), without clamp or threshold.

    Returns the number of synaptic updates.
    """
    weights, rows, columns, group = geometry.weights, geometry.rows, geometry.columns, geometry.features_per_group
    row_stride, column_stride = geometry.width * geometry.features, geometry.column_step * geometry.features
    updates = 0
    for event in range(len(sites)):
        site, amount = sites[event], state.dtype.type(amounts[event])
        c, y, x = coordinates[site, 0], coordinates[site, 1], coordinates[site, 2]
        if c < 0:
            continue
        left = columns[x, 0] * geometry.features + c // geometry.inputs_per_group * group
        for row in range(rows[y, 1]):
            start = (rows[y, 0] + row * geometry.row_step) * row_stride + left
            kernel_row = c * geometry.kernel_rows + rows[y, 2] + row
            for column in range(columns[x, 1]):
                v = np.uint64(start + column * column_stride)
                w = np.uint64((kernel_row * geometry.kernel_columns + columns[x, 2] + column) * group)
                for i in range(np.uint64(group)):
                    state[v + i] += amount * weights[w + i]
                updates += amounts[event] * group
    return updates


@compiled
def fire_step(state: Array, threshold: Array, floor: Any, subtract: bool, many: bool) -> tuple[Array, Array]:
    """(neurons, spikes of each) at the end of a time step: n = trunc(V / threshold), at most one unless ``many``.

    Resets these neurons, then clamps every neuron of ``state`` (N,) at ``floor``.
    """
    neurons = np.empty(len(state), np.int32)
    fired = 0
    for i in range(len(state)):
        neurons[fired] = i
        fired += state[i] >= threshold[i]
    neurons = neurons[:fired].copy()
    amounts = np.ones(fired, np.int64)
    for spike in range(fired):
        neuron = neurons[spike]
        if many:
            amounts[spike] = np.int64(state[neuron] / threshold[neuron])
        taken = state.dtype.type(amounts[spike]) * threshold[neuron]
        state[neuron] = state[neuron] - taken if subtract else 0
    for i in range(len(state)):
        state[i] = state[i] if state[i] > floor else floor
    return neurons, amounts
