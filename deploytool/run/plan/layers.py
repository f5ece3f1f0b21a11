"""The plan: a Program as the tables and arrays that the compiled loops read. Made once, used for every sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from deploytool.base.arrays import Array, Shape, frozen
from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import to_channels_last
from deploytool.ir.program import CLOCK, INPUT, Layer, Program, Route, Synapses
from deploytool.ir.spec.verify import level_of, verify
from deploytool.run.kernels.general import Geometry, integrate
from deploytool.run.kernels.leaky import LeakyLayer, make_leaky_layer
from deploytool.run.plan.chain import Chain, Step, make_chain
from deploytool.run.plan.tiles import TileLayout, make_tiles
from deploytool.run.plan.windows import Layout, make_layout
from deploytool.run.reference.neurons import on_map

Fired: TypeAlias = tuple[Array, Array]
"""(tags, neurons) of spikes: neurons (N,) int32, channels-last; tags (N,) are their causes, or how often they fired."""

NO_TIMES: Final = np.empty(0, np.int64)
NO_EXTREMES: Final = np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Part:
    """The ``logical`` layer of a part: the part's neuron n is ``neurons[n]`` there. ``last``: it is the last part."""

    logical: str
    neurons: Array
    last: bool


class Integrated(NamedTuple):
    """The effect of events on a layer: the ``neurons`` that fired, in order; the number of these spikes that each event
    ``caused``; and, from the general loop, the (lowest, highest) V."""

    neurons: Array
    caused: Array
    extremes: tuple[Any, Any] | None = None


