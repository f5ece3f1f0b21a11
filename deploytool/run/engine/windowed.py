"""The engine for programs with delays, feedback, or threshold crossings between events: runs in windows of time.

No delayed spike arrives sooner than the shortest delay after it left. In a window no longer than that, all delayed
arrivals are known when the window begins, and layers run one after the other over it, as they do without delays. A root
is an event at the input, a spike that arrives late, or the crossings of one time. All that a root causes at once has
its key, which orders by time, and within one time by the rules of `deploytool.ir.program`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.events import (
    EVENT,
    Events,
    EventStream,
    at_neurons,
    from_channels_last,
    neurons_of,
    to_channels_last,
)
from deploytool.ir.program import CLOCK, INPUT, Program
from deploytool.run.engine.decimator import Decimator
from deploytool.run.engine.follower import Follower
from deploytool.run.engine.limits import LIMITS, Limits
from deploytool.run.engine.timing import WindowTiming
from deploytool.run.kernels.crossing import TIME
from deploytool.run.kernels.general import tally
from deploytool.run.plan.layers import Fired, LayerPlan, Plan
from deploytool.run.record.checks import check_in_flight, check_kept
from deploytool.run.record.samples import Sample
from deploytool.run.reference.crossings import NEVER

TICKS: Final = -2
EVENTS: Final = -1
"""The flows of the slow clock and of the input."""


@dataclass(frozen=True, eq=False)
class Roots:
    """The roots of a window that ends with ``end_us``, in order: ``keys`` (N,), ``flows`` (N,), TICKS, EVENTS or a
    delayed flow from 0 on, and ``neurons`` (N,)."""

    end_us: int
    keys: NDArray[np.int64]
    flows: NDArray[np.int64]
    neurons: NDArray[np.int32]

    def of(self, flow: int) -> Fired:
        """(keys, neurons) of the events of ``flow``."""
        chosen = self.flows == flow
        return self.keys[chosen], self.neurons[chosen]


class InFlight:
    """Pending events of the slow clock, of the input and of every delayed flow, in order of time.

    This object is mutable: the run removes and adds events.
    """

    def __init__(self, program: Program, stream: EventStream, limits: Limits) -> None:
        self.limits = limits
        self.name, self.duration_us = stream.name, stream.duration_us
        self.delays_us = [
            to_channels_last(route.delays_us(program.map_of(source))) for _, _, source, route in program.delayed
        ]
        self.shortest_us = min((int(delays.min()) for delays in self.delays_us), default=stream.duration_us)
        nothing = np.empty(0, np.int64), np.empty(0, np.int32)
        ticks_us = program.ticks_us(stream.duration_us)
        self.flows = {TICKS: (ticks_us, np.zeros(len(ticks_us), np.int32))}
        self.flows[EVENTS] = stream.events["t"], neurons_of(stream.events, program.input_shape)
        self.flows |= dict.fromkeys(range(len(self.delays_us)), nothing)

    def take(self, crossing_us: int) -> Roots | None:
        """The roots of the next window, or None at the end. ``crossing_us`` is the next crossing without them."""
        begin_us = min([crossing_us, *(int(times[0]) for times, _ in self.flows.values() if len(times))])
        if begin_us >= self.duration_us:
            return None
        end_us = min(begin_us + self.shortest_us, self.duration_us) - 1
        taken = {flow: int(np.searchsorted(times, end_us, "right")) for flow, (times, _) in self.flows.items()}
        taken = {flow: min(count, self.limits.roots) for flow, count in taken.items()}
        times = np.concatenate([self.flows[flow][0][:count] for flow, count in taken.items()])
        neurons = np.concatenate([self.flows[flow][1][:count] for flow, count in taken.items()])
        flows = np.repeat(list(taken), list(taken.values()))
        order = np.argsort(times, kind="stable")[: self.limits.roots]
        for flow, count in zip(*np.unique(flows[order], return_counts=True), strict=True):
            left_times, left_neurons = self.flows[int(flow)]
            self.flows[int(flow)] = left_times[count:], left_neurons[count:]
        if len(order) == self.limits.roots:
            end_us = int(times[order[-1]])
        return Roots(end_us, (times[order] << TIME) + np.arange(1, len(order) + 1), flows[order], neurons[order])

    def leave(self, flow: int, spikes: Fired) -> None:
        """Puts ``spikes`` (keys, neurons) on ``flow``; drops those that would arrive after the end."""
        keys, neurons = spikes
        arrive_us = (keys >> TIME) + self.delays_us[flow][neurons]
        before_end = arrive_us < self.duration_us
        times = np.concatenate([self.flows[flow][0], arrive_us[before_end]])
        order = np.argsort(times, kind="stable")
        self.flows[flow] = times[order], np.concatenate([self.flows[flow][1], neurons[before_end]])[order]

    def check(self, t_us: int) -> None:
        """Raises UnsupportedError if more spikes are pending than the limit (runaway excitation)."""
        spikes = sum(len(times) for flow, (times, _) in self.flows.items() if flow >= 0)
        check_in_flight(self.name, spikes, t_us, self.limits.in_flight)


def run_in_windows(
    plan: Plan,
    stream: EventStream,
    watch: Sequence[str],
    keep_spikes: bool = False,
    limits: Limits = LIMITS,
    follower: Follower | None = None,
) -> Sample:
    """The result of `deploytool.run.engine.event_driven.run_sample` for a ``plan`` that `needs_windows`.

    Raises UnsupportedError for runaway excitation.
    """
    program = plan.program
    state = {layer.name: layer.rest() for layer in plan.layers}
    decimators = {layer.name: Decimator(layer) for layer in plan.layers}
    extremes = {layer.name: (0, 0) for layer in plan.layers if layer.layout is None}
    in_flight = InFlight(program, stream, limits)
    flow_of = {(each.to, each.number): flow for flow, each in enumerate(program.delayed)}
    timing, kept = WindowTiming(plan, stream), _Kept(program, stream, watch, keep_spikes, follower)
    while (roots := in_flight.take(_next_crossing(plan, state))) is not None:
        fired: dict[str, Fired] = {CLOCK: roots.of(TICKS), INPUT: roots.of(EVENTS)}
        for layer in plan.layers:
            keys, sites = _arrivals(layer, fired, roots, flow_of)
            timing.arrived(layer, keys, sites)
            if follower is not None:
                follower.arrived(layer, keys, keys >> TIME, sites)
            left = _through(layer, state[layer.name], (keys, sites), roots.end_us, extremes)
            layer.leave(fired, *decimators[layer.name].keyed(*left))
        for flow, (_, _, source, _) in enumerate(program.delayed):
            in_flight.leave(flow, fired[source])
        in_flight.check(roots.end_us)
        timing.fired(fired)
        limits.heard(min(1.0, (roots.end_us + 1) / stream.duration_us))
        kept.add(fired)
    timing.evaluate()
    return Sample(
        name=stream.name,
        label=stream.label,
        synops=int(timing.load.totals()[0]),
        counts=kept.maps(),
        spikes=kept.streams(),
        extremes={} if program.arithmetic == "float32" else extremes,
        decision_us=int(timing.decisions.found[0]),
        load={name: tuple(rows[0].tolist()) for name, rows in timing.load.found.items()},
        windows=timing.windows.found[0],
    )


class _Kept:
    """The counts of the layers in ``watch`` and, if requested, their single spikes. This object is mutable."""

    def __init__(
        self, program: Program, stream: EventStream, watch: Sequence[str], keep_spikes: bool, follower: Follower | None
    ) -> None:
        self.program, self.stream, self.follower = program, stream, follower
        self.counts = {name: np.zeros(math.prod(program.map_of(name)), np.int64) for name in watch}
        self.spikes = {name: [np.empty(0, EVENT)] for name in watch} if keep_spikes else None
        self.single = 0

    def add(self, fired: Mapping[str, Fired]) -> None:
        """Adds the spikes of a window. Raises UnsupportedError for more single spikes than can be kept."""
        for name, counts in self.counts.items():
            tally(counts, fired[name][1])
        if self.spikes is None:
            return
        self.single += sum(len(fired[name][0]) for name in self.spikes)
        check_kept(self.stream.name, self.single)
        for name, parts in self.spikes.items():
            keys, neurons = fired[name]
            parts.append(at_neurons(keys >> TIME, neurons, self.program.map_of(name)))
            if self.follower is not None:
                self.follower.left(name, keys)

    def maps(self) -> dict[str, Array]:
        """{layer: counts (C, H, W)}."""
        return {name: from_channels_last(counts, self.program.map_of(name)) for name, counts in self.counts.items()}

    def streams(self) -> dict[str, Events]:
        """{layer: its spikes}, with the events at the input; empty if single spikes were not requested."""
        if self.spikes is None:
            return {}
        return {INPUT: self.stream.events, **{name: np.concatenate(parts) for name, parts in self.spikes.items()}}


def _through(layer: LayerPlan, state: Any, arrived: Fired, end_us: int, extremes: dict[str, tuple[int, int]]) -> Fired:
    """The spikes of ``layer`` for what ``arrived`` in a window, (keys, neurons); ``state`` and ``extremes`` change."""
    keys, sites = arrived
    if layer.leaky is not None and layer.leaky.fires_between:
        neurons, fired_keys, _ = layer.leaky.run_crossing(state, sites, keys, layer.coordinates, end_us)
        return fired_keys, neurons
    result = layer.integrate(state, sites, keys >> TIME)
    if result.extremes is not None:
        low, high = extremes[layer.name]
        extremes[layer.name] = min(low, int(result.extremes[0])), max(high, int(result.extremes[1]))
    return np.repeat(keys, result.caused), result.neurons


def needs_windows(plan: Plan) -> bool:
    """Whether a program has delays, or neurons that can fire between events."""
    between = (layer.leaky is not None and layer.leaky.fires_between for layer in plan.layers)
    return bool(plan.program.delayed) or any(between)


def _next_crossing(plan: Plan, state: Mapping[str, Any]) -> int:
    between = [layer.name for layer in plan.layers if layer.leaky is not None and layer.leaky.fires_between]
    return min((int(state[name].crossing_us.min()) for name in between), default=NEVER)


def _arrivals(layer: LayerPlan, fired: Mapping[str, Fired], roots: Roots, flow_of: Mapping[Any, int]) -> Fired:
    """(keys, rows of ``layer.coordinates``) of the events that arrive at ``layer``, delayed or not, in key order."""
    flows = [
        roots.of(flow_of[layer.name, number]) if (layer.name, number) in flow_of else fired[source]
        for number, (source, _) in enumerate(layer.sources, start=-layer.ticks)
    ]
    keys = np.concatenate([keys for keys, _ in flows])
    sites = [neurons + np.int32(offset) for (_, neurons), (_, offset) in zip(flows, layer.sources, strict=True)]
    order = np.argsort(keys, kind="stable")
    return keys[order], np.concatenate(sites)[order]
