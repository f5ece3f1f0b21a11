"""The loop for what the others do not take: neurons that leak, and several sets of weights on the same neurons.

It computes what `deploytool.run.neurons` says, in the same bits.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deploytool.graph import Array
from deploytool.program import Layer
from deploytool.run.kernels import FIRST_ROOM, Geometry, compiled, grown, update
from deploytool.run.neurons import on_map, remains


class State(NamedTuple):
    """V (N,) of all neurons, and when each was updated last (N,); no times where none leaks."""

    v: Array
    updated_us: NDArray[np.int64]


class Dynamics(NamedTuple):
    """What neurons (N,) do between updates and when they fire.

    ``tau_us`` is empty where none leaks. ``least`` is the smallest of ``threshold``, ``most`` the number of spikes
    that one update can cause.
    """

    threshold: Array
    least: Any
    floor: Any
    subtract: bool
    most: int
    v_reset: Array
    v_leak: NDArray[np.float64]
    tau_us: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixed:
    """A layer as this loop takes it: ``geometries`` of its sets of weights, and ``branch_of`` (rows of the
    coordinates,) which of them an event at each row meets."""

    geometries: tuple[Geometry, ...]
    branch_of: NDArray[np.int64]
    dynamics: Dynamics

    @property
    def leaks(self) -> bool:
        return len(self.dynamics.tau_us) > 0

    def rest(self) -> State:
        """The state before the first event, V = 0 at time 0."""
        v = np.zeros_like(self.dynamics.threshold)
        return State(v, np.zeros(len(v) if self.leaks else 0, np.int64))

    def integrate(
        self, state: State, sites: Array, times_us: Array, coordinates: Array
    ) -> tuple[Array, Array, int, Any, Any]:  # fmt: skip
        """What `kernels.integrate` gives, for events at ``times_us`` (N,), which only leaks ask for."""
        times_us = times_us if self.leaks else np.zeros(len(sites), np.int64)
        return integrate_mixed(state, self.geometries, self.branch_of, self.dynamics, sites, times_us, coordinates)

    def decay(self, v: Array, passed_us: float) -> None:
        """Lets ``v`` (N,) decay for ``passed_us``, as the clock-driven run does at the start of each step."""
        if self.leaks:
            v[:] = self.dynamics.v_leak + (v - self.dynamics.v_leak) * np.exp(-passed_us / self.dynamics.tau_us)

    def reset(self, v: Array, neurons: Array) -> None:
        """Brings ``neurons`` of ``v`` that were reset to zero to where their reset leads."""
        if not self.dynamics.subtract:
            v[neurons] = np.maximum(self.dynamics.v_reset[neurons], self.dynamics.floor)


def make_mixed(
    layer: Layer, geometries: tuple[Geometry, ...], branch_of: Array, threshold: Array, floor: Any, most: int,
    state: DTypeLike,
) -> Mixed | None:  # fmt: skip
    """How this loop takes ``layer``; None where another can."""
    if layer.tau_ms is None and not layer.branches and not np.any(layer.v_reset):
        return None
    tau_us = np.empty(0)
    if layer.tau_ms is not None:
        tau_us = 1000 * channels_last(on_map(layer.tau_ms, layer.out_shape, np.float64))
    dynamics = Dynamics(
        threshold=threshold, least=threshold.min(), floor=floor, subtract=layer.reset == "subtract", most=most,
        v_reset=channels_last(on_map(layer.v_reset, layer.out_shape, state)),
        v_leak=channels_last(on_map(layer.v_leak, layer.out_shape, np.float64)), tau_us=tau_us,
    )  # fmt: skip
    return Mixed(geometries, branch_of.astype(np.int64), dynamics)


def channels_last(values: Array) -> Array:
    """Values (C, H, W) of neurons as a flat array, channels-last."""
    return values.transpose(1, 2, 0).flatten()


_remains = compiled(remains)


@compiled
def decay(state: State, dynamics: Dynamics, here: int, length: int, t_us: int) -> None:
    """Brings ``length`` neurons from ``here`` on to ``t_us``."""
    v, updated_us, tau_us, v_leak = state.v, state.updated_us, dynamics.tau_us, dynamics.v_leak
    passed_us, tau, factor = 0, 0.0, 1.0
    for neuron in range(np.uint64(here), np.uint64(here + length)):
        now = t_us - updated_us[neuron]
        if now > 0:
            if now != passed_us or tau_us[neuron] != tau:
                passed_us, tau = now, tau_us[neuron]
                factor = _remains(passed_us, tau)
            v[neuron] = v_leak[neuron] + (v[neuron] - v_leak[neuron]) * factor
            updated_us[neuron] = t_us


@compiled
def fire(v: Array, dynamics: Dynamics, here: int, length: int, neurons: Array, fired: int) -> int:
    """Lets ``length`` neurons of ``v`` from ``here`` on fire, writes them to ``neurons[fired:]``, resets them; the new
    end."""
    for neuron in range(np.uint64(here), np.uint64(here + length)):
        end = fired + dynamics.most
        while v[neuron] >= dynamics.threshold[neuron] and fired < end:
            neurons[fired] = neuron
            fired += 1
            v[neuron] = v[neuron] - dynamics.threshold[neuron] if dynamics.subtract else dynamics.v_reset[neuron]
    return fired


@compiled
def integrate_mixed(
    state: State, geometries: Any, branch_of: Array, dynamics: Dynamics, sites: Array, times_us: Array,
    coordinates: Array,
) -> tuple[Array, Array, int, Any, Any]:  # fmt: skip
    """`kernels.integrate` with the weights ``geometries[branch_of[sites[i]]]`` for event i, and leaks."""
    neurons = np.empty(FIRST_ROOM, np.int32)
    caused = np.zeros(len(sites), np.int32)
    fired = updates = 0
    v, leaks = state.v, len(dynamics.tau_us) > 0
    lowest = highest = v.dtype.type(0)
    for event in range(len(sites)):
        site = sites[event]
        c, y, x = coordinates[site, 0], coordinates[site, 1], coordinates[site, 2]
        if c < 0:
            continue
        geometry = geometries[branch_of[site]]
        rows, columns, group = geometry.rows, geometry.columns, geometry.features_per_group
        row_stride, column_stride = geometry.width * geometry.features, geometry.column_step * geometry.features
        before = fired
        together = max(columns[x, 1], 1) if column_stride == group else 1
        length = together * group
        left = columns[x, 0] * geometry.features + c // geometry.inputs_per_group * group
        for row in range(rows[y, 1]):
            start = (rows[y, 0] + row * geometry.row_step) * row_stride + left
            kernel_row = c * geometry.kernel_rows + rows[y, 2] + row
            taps = (kernel_row * geometry.kernel_columns + columns[x, 2]) * group
            for column in range(0, columns[x, 1], together):
                here = start + column * column_stride
                if leaks:
                    decay(state, dynamics, here, length, times_us[event])
                reached, low, high = update(
                    v, here, geometry.weights, taps + column * group, length, dynamics.floor, dynamics.least
                )
                updates += length
                lowest = min(lowest, low)
                highest = max(highest, high)
                if reached:
                    if fired + length * dynamics.most > len(neurons):
                        neurons = grown(neurons, fired + length * dynamics.most)
                    fired = fire(v, dynamics, here, length, neurons, fired)
        caused[event] = fired - before
    return neurons[:fired], caused, updates, lowest, highest