class Caused(NamedTuple):
    """The effect of a batch on a layer: as `Integrated`, with the ``ends`` (S,) of each sample's spikes, and, from
    the general loop, its (lowest, highest) V (S, 2)."""

    neurons: Array
    caused: Array
    ends: Array
    extremes: Array = NO_EXTREMES


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer. ``feeders``: for each flow that leads here, the logical layer where it starts, and an offset.

    ``coordinates`` (N, 3): row offset + n is the position (c, y, x) on the input map at which a spike of that layer's
    neuron n arrives; c = -1 is outside. ``least`` is the smallest of ``threshold`` (N,), ``start`` (N,) is V before the
    first event, ``most`` is the largest number of spikes that one update can cause. ``layout`` is set if the vector
    loops can run this layer, ``leaky`` if only its own loop can; ``geometry`` then is that of the first synapses.
    ``tick_site`` is the row of ``coordinates``, the last one, at which ticks of the slow clock arrive, None without a
    bias. One in ``decimation`` spikes leaves.
    """

    name: str
    shape: Shape
    feeders: tuple[tuple[str, int], ...]
    coordinates: Array
    geometry: Geometry
    threshold: Array
    start: Array
    least: Any
    floor: Any
    subtract: bool
    most: int
    part: Part | None = None
    layout: Layout | TileLayout | None = None
    leaky: LeakyLayer | None = None
    tick_site: int | None = None
    decimation: int = 1

    def rest(self) -> Any:
        """The state before the first event."""
        if self.leaky is not None:
            return self.leaky.rest(self.start)
        return self.start.copy() if self.layout is None else self.layout.rest()

    @property
    def ticks(self) -> bool:
        """Whether the layer takes ticks of the slow clock."""
        return self.tick_site is not None

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        """``feeders``, after the slow clock if the layer takes its ticks."""
        return self.feeders if self.tick_site is None else ((CLOCK, self.tick_site), *self.feeders)

    @property
    def leaks(self) -> bool:
        """Whether V depends on the times of events, not only on their order."""
        return self.leaky is not None and self.leaky.leaks

    @cached_property
    def reach(self) -> Array:
        """(N,) int32: the number of neurons that an event at each row of ``coordinates`` reaches.

        It is 0 for a tick, which is no synaptic update.
        """
        found = np.zeros(len(self.coordinates), np.int32)
        starts = [first for _, first in self.feeders]
        for first, stop in itertools.pairwise([*starts, len(found) if self.tick_site is None else self.tick_site]):
            inside = first + np.flatnonzero(self.coordinates[first:stop, 0] >= 0)
            _, y, x = self.coordinates[inside].T
            geometry = self.geometry_of(first)
            found[inside] = geometry.rows[y, 1] * geometry.columns[x, 1] * geometry.features_per_group
        return frozen(found)

    def integrate(self, state: Any, sites: Array, times_us: Array = NO_TIMES) -> Integrated:
        """The effect of events at ``sites`` (N,), rows of ``coordinates``, one after the other; changes ``state``.

        ``times_us`` (N,) are their times, for a layer that leaks.
        """
        if self.layout is not None:
            neurons, caused, _ = self.layout.integrate(state, sites, np.array([len(sites)]))
            return Integrated(neurons, caused)
        if self.leaky is not None:
            neurons, caused, _, lowest, highest = self.leaky.integrate(state, sites, times_us, self.coordinates)
            return Integrated(neurons, caused, (lowest, highest))
        neurons, caused, _, lowest, highest = integrate(
            state,
            self.geometry,
            self.threshold,
            self.least,
            self.floor,
            self.subtract,
            self.most,
            sites,
            self.coordinates,
        )
        return Integrated(neurons, caused, (lowest, highest))

    def integrate_samples(self, state: Any, sites: Array, ends: Array, times_us: Array = NO_TIMES) -> Caused:
        """The effect of events at ``sites`` (N,) of samples that end at ``ends`` (S,). The first sample continues from
        ``state``, which is changed; the others begin at rest."""
        if self.layout is not None:
            return Caused(*self.layout.integrate(state, sites, ends))
        each, begin = [], 0
        for sample, end in enumerate(ends.tolist()):
            start = self.rest() if sample else state
            each.append(self.integrate(start, sites[begin:end], times_us[begin:end]))
            begin = end
        return Caused(
            neurons=np.concatenate([result.neurons for result in each]),
            caused=np.concatenate([result.caused for result in each]),
            ends=np.cumsum([len(result.neurons) for result in each]),
            extremes=np.array([result.extremes for result in each]),
        )

    def geometry_of(self, site: int) -> Geometry:
        """The geometry for an event at row ``site`` of ``coordinates``."""
        return self.geometry if self.leaky is None else self.leaky.geometries[self.leaky.synapses_of[site]]

    def arrivals(self, fired: Mapping[str, Fired]) -> Fired:
        """(tags, rows of ``coordinates``) of the spikes that arrive, flow by flow."""
        if len(self.feeders) == 1:
            return fired[self.feeders[0][0]]
        tags = [fired[source][0] for source, _ in self.feeders]
        sites = [fired[source][1] + np.int32(offset) for source, offset in self.feeders]
        return np.concatenate(tags), np.concatenate(sites)

    def leave(self, fired: dict[str, Fired], tags: Array, neurons: Array) -> None:
        """Adds spikes of this layer to those that its logical layer ``fired``."""
        if self.part is None:
            fired[self.name] = tags, neurons
            return
        before = fired.get(self.part.logical, (tags[:0], neurons[:0]))
        neurons = self.part.neurons[neurons]
        fired[self.part.logical] = np.concatenate([before[0], tags]), np.concatenate([before[1], neurons])


@dataclass(frozen=True, eq=False)
class Plan:
    """A ``program``, and its ``layers`` in order, in the form that the compiled loops read.

    Unless it is ``stepwise``, layers that are a `chain` run in one call.
    """

    program: Program
    layers: tuple[LayerPlan, ...]
    stepwise: bool = False

    @cached_property
    def chain(self) -> Chain | None:
        """The layers as a chain, whose loops are then compiled; None if one of them is not of the simplest kind, or if
        there are several outputs, or a decoder, which wants the times of output spikes."""
        program, numbers = self.program, {INPUT: -1}
        if self.stepwise or len(program.outputs) > 1 or program.decoder is not None or program.delayed:
            return None
        steps: dict[str, Step] = {}
        for number, layer in enumerate(self.layers):
            if (
                not isinstance(layer.layout, Layout)
                or layer.part is not None
                or layer.decimation > 1
                or len(layer.sources) > 1
            ):
                return None
            ((source, _),) = layer.sources
            steps[layer.name] = Step(layer.layout, numbers[source], layer.reach, places_on(layer.shape))
            numbers[layer.name] = number
        return make_chain(steps)


def make_plan(program: Program, state: DTypeLike, vectors: bool = False) -> Plan:
    """The plan of ``program`` for a V of type ``state``.

    With ``vectors``, the vector loops run the layers they can; such a run does not report the lowest and highest V.
    Raises UnsupportedError if the program cannot be run event by event, or has congestion balancers.
    """
    verify(program, level_of(program))
    if balanced := [name for name, layer in program.layers.items() if layer.balancer]:
        raise UnsupportedError(
            f"layer {balanced[0]!r}",
            "has a congestion balancer, which this run does not model",
            "the emulator on the CPU, without following single neurons, or layers without a balancer",
            "Run it with --on emulator --device cpu, or map the network without --balance.",
        )
    return Plan(program, tuple(_layer_plan(program, name, np.dtype(state), vectors) for name in program.layers))


@lru_cache(maxsize=64)
def places_on(shape: Shape) -> Array:
    """(N,) int32: the position on a map of ``shape`` (C, H, W), flat, of each neuron in channels-last order."""
    return frozen(to_channels_last(np.arange(math.prod(shape), dtype=np.int32).reshape(shape)))


def updates(layer: LayerPlan, counts: Mapping[str, Array]) -> int:
    """Synaptic updates in ``layer`` for ``counts`` {logical layer or "input": (C, H, W)} of its feeders' spikes."""
    total = 0
    for source, offset in layer.feeders:
        spikes = to_channels_last(counts[source])
        total += int((spikes * layer.reach[offset : offset + len(spikes)]).sum())
    return total


