"""The executable specification: processes one event after another in plain Python and numpy.

It is slow, and every fast path equals it event for event. Each input event passes through all layers before the next
one; the spikes it causes in a layer enter the following layers in the order in which they left. A delayed spike is a
separate event when it arrives, and so is each time at which neurons cross their threshold between events, and each tick
of the slow clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.ir.events import EVENT, EventStream, count
from deploytool.ir.program import INPUT, Program, Route, Synapses
from deploytool.ir.recording import DROPPED
from deploytool.ir.spec.verify import level_of, verify
from deploytool.run.record.checks import IN_FLIGHT_MAX, check_in_flight, check_stream
from deploytool.run.record.samples import Sample, decision_us, output_windows
from deploytool.run.reference.crossings import NEVER
from deploytool.run.reference.neurons import Membranes

Place: TypeAlias = tuple[int, int, int]
"""(feature, row, column)."""

CROSSING: Final = -3
TICK: Final = -2
INPUT_EVENT: Final = -1
"""Flows of what waits for its time; the flows from 0 on are those of `Program.delayed`."""

Arrival: TypeAlias = tuple[int, Place]
"""(index of the synapses of a layer, position on their input map)."""


def run_reference(program: Program, stream: EventStream, in_flight: int = IN_FLIGHT_MAX) -> Sample:
    """Counts and single spikes of every layer of ``program`` for ``stream``.

    Raises UnsupportedError if the program cannot be run event by event or has more than ``in_flight`` spikes on delayed
    routes, and InputError if the stream does not match its input.
    """
    verify(program, level_of(program))
    check_stream(program, stream)
    integers = program.arithmetic != "float32"
    neurons = {name: Membranes(layer, program.arithmetic) for name, layer in program.layers.items()}
    fired: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in (INPUT, *program.parts)}
    updates: dict[str, Counter[int]] = {name: Counter() for name in program.layers}
    number = itertools.count()
    ticks = [(t, TICK, next(number), (0, 0, 0)) for t in program.ticks_us(stream.duration_us).tolist()]
    waiting = ticks + [(t, INPUT_EVENT, next(number), (c, y, x)) for t, c, y, x in stream.events.tolist()]
    heapq.heapify(waiting)
    while (t := min(_next(neurons), waiting[0][0] if waiting else NEVER)) < stream.duration_us:
        crossing = _next(neurons) == t
        _, flow, _, place = (t, CROSSING, 0, (0, 0, 0)) if crossing else heapq.heappop(waiting)
        caused: dict[str, list[Place]] = {INPUT: [place] if flow == INPUT_EVENT else []}
        late = {} if flow < 0 else {program.delayed[flow][:2]: [place]}
        for logical, parts in program.parts.items():
            queues = [_queue(program, name, caused, late) for name in parts]
            caused[logical] = _without_input(program, neurons, parts, flow, t)
            for arrivals in zip(*queues, strict=True):
                caused[logical] += _spikes(program, neurons, parts, arrivals, t)
        for name, each in neurons.items():
            updates[name][t // 1000] += each.updates - updates[name].total()
        for name, places in caused.items():
            fired[name] += [(t, *place) for place in places]
        for flow, (_, _, source, route) in enumerate(program.delayed):
            for place in caused[source]:
                delay_us = int(route.delays_us(program.map_of(source))[place])
                heapq.heappush(waiting, (t + delay_us, flow, next(number), place))
        check_in_flight(stream.name, len(waiting) - len(stream) - len(ticks), t, in_flight)
    spikes = {name: np.array(listed, EVENT) for name, listed in fired.items()}
    return Sample(
        name=stream.name,
        label=stream.label,
        spikes=spikes,
        synops=sum(each.updates for each in neurons.values()),
        counts={name: count(spikes[name], program.map_of(name)) for name in program.parts},
        extremes={name: (each.lowest, each.highest) for name, each in neurons.items()} if integers else {},
        decision_us=decision_us(program, stream, spikes),
        windows=output_windows(program, stream, spikes),
        load={name: (each.total(), _busiest(each, 1), _busiest(each, 10)) for name, each in updates.items()},
        measured=_dropped(neurons),
    )


def _dropped(neurons: Mapping[str, Membranes]) -> dict[str, float]:
    """The number of events that each congestion balancer dropped, as figures of a `Sample`."""
    balanced = {name: each.balancer for name, each in neurons.items() if each.balancer.speed is not None}
    return {DROPPED + name: float(each.dropped) for name, each in balanced.items()}


def _busiest(updates: Counter[int], window_ms: int) -> int:
    """The largest number of ``updates`` {ms: number} in ``window_ms`` successive milliseconds."""
    return max((sum(updates[ms - before] for before in range(window_ms)) for ms in list(updates)), default=0)


def _next(neurons: Mapping[str, Membranes]) -> int:
    """The time of the next threshold crossing without input."""
    return min(int(each.crossing_us.min()) for each in neurons.values())


def _queue(
    program: Program, name: str, caused: Mapping[str, list[Place]], late: Mapping[tuple[str, int], list[Place]]
) -> list[Arrival]:
    """The input of layer ``name``, in order: spikes ``caused`` in earlier logical layers, and the flows ``late``."""
    arrived = []
    for number, (source, routes) in enumerate(program.inflows(name)):
        delayed = any(route.delay_us for route in routes.values())
        for c, y, x in late.get((name, number), []) if delayed else caused[source]:
            for part, route in routes.items():
                start = program.place_in(part)[1]
                if start <= c < start + program.map_of(part)[0]:
                    shape = program.layers[name].synapses[route.synapses].in_shape
                    arrived += [(route.synapses, place) for place in routed((c - start, y, x), route, shape)]
    return arrived


def _without_input(
    program: Program, neurons: Mapping[str, Membranes], parts: Sequence[str], flow: int, t_us: int
) -> list[Place]:
    """The spikes (o, y, x) of the ``parts`` of a logical layer that no event causes: crossings, or those of a tick."""
    if flow == CROSSING:
        return [*neurons[parts[0]].cross(t_us)]
    if flow != TICK or parts[0] not in program.biased:
        return []
    return _in_order((o + program.place_in(name)[1], y, x) for name in parts for o, y, x in neurons[name].tick(t_us))


def _in_order(spikes: Iterable[Place]) -> list[Place]:
    """``spikes`` (o, y, x) row by row, column by column, feature by feature."""
    return sorted(spikes, key=lambda spike: (spike[1], spike[2], spike[0]))


def _spikes(
    program: Program, neurons: Mapping[str, Membranes], parts: Sequence[str], arrivals: Sequence[Arrival], t_us: int
) -> list[Place]:
    """The spikes (o, y, x) that one event causes in the ``parts`` of a logical layer, row by row, column by column."""
    return _in_order(
        (o + program.place_in(name)[1], y, x)
        for name, (number, place) in zip(parts, arrivals, strict=True)
        for o, y, x in _accept(neurons[name], program.layers[name].synapses[number], place, t_us)
    )


def _accept(neurons: Membranes, synapses: Synapses, place: Place, t_us: int) -> list[Place]:
    """The spikes (o, y, x) that an event at ``place`` causes, unless the core's balancer drops it."""
    if neurons.balancer.drops(t_us):
        return []
    before = neurons.updates
    spikes = list(_take(neurons, synapses, place, t_us))
    neurons.balancer.work(t_us, neurons.updates - before)
    return spikes


