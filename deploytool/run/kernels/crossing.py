"""The loop for neurons that may reach their threshold between two events: each layer keeps a queue of such crossings.

Its results are bit-identical to those of `deploytool.run.reference.neurons`.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

import heapq
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.run.kernels.general import FIRST_ROOM, grown
from deploytool.run.reference.crossings import NEVER, course, earliest, first_crossing

TIME: Final = 14
"""Number of bits of a key below its time. Events of one time are numbered from 1 there, and crossings have 0."""


class CrossingState(NamedTuple):
    """The state of neurons (N,): V, the time of the last update, I, and the time of the next threshold crossing.

    ``crossing_us`` is first only a lower bound: there is no crossing before it. It becomes ``exact`` when it is needed
    to decide whether the crossing comes before the next input.
    """

    v: Array
    updated_us: NDArray[np.int64]
    current: Array
    crossing_us: NDArray[np.int64]
    exact: NDArray[np.bool_]


@compiled
def _set_crossing(state: Any, neuron: int, after_us: int, exact: bool) -> int:
    state.crossing_us[neuron] = NEVER if after_us == NEVER else state.updated_us[neuron] + after_us
    state.exact[neuron] = exact
    return state.crossing_us[neuron]


@compiled
def look_ahead_all(state: Any, dynamics: Any) -> None:
    """Finds a time before which no neuron crosses its threshold without any input."""
    for neuron in range(len(state.v)):
        _set_crossing(state, neuron, earliest(_cell(state, dynamics, neuron)), False)


@compiled
def _expect(state: Any, queue: Any, queued_us: Array, neuron: int, end_us: int) -> None:
    """Puts ``neuron`` in the ``queue`` for its crossing, if that comes before the one it is queued for already."""
    crossing_us = state.crossing_us[neuron]
    if crossing_us <= end_us and crossing_us < queued_us[neuron]:
        queued_us[neuron] = crossing_us
        heapq.heappush(queue, (crossing_us, np.int64(neuron)))


@compiled
def _cell(state: Any, dynamics: Any, neuron: int) -> Any:
    tau_syn_us = dynamics.tau_syn_us[neuron] if len(dynamics.tau_syn_us) > 0 else 0.0
    return (
        np.float64(dynamics.threshold[neuron]),
        np.float64(state.v[neuron]),
        np.float64(state.current[neuron]),
        dynamics.v_leak[neuron],
        dynamics.tau_us[neuron],
        tau_syn_us,
    )


@compiled
def _bring(state: Any, dynamics: Any, neuron: int, t_us: int) -> None:
    """Advances ``neuron`` to ``t_us`` without an input."""
    passed_us = t_us - state.updated_us[neuron]
    if passed_us > 0:
        cell = _cell(state, dynamics, neuron)
        away, current = course(passed_us, cell)
        state.v[neuron] = np.float32(dynamics.v_leak[neuron] + away)
        state.current[neuron] = np.float32(current)
        state.updated_us[neuron] = t_us


@compiled
def _fires(state: Any, dynamics: Any, neuron: int) -> bool:
    """Fires ``neuron`` if it is at its threshold, and resets it."""
    if state.v[neuron] < dynamics.threshold[neuron]:
        return False
    after = state.v[neuron] - dynamics.threshold[neuron] if dynamics.subtract else dynamics.v_reset[neuron]
    state.v[neuron] = after
    return True


@compiled
def _crosses(state: Any, dynamics: Any, neuron: int, t_us: int) -> bool:
    """Fires ``neuron`` if it crosses its threshold at ``t_us``; otherwise finds when it does."""
    if not state.exact[neuron]:
        _set_crossing(state, neuron, first_crossing(_cell(state, dynamics, neuron)), True)
    if state.crossing_us[neuron] != t_us:
        return False
    _bring(state, dynamics, neuron, t_us)
    fires = _fires(state, dynamics, neuron)
    _set_crossing(state, neuron, earliest(_cell(state, dynamics, neuron)), False)
    return fires


@compiled
def _receives(state: Any, dynamics: Any, neuron: int, weight: Any, t_us: int) -> bool:
    """Adds an input of ``weight`` to ``neuron`` at ``t_us``, and fires it if that brings it to its threshold."""
    _bring(state, dynamics, neuron, t_us)
    if len(dynamics.tau_syn_us) > 0:
        state.current[neuron] += weight
    else:
        state.v[neuron] += weight
    state.v[neuron] = max(state.v[neuron], dynamics.floor)
    fires = _fires(state, dynamics, neuron)
    _set_crossing(state, neuron, earliest(_cell(state, dynamics, neuron)), False)
    return fires


@compiled
def integrate_crossing(
    state: Any,
    geometries: Any,
    synapses_of: Array,
    dynamics: Any,
    sites: Array,
    keys: Array,
    coordinates: Array,
    end_us: int,
) -> tuple[Array, Array, int]:
    """The effect, in order, of events with ``keys`` (N,) and of crossings up to ``end_us``; changes ``state``.

    Event i arrives at ``coordinates[sites[i]]``, through the weights ``geometries[synapses_of[sites[i]]]``. Returns the
    neurons that fired, in order; the keys of what made them fire; the number of synaptic updates.
    """
    neurons, fired_keys = np.empty(FIRST_ROOM, np.int32), np.empty(FIRST_ROOM, np.int64)
    fired = updates = 0
    queue = [(np.int64(0), np.int64(0)) for _ in range(0)]
    queued_us = np.full(len(state.v), NEVER)
    for neuron in range(len(state.v)):
        _expect(state, queue, queued_us, neuron, end_us)
    for event in range(len(sites) + 1):
        t_us = keys[event] >> TIME if event < len(sites) else end_us
        while len(queue) > 0 and queue[0][0] <= t_us:
            crossing_us, crossing = heapq.heappop(queue)
            if queued_us[crossing] != crossing_us:
                continue
            queued_us[crossing] = NEVER
            if _crosses(state, dynamics, crossing, crossing_us):
                if fired == len(neurons):
                    neurons, fired_keys = grown(neurons, fired + 1), grown(fired_keys, fired + 1)
                neurons[fired], fired_keys[fired] = crossing, crossing_us << TIME
                fired += 1
            _expect(state, queue, queued_us, crossing, end_us)
        if event == len(sites):
            break
        site = sites[event]
        c, y, x = coordinates[site, 0], coordinates[site, 1], coordinates[site, 2]
        if c < 0:
            continue
        geometry = geometries[synapses_of[site]]
        rows, columns, group = geometry.rows, geometry.columns, geometry.features_per_group
        left = columns[x, 0] * geometry.features + c // geometry.inputs_per_group * group
        for row in range(rows[y, 1]):
            start = (rows[y, 0] + row * geometry.row_step) * geometry.width * geometry.features + left
            kernel_row = c * geometry.kernel_rows + rows[y, 2] + row
            for column in range(columns[x, 1]):
                here = start + column * geometry.column_step * geometry.features
                tap = (kernel_row * geometry.kernel_columns + columns[x, 2] + column) * group
                if fired + group > len(neurons):
                    neurons, fired_keys = grown(neurons, fired + group), grown(fired_keys, fired + group)
                for i in range(group):
                    neuron = here + i
                    if _receives(state, dynamics, neuron, geometry.weights[tap + i], t_us):
                        neurons[fired], fired_keys[fired] = neuron, keys[event]
                        fired += 1
                    _expect(state, queue, queued_us, neuron, end_us)
                updates += group
    return neurons[:fired], fired_keys[:fired], updates