def state_type(program: Program) -> np.dtype[Any]:
    """The type of V in event-driven runs: int16 or float32."""
    return np.dtype(np.float32 if program.arithmetic == "float32" else np.int16)


def _layer_plan(program: Program, name: str, state: np.dtype[Any], vectors: bool) -> LayerPlan:
    layer = program.layers[name]
    lowest = -np.inf if state.kind == "f" else np.iinfo(state).min
    neurons = layer.neurons
    threshold = to_channels_last(on_map(neurons.threshold, layer.out_shape, state))
    start = to_channels_last(on_map(neurons.v_init, layer.out_shape, state))
    feeders, tables, numbers, offset = [], [], [], 0
    for source, routes in program.inflows(name):
        number = next(iter(routes.values())).synapses
        table = _arrival_table(program, source, routes, layer.synapses[number].in_shape)
        feeders.append((source, offset))
        tables.append(table)
        numbers.append(np.full(len(table), number))
        offset += len(table)
    geometries = tuple(_geometry(synapses) for synapses in layer.synapses)
    tick_site = None
    if name in program.biased:
        tick_site = offset
        tables.append(np.zeros((1, 3), np.int32))
        numbers.append(np.array([len(geometries)]))
        geometries = (*geometries, _geometry(_bias_synapses(layer)))
    coordinates = np.concatenate(tables)
    floor, most = state.type(lowest if neurons.floor is None else neurons.floor), _spikes_per_update(layer)
    leaky = make_leaky_layer(layer, geometries, np.concatenate(numbers), threshold, floor, most, state)
    return LayerPlan(
        name=name,
        shape=layer.out_shape,
        feeders=tuple(feeders),
        coordinates=coordinates,
        geometry=geometries[0],
        threshold=threshold,
        start=start,
        least=threshold.min(),
        floor=floor,
        subtract=neurons.reset == "subtract",
        most=most,
        part=_part(program, name),
        layout=_layout(layer, coordinates, state) if vectors and leaky is None else None,
        leaky=leaky,
        tick_site=tick_site,
        decimation=layer.decimation,
    )


def _layout(layer: Layer, coordinates: Array, state: np.dtype[Any]) -> Layout | TileLayout | None:
    """The layout for the fastest of the vector loops that can run ``layer``, None if none can."""
    return make_tiles(layer, coordinates, state) or make_layout(layer, coordinates, state)


