"""The specification in executable form: what one event does, in plain numpy, one event after the other.

It is slow, and every fast path equals it event for event. Each input event is taken through all layers before the
next one: the spikes it causes in a layer enter the following layers in the order in which they left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from deploytool.events import EVENT, EventStream, Shape
from deploytool.graph import Array
from deploytool.program import INPUT, Layer, Program, Route
from deploytool.run.checks import STATE, check_program, check_stream
from deploytool.run.sample import Sample, count

Place: TypeAlias = tuple[int, int, int]
"""(feature, row, column)."""


def run_reference(program: Program, stream: EventStream) -> Sample:
    """What came out of ``program`` for ``stream``: counts and single spikes of every layer.

    Raises UnsupportedError when the program cannot be run event by event, InputError when the stream does not fit it.
    """
    check_program(program)
    check_stream(program, stream)
    integers = program.arithmetic != "float32"
    cores = {name: _Core(layer, integers) for name, layer in program.layers.items()}
    fired: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in (INPUT, *program.parts)}
    for t, *place in stream.events.tolist():
        caused: dict[str, list[Place]] = {INPUT: [(place[0], place[1], place[2])]}
        for logical, parts in program.parts.items():
            queues = [_queue(program, name, caused) for name in parts]
            caused[logical] = [
                spike for arrivals in zip(*queues, strict=True) for spike in _spikes(program, cores, parts, arrivals)
            ]
        for name, places in caused.items():
            fired[name] += [(t, *place) for place in places]
    spikes = {name: np.array(listed, EVENT) for name, listed in fired.items()}
    return Sample(
        name=stream.name, label=stream.label, spikes=spikes, synops=sum(core.updates for core in cores.values()),
        counts={name: count(spikes[name], program.map_of(name)) for name in program.parts},
        extremes={name: (core.lowest, core.highest) for name, core in cores.items()} if integers else {},
    )  # fmt: skip


def _queue(program: Program, name: str, caused: Mapping[str, list[Place]]) -> list[Place]:
    """[(c, y, x)] at which the spikes ``caused`` in earlier logical layers arrive in layer ``name``."""
    arrived = []
    for source, routes in program.inflows(name):
        for c, y, x in caused[source]:
            for part, route in routes.items():
                start = program.place_in(part)[1]
                if start <= c < start + program.map_of(part)[0]:
                    arrived += routed((c - start, y, x), route, program.layers[name].in_shape)
    return arrived


def _spikes(
    program: Program, cores: Mapping[str, _Core], parts: Sequence[str], arrivals: Sequence[Place]
) -> list[Place]:  # fmt: skip
    """The spikes (o, y, x) that one event causes in the ``parts`` of a logical layer, row by row, column by column."""
    spikes = [
        (o + program.place_in(name)[1], y, x)
        for name, arrival in zip(parts, arrivals, strict=True)
        for o, y, x in cores[name].take(*arrival)
    ]
    return sorted(spikes, key=lambda spike: (spike[1], spike[2], spike[0]))


def routed(event: Place, route: Route, shape: Shape) -> list[Place]:
    """[(c, y, x)] at which ``event`` arrives by ``route`` on a map of ``shape``; nothing when that is outside."""
    c, y, x = event
    arrival = c + route.feature_shift, y // route.pool[0], x // route.pool[1]
    return [arrival] if all(at < size for at, size in zip(arrival, shape, strict=True)) else []


class _Core:
    """One layer and its neurons' V (O, H, W)."""

    def __init__(self, layer: Layer, integers: bool) -> None:
        self.layer = layer
        self.integers = integers
        self.number = np.int64 if integers else np.float32
        self.v = np.zeros(layer.out_shape, self.number)
        self.threshold = np.broadcast_to(np.asarray(layer.threshold, self.number), layer.out_shape)
        self.updates, self.lowest, self.highest = 0, 0, 0

    def take(self, c: int, y: int, x: int) -> Iterator[tuple[int, int, int]]:
        """The spikes (o, y, x) that one event causes: target rows, columns and features ascend."""
        layer = self.layer
        outputs = layer.out_shape[0] // layer.groups
        group, channel = divmod(c, layer.weights.shape[1])
        features = slice(group * outputs, (group + 1) * outputs)
        for target_y, ky in self._targets(y, 0):
            for target_x, kx in self._targets(x, 1):
                here = features, target_y, target_x
                self._add(here, layer.weights[features, channel, ky, kx])
                for o in np.flatnonzero(self.v[here] >= self.threshold[here]) + features.start:
                    yield from self._fire(int(o), target_y, target_x)

    def _targets(self, position: int, axis: int) -> Iterator[tuple[int, int]]:
        """(target, kernel index) along one axis, targets ascending: target * s = position + p - k * d."""
        layer = self.layer
        for k in reversed(range(layer.kernel[axis])):
            target, rest = divmod(position + layer.padding[axis] - k * layer.dilation[axis], layer.stride[axis])
            if rest == 0 and 0 <= target < layer.out_shape[1 + axis]:
                yield target, k

    def _add(self, here: Any, weights: Array) -> None:
        v = self.v[here] + weights.astype(self.number)
        if self.integers:
            v = np.clip(v, STATE.min, STATE.max)
        if self.layer.floor is not None:
            v = np.maximum(v, self.number(self.layer.floor))
        self.v[here] = v
        self.updates += v.size
        if self.integers:
            self.lowest, self.highest = min(self.lowest, int(v.min())), max(self.highest, int(v.max()))

    def _fire(self, o: int, y: int, x: int) -> Iterator[tuple[int, int, int]]:
        while self.v[o, y, x] >= self.threshold[o, y, x]:
            yield o, y, x
            self.v[o, y, x] = self.v[o, y, x] - self.threshold[o, y, x] if self.layer.reset == "subtract" else 0
            if self.layer.at_most_one:
                return
