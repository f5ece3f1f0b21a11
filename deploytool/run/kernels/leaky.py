"""The loop for layers that the others do not support: leaky neurons, and several synapses on the same neurons.

Its results are bit-identical to those of `deploytool.run.reference.neurons`.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call, return-value"
# numba has no types of its own.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.ir.events import to_channels_last
from deploytool.ir.program import Layer
from deploytool.run.kernels.crossing import CrossingState, integrate_crossing, look_ahead_all
from deploytool.run.kernels.general import FIRST_ROOM, Geometry, grown, update
from deploytool.run.reference.exponential import HALVES, LOG2_HIGH, LOG2_LOW, LONG, PER_LOG2, TERMS, remains
from deploytool.run.reference.neurons import on_map

TABLE: Final = 1 << 16
"""Microseconds up to which the exponential is read from a table if all neurons have the same time constant."""


STRETCH: Final = 32
"""Number of neurons that one test checks for any at its threshold."""


class State(NamedTuple):
    """V (N,) of all neurons, and the time of the last update of each block of them; no times if no neuron leaks."""

    v: Array
    updated_us: NDArray[np.int64]


class Tables(NamedTuple):
    """The `Geometry` of all sets of weights, one after the other, and the ``numbers`` of each."""

    weights: Array
    rows: Array
    columns: Array
    numbers: NDArray[np.int64]


(
    FIRST_WEIGHT,
    FIRST_ROW,
    FIRST_COLUMN,
    KERNEL_ROWS,
    KERNEL_COLUMNS,
    ROW_STEP,
    ROW_STRIDE,
    COLUMN_STRIDE,
    FEATURES,
    GROUP,
    INPUTS,
) = range(11)
"""Columns of the numbers of `Tables`."""


class Dynamics(NamedTuple):
    """What neurons (N,) do between updates and when they fire.

    ``tau_us`` is empty if no neuron leaks, ``tau_syn_us`` if none has a synapse that decays. ``least`` is the smallest
    of ``threshold``, ``most`` the number of spikes that one update can cause. Events reach ``block`` consecutive
    neurons at a time, or several such blocks. ``factors`` (T,) is the share left after 0 .. T - 1 us, if all neurons
    have the same tau.
    """

    threshold: Array
    least: Any
    floor: Any
    subtract: bool
    most: int
    v_reset: Array
    v_leak: NDArray[np.float64]
    tau_us: NDArray[np.float64]
    tau_syn_us: NDArray[np.float64]
    block: int
    factors: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeakyLayer:
    """A layer in the form that this loop takes: ``geometries`` of its synapses, and ``synapses_of`` (rows of the
    coordinates,), the index of the synapses that an event at each row meets."""

    geometries: tuple[Geometry, ...]
    synapses_of: NDArray[np.int64]
    dynamics: Dynamics
    tables: Tables
    tick_site: int | None = None
    """The row of the coordinates at which ticks of the slow clock arrive. A tick is no synaptic update."""
    fires_between: bool = False
    """Whether neurons may reach their threshold between two events: `run_crossing` runs these, `integrate` does not."""

    @property
    def leaks(self) -> bool:
        return len(self.dynamics.tau_us) > 0

    def rest(self, start: Array) -> State | CrossingState:
        """The state before the first event, V = ``start`` (N,) at time 0."""
        if self.fires_between:
            zeros, no_current = np.zeros(len(start), np.int64), np.zeros_like(start)
            state = CrossingState(start.copy(), zeros, no_current, zeros.copy(), np.zeros(len(start), np.bool_))
            look_ahead_all(state, self.dynamics)
            return state
        return State(start.copy(), np.zeros(len(start) // self.dynamics.block if self.leaks else 0, np.int64))

    def integrate(
        self, state: Any, sites: Array, times_us: Array, coordinates: Array
    ) -> tuple[Array, Array, int, Any, Any]:
        """The results of `kernels.integrate` for events at ``times_us`` (N,), which matter only for leaks."""
        if self.fires_between:
            neurons, _, updates = self.run_crossing(state, sites, times_us, coordinates, -1)
            return neurons, np.zeros(len(sites), np.int32), updates, state.v[0], state.v[0]
        times_us = times_us if self.leaks else np.zeros(len(sites), np.int64)
        neurons, caused, updates, low, high = integrate_leaky(
            state, self.tables, self.synapses_of, self.dynamics, sites, times_us, coordinates
        )
        return neurons, caused, updates - self._by_ticks(sites), low, high

    def run_crossing(
        self, state: CrossingState, sites: Array, keys: Array, coordinates: Array, end_us: int
    ) -> tuple[Array, Array, int]:
        """The results of `crossing.integrate_crossing`."""
        neurons, fired_keys, updates = integrate_crossing(
            state, self.geometries, self.synapses_of, self.dynamics, sites, keys, coordinates, end_us
        )
        return neurons, fired_keys, updates - self._by_ticks(sites)

    def _by_ticks(self, sites: Array) -> int:
        """The number of updates by ticks among the events at ``sites`` (N,)."""
        if self.tick_site is None:
            return 0
        return len(self.dynamics.threshold) * int(np.count_nonzero(sites == self.tick_site))

    def reset(self, v: Array, neurons: Array) -> None:
        """Sets neurons of ``v`` that were reset to zero to their reset potential."""
        if not self.dynamics.subtract:
            v[neurons] = np.maximum(self.dynamics.v_reset[neurons], self.dynamics.floor)


def make_leaky_layer(
    layer: Layer,
    geometries: tuple[Geometry, ...],
    synapses_of: Array,
    threshold: Array,
    floor: Any,
    most: int,
    state: DTypeLike,
) -> LeakyLayer | None:
    """``layer`` in the form that this loop takes; None if another loop can run it.

    ``geometries`` are those of its synapses, and one more if ticks of the slow clock arrive at the last site.
    """
    neurons, leak = layer.neurons, layer.neurons.leak
    if leak is None and len(geometries) == 1 and not np.any(neurons.v_reset):
        return None
    tau_ms, v_leak, tau_syn_ms = (None, 0.0, None) if leak is None else (leak.tau_ms, leak.v_leak, leak.tau_syn_ms)
    tau_us, tau_syn_us = (
        np.empty(0) if each is None else 1000 * to_channels_last(on_map(each, layer.out_shape, np.float64))
        for each in (tau_ms, tau_syn_ms)
    )
    dynamics = Dynamics(
        threshold=threshold,
        least=threshold.min(),
        floor=floor,
        subtract=neurons.reset == "subtract",
        most=most,
        v_reset=to_channels_last(on_map(neurons.v_reset, layer.out_shape, state)),
        v_leak=to_channels_last(on_map(v_leak, layer.out_shape, np.float64)),
        tau_us=tau_us,
        tau_syn_us=tau_syn_us,
        block=math.gcd(*(geometry.features_per_group for geometry in geometries)),
        factors=_factors(tau_us),
    )
    ticked = len(geometries) > len(layer.synapses)
    return LeakyLayer(
        geometries=geometries,
        synapses_of=synapses_of.astype(np.int64),
        dynamics=dynamics,
        tables=_tables(geometries),
        tick_site=len(synapses_of) - 1 if ticked else None,
        fires_between=neurons.fires_between,
    )


def _tables(geometries: tuple[Geometry, ...]) -> Tables:
    numbers, weights, rows, columns = [], 0, 0, 0
    for each in geometries:
        row_stride, column_stride = each.width * each.features, each.column_step * each.features
        numbers.append(
            (
                weights,
                rows,
                columns,
                each.kernel_rows,
                each.kernel_columns,
                each.row_step,
                row_stride,
                column_stride,
                each.features,
                each.features_per_group,
                each.inputs_per_group,
            )
        )
        weights, rows, columns = weights + len(each.weights), rows + len(each.rows), columns + len(each.columns)
    return Tables(
        weights=np.concatenate([each.weights for each in geometries]),
        rows=np.concatenate([each.rows for each in geometries]),
        columns=np.concatenate([each.columns for each in geometries]),
        numbers=np.array(numbers, np.int64),
    )


def _factors(tau_us: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(tau_us) or np.any(tau_us != tau_us[0]):
        return np.empty(0)
    return all_remains(min(TABLE, math.ceil(LONG * tau_us[0])), tau_us[0])


@compiled
def all_remains(number: int, tau_us: float) -> NDArray[np.float64]:
    """The results of `remains` for 0 .. ``number`` - 1 us."""
    found = np.empty(number)
    for passed_us in range(number):
        found[passed_us] = remains(passed_us, tau_us)
    return found


@compiled
def decay(v: Array, here: int, length: int, factor: float, v_leak: NDArray[np.float64]) -> None:
    """Multiplies the distance from ``v_leak`` by ``factor`` for ``length`` neurons from ``here`` on."""
    first = np.uint64(here)
    for i in range(np.uint64(length)):
        v[first + i] = np.float32(v_leak[first + i] + (v[first + i] - v_leak[first + i]) * factor)


@compiled
def decay_each(
    v: Array,
    here: int,
    length: int,
    passed_us: int,
    tau_us: NDArray[np.float64],
    v_leak: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """The same after ``passed_us`` for neurons that differ in ``tau_us``: computes `remains` for all at once, step by
    step, in ``scratch`` (3, length)."""
    first, count = np.uint64(here), np.uint64(length)
    whole, rest, power = scratch[0], scratch[1], scratch[2]
    for i in range(count):
        x = min(passed_us / tau_us[first + i], LONG)
        whole[i] = np.floor(x * PER_LOG2 + 0.5)
        rest[i] = whole[i] * LOG2_HIGH - x + whole[i] * LOG2_LOW
        power[i] = 0.0
    for term in TERMS:
        for i in range(count):
            power[i] = power[i] * rest[i] + term
    for i in range(count):
        factor = power[i] * HALVES[np.uint64(whole[i])]
        v[first + i] = np.float32(v_leak[first + i] + (v[first + i] - v_leak[first + i]) * factor)


@compiled
def fire(
    v: Array,
    threshold: Array,
    v_reset: Array,
    subtract: bool,
    most: int,
    here: int,
    length: int,
    neurons: Array,
    fired: int,
) -> int:
    """Fires those of ``length`` neurons of ``v`` from ``here`` on that are at their threshold; returns the new end.

    Writes them to ``neurons[fired:]`` and resets them. Every neuron is written, but the end advances only for those
    that fire: no branch to mispredict.
    """
    first = np.uint64(here)
    end = np.uint64(fired)
    for begin in range(np.uint64(0), np.uint64(length), np.uint64(STRETCH)):
        stop = min(begin + np.uint64(STRETCH), np.uint64(length))
        reached = np.int32(0)
        for i in range(begin, stop):
            reached = np.int32(reached | np.int32(v[first + i] >= threshold[first + i]))
        if reached:
            for i in range(begin, stop):
                neurons[end] = first + i
                end += np.uint64(v[first + i] >= threshold[first + i])
    if most > 1:
        return fire_again(v, threshold, v_reset, subtract, most, neurons, fired, neurons[fired:end].copy())
    for spike in range(np.uint64(fired), end):
        neuron = np.uint64(neurons[spike])
        v[neuron] = v[neuron] - threshold[neuron] if subtract else v_reset[neuron]
    return np.int64(end)


@compiled
def fire_again(
    v: Array, threshold: Array, v_reset: Array, subtract: bool, most: int, neurons: Array, fired: int, ready: Array
) -> int:
    """Fires each neuron of ``ready`` until V < threshold, at most ``most`` times, and writes it once per spike; returns
    the new end."""
    for neuron in ready:
        end = fired + most
        while v[neuron] >= threshold[neuron] and fired < end:
            neurons[fired] = neuron
            fired += 1
            v[neuron] = v[neuron] - threshold[neuron] if subtract else v_reset[neuron]
    return fired


@compiled
def integrate_leaky(
    state: State,
    tables: Tables,
    synapses_of: Array,
    dynamics: Dynamics,
    sites: Array,
    times_us: Array,
    coordinates: Array,
) -> tuple[Array, Array, int, Any, Any]:
    """`kernels.integrate` with the weights of ``synapses_of[sites[i]]`` for event i, and leaks."""
    neurons = np.empty(FIRST_ROOM, np.int32)
    caused = np.zeros(len(sites), np.int32)
    fired = updates = 0
    v, updated_us, threshold, v_reset = state.v, state.updated_us, dynamics.threshold, dynamics.v_reset
    floor, least, subtract, most = dynamics.floor, dynamics.least, dynamics.subtract, dynamics.most
    tau_us, v_leak, block, factors = dynamics.tau_us, dynamics.v_leak, dynamics.block, dynamics.factors
    weights, rows, columns, numbers = tables.weights, tables.rows, tables.columns, tables.numbers
    leaks, looked_up = len(tau_us) > 0, len(factors) > 0
    scratch = np.empty((3, block))
    lowest = highest = v.dtype.type(0)
    for event in range(len(sites)):
        site = sites[event]
        which = synapses_of[site]
        c, y, x = coordinates[site, 0], coordinates[site, 1] + numbers[which, FIRST_ROW], coordinates[site, 2]
        if c < 0:
            continue
        x += numbers[which, FIRST_COLUMN]
        group, column_stride = numbers[which, GROUP], numbers[which, COLUMN_STRIDE]
        before = fired
        together = max(columns[x, 1], 1) if column_stride == group else 1
        length = together * group
        left = columns[x, 0] * numbers[which, FEATURES] + c // numbers[which, INPUTS] * group
        for row in range(rows[y, 1]):
            start = (rows[y, 0] + row * numbers[which, ROW_STEP]) * numbers[which, ROW_STRIDE] + left
            kernel_row = c * numbers[which, KERNEL_ROWS] + rows[y, 2] + row
            taps = (kernel_row * numbers[which, KERNEL_COLUMNS] + columns[x, 2]) * group + numbers[which, FIRST_WEIGHT]
            for column in range(0, columns[x, 1], together):
                here = start + column * column_stride
                if leaks:
                    for first in range(here, here + length, block):
                        passed_us = times_us[event] - updated_us[first // block]
                        updated_us[first // block] = times_us[event]
                        if passed_us > 0 and looked_up:
                            known = passed_us < len(factors)
                            factor = factors[passed_us] if known else remains(passed_us, tau_us[first])
                            decay(v, first, block, factor, v_leak)
                        elif passed_us > 0:
                            decay_each(v, first, block, passed_us, tau_us, v_leak, scratch)
                reached, low, high = update(v, here, weights, taps + column * group, length, floor, least)
                updates += length
                lowest = min(lowest, low)
                highest = max(highest, high)
                if reached:
                    if fired + length * most > len(neurons):
                        neurons = grown(neurons, fired + length * most)
                    fired = fire(v, threshold, v_reset, subtract, most, here, length, neurons, fired)
        caused[event] = fired - before
    return neurons[:fired], caused, updates, lowest, highest