def _bias_synapses(layer: Layer) -> Synapses:
    """Weights (O, 1, H, W) through which an event on a map of one pixel adds its bias to every neuron of ``layer``."""
    features, height, width = layer.out_shape
    integers = layer.synapses[0].weights.dtype.kind == "i"
    bias = np.zeros(features, np.int16 if integers else np.float32) if layer.bias is None else layer.bias
    weights = np.broadcast_to(bias[:, None, None, None], (features, 1, height, width))
    return Synapses(weights, (1, 1, 1), layer.out_shape, padding=(height - 1, width - 1))


def _part(program: Program, name: str) -> Part | None:
    logical, start = program.place_in(name)
    if logical == name:
        return None
    whole, features = program.map_of(logical), program.layers[name].out_shape[0]
    neurons = np.arange(math.prod(whole), dtype=np.int32).reshape(*whole[1:], whole[0])
    return Part(logical, neurons[:, :, start : start + features].ravel(), program.parts[logical][-1] == name)


def _spikes_per_update(layer: Layer) -> int:
    """The largest number of spikes of a neuron on one update. V < threshold before it, or V = v_init, so that after it
    V < threshold + v_init + w."""
    neurons = layer.neurons
    if neurons.at_most_one:
        return 1
    largest = max(float(synapses.weights.max(initial=0)) for synapses in layer.synapses)
    largest = max(largest, 0.0 if layer.bias is None else float(layer.bias.max()))
    return 1 + math.ceil((largest + max(float(np.max(neurons.v_init)), 0.0)) / float(np.min(neurons.threshold)))


def _arrival_table(program: Program, source: str, routes: Mapping[str, Route], to: Shape) -> Array:
    """(C * H * W, 3) int32: where a spike of each neuron of ``source`` arrives along the ``routes`` of its parts."""
    channels, height, width = program.map_of(source)
    table = np.full((height, width, channels, 3), -1)
    for part, route in routes.items():
        start, features = program.place_in(part)[1], program.map_of(part)[0]
        y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(features), indexing="ij")
        arrivals = np.stack([c + route.feature_shift, y // route.pool[0], x // route.pool[1]], axis=-1)
        table[:, :, start : start + features] = arrivals
    table[(table >= np.array(to)).any(axis=-1), 0] = -1
    return table.reshape(-1, 3).astype(np.int32)


def _geometry(synapses: Synapses) -> Geometry:
    (out, per_group, kernel_rows, kernel_columns), groups = synapses.weights.shape, synapses.groups
    row_order, rows, row_step = _taps(synapses, 0)
    column_order, columns, column_step = _taps(synapses, 1)
    weights = synapses.weights.reshape(groups, out // groups, per_group, kernel_rows, kernel_columns)
    weights = weights.transpose(0, 2, 3, 4, 1)[:, :, row_order][:, :, :, column_order]
    return Geometry(
        weights=np.ascontiguousarray(weights).ravel(),
        kernel_rows=kernel_rows,
        kernel_columns=kernel_columns,
        rows=rows,
        columns=columns,
        row_step=row_step,
        column_step=column_step,
        width=synapses.out_shape[2],
        features=out,
        features_per_group=out // groups,
        inputs_per_group=per_group,
    )


def _taps(synapses: Synapses, axis: int) -> tuple[list[int], Array, int]:
    """(order of the kernel's rows, table (size, 3) of `Geometry`, distance between successive targets) along one axis.

    Kernel row k of an input at i leads to target (i + p - k d) / s if that is a whole number. The rows that serve one
    input have the same remainder of k d by s; if they are stored in order of falling k, their targets ascend.
    """
    stride, padding, dilation = synapses.stride[axis], synapses.padding[axis], synapses.dilation[axis]
    order = sorted(range(synapses.kernel[axis]), key=lambda k: (k * dilation % stride, -k))
    table = np.zeros((synapses.in_shape[1 + axis], 3), np.int32)
    for i in range(len(table)):
        reach = [(i + padding - k * dilation, place) for place, k in enumerate(order)]
        hits = [(r // stride, place) for r, place in reach if r % stride == 0]
        hits = [(target, place) for target, place in hits if 0 <= target < synapses.out_shape[1 + axis]]
        if hits:
            table[i] = hits[0][0], len(hits), hits[0][1]
    return order, table, dilation // math.gcd(stride, dilation)