def routed(event: Place, route: Route, shape: Shape) -> list[Place]:
    """[(c, y, x)], the position of ``event`` after ``route`` on a map of ``shape``; [] if outside."""
    c, y, x = event
    arrival = c + route.feature_shift, y // route.pool[0], x // route.pool[1]
    return [arrival] if all(at < size for at, size in zip(arrival, shape, strict=True)) else []


def _take(neurons: Membranes, synapses: Synapses, place: Place, t_us: int) -> Iterator[Place]:
    """The spikes (o, y, x) that an event at ``place`` causes: target rows, columns and features ascend."""
    c, y, x = place
    outputs = synapses.out_shape[0] // synapses.groups
    group, channel = divmod(c, synapses.weights.shape[1])
    features = slice(group * outputs, (group + 1) * outputs)
    for target_y, ky in _targets(synapses, y, 0):
        for target_x, kx in _targets(synapses, x, 1):
            here = features, target_y, target_x
            reached = neurons.add(here, synapses.weights[features, channel, ky, kx], t_us)
            for o in np.flatnonzero(reached) + features.start:
                yield from neurons.fire((int(o), target_y, target_x))


def _targets(synapses: Synapses, position: int, axis: int) -> Iterator[tuple[int, int]]:
    """(target, kernel index) along one axis, targets ascending: target * s = position + p - k * d."""
    padding, stride, dilation = synapses.padding[axis], synapses.stride[axis], synapses.dilation[axis]
    for k in reversed(range(synapses.kernel[axis])):
        target, rest = divmod(position + padding - k * dilation, stride)
        if rest == 0 and 0 <= target < synapses.out_shape[1 + axis]:
            yield target, k
