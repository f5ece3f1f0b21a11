"""The first pass, from a Graph to a Program in float32: groups nodes into layers without changing any spike.

The input of each node, and what it becomes:

    Input             the program's input
    Conv     spikes   weights of a layer, which is named after it
    Linear   spikes   the same, with a kernel that covers the whole input map
    Spike    currents the neurons of that layer
    Spike    spikes   a layer of its own, with one 1x1 weight of 1 per feature
    SumPool  spikes   pooling of a route; windows side by side, chains multiplied
    AvgPool  spikes   the same, with 1 / (ky kx) in the weights that follow
    Flatten  both     nothing: neurons keep their order
    Concat   spikes   routes with feature shifts
    Add      spikes   several routes to the same features
    Add      currents the weights of all of them on one layer, named after the first, each as synapses of it; spikes
                      among them, as of a shortcut, come with one 1x1 weight of 1 per feature
    Delay    spikes   time that routes take; behind weights, the same in front of them
    Output   spikes   the layers to read; behind a pooling, an Add or a Delay, a relay: one 1x1 weight of 1, threshold 1

Currents are the outputs of Conv and Linear. Only a Spike may use them, directly or through Adds. Each such Spike
becomes a layer; a second Spike after the same weights gets a copy of them, and its own name appended to theirs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from deploytool.base.arrays import Array, Shape, format_shape
from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.ir.graph import Graph
from deploytool.ir.neurons import Neurons
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Delay, Flatten, Input, Linear, Output, Spike, SumPool
from deploytool.ir.program import INPUT, SIMULATOR, Layer, Program, Route, Synapses
from deploytool.map.delays import before_weights
from deploytool.map.flows import Currents, Flow, Spikes, Tap, WeightedSpikes


def group(graph: Graph) -> Program:
    """The Program in float32, for the simulator, that computes the same as ``graph``.

    Raises UnsupportedError with every node that matches no row of the table above.
    """
    return replace(group_sizes(graph), graph_digest=graph.digest)


def group_sizes(graph: Graph) -> Program:
    """`group` without the digest of the graph, which would need every weight; enough to judge sizes."""
    graph = before_weights(graph)
    grouping = _Grouping(graph)
    flows: dict[str, Flow | None] = {}
    problems: list[DeployError] = []
    for name in graph.order:
        if not flows.keys() >= {*graph.sources(name)}:
            flows[name] = grouping.feedback_spikes(name)
            continue
        inputs = [flows[source] for source in graph.sources(name)]
        known = [flow for flow in inputs if flow is not None]
        flows[name] = None
        if len(known) == len(inputs):
            try:
                flows[name] = grouping.node(name, known)
            except (InputError, UnsupportedError) as problem:
                problems.append(problem)
    if problems:
        kind = InputError if all(isinstance(problem, InputError) for problem in problems) else UnsupportedError
        raise kind.together(problems)
    for name in tuple(grouping.ways_back):
        grouping.connect_feedback(name, flows)
    return grouping.program()


@dataclass
class _Grouping:
    """The layers found so far. The nodes of ``graph`` are visited in topological order."""

    graph: Graph
    input_shape: Shape | None = None
    layers: dict[str, Layer] = field(default_factory=dict)
    sent: dict[str, list[tuple[Tap, str, int]]] = field(default_factory=lambda: {INPUT: []})
    """{layer or feedback Delay: (tap, destination layer, index of its synapses) for all its destinations}."""
    ways_back: dict[str, Spikes] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=lambda: {INPUT: []})
    outputs: list[str] = field(default_factory=list)
    driving: set[str] = field(default_factory=set)

    def program(self) -> Program:
        layers = {
            name: replace(layer, routes=self._routes(name), sources=tuple(self.sources[name]))
            for name, layer in self.layers.items()
        }
        assert self.input_shape is not None  # a Graph has an Input
        return Program(
            chip=SIMULATOR,
            arithmetic="float32",
            input_shape=self.input_shape,
            input_routes=self._routes(INPUT),
            layers=layers,
            outputs=tuple(dict.fromkeys(self.outputs)),
            graph_digest="",
            decoder=self.graph.decoder,
        )

    def _routes(self, name: str) -> tuple[Route, ...]:
        return tuple(tap.route(to, synapses) for tap, to, synapses in self.sent[name])

    def _map_of(self, name: str) -> Shape:
        """The map of the spikes of a layer, of a feedback Delay, or of the input."""
        if name == INPUT and self.input_shape is not None:
            return self.input_shape
        return self.layers[name].out_shape if name in self.layers else self.ways_back[name].shape

    def feedback_spikes(self, name: str) -> Spikes:
        """The output of the feedback Delay ``name``, whose input is not known yet."""
        source, flat = self.graph.sources(name)[0], False
        while isinstance(node := self.graph.nodes[source], Flatten | Delay):
            flat = flat or isinstance(node, Flatten)
            source = self.graph.sources(source)[0]
        shape = self.graph.shapes[source]
        self.ways_back[name] = Spikes(name, (Tap(name, shape[0]),), shape, flat and shape[1:] != (1, 1))
        self.sent[name], self.sources[name] = [], []
        return self._delay(name, self.ways_back[name])

    def connect_feedback(self, name: str, flows: Mapping[str, Flow | None]) -> None:
        """Connects the input of the feedback Delay ``name``, now known, to its destinations."""
        for tap in self._feedback_taps(name, flows):
            source = self._map_of(tap.layer)
            self.sent[tap.layer] += [(tap.then(way, source), to, number) for way, to, number in self.sent[name]]
            self.sources[tap.layer] += [node for node in self.sources[name] if node not in self.sources[tap.layer]]

    def _feedback_taps(self, name: str, flows: Mapping[str, Flow | None]) -> list[Tap]:
        """The spikes of layers and of the input that reach the Delay ``name``, also through other feedback paths."""
        ahead, flow = self.ways_back[name], flows[self.graph.sources(name)[0]]
        if not isinstance(flow, Spikes) or (flow.shape, flow.flat) != (ahead.shape, ahead.flat):
            raise UnsupportedError(self._where(name), "a Delay on a feedback path", "a Spike before it")
        if any(tap.factor != 1 for tap in flow.taps):
            found = f"its input is the averages of {flow.node!r}"
            raise UnsupportedError(self._where(name), found, "spikes", "Pool after the Delay.")
        found_taps: list[Tap] = []
        for tap in flow.taps:
            before = self._feedback_taps(tap.layer, flows) if tap.layer in self.ways_back else []
            found_taps += [each.then(tap, self._map_of(each.layer)) for each in before] or [tap]
        return found_taps

    def node(self, name: str, flows: list[Flow]) -> Flow | None:
        node = self.graph.nodes[name]
        match node:
            case Input():
                return self._input(name, node)
            case Flatten():
                return self._flatten(flows[0])
            case Spike() if isinstance(flows[0], Currents):
                return self._neurons(name, node, flows[0])
            case Add() if any(isinstance(flow, Currents) for flow in flows):
                return self._sum(name, flows)
        spikes = [self._spikes(name, flow) for flow in flows]
        match node:
            case Conv() | Linear():
                return self._weights(name, node, spikes[0])
            case Spike():
                return self._relay(name, node, spikes[0])
            case SumPool() | AvgPool():
                return self._pool(name, node, spikes[0])
            case Concat():
                return self._concat(name, spikes)
            case Add():
                return self._add(name, spikes)
            case Delay():
                return self._delay(name, spikes[0])
            case Output():
                self._output(name, spikes[0])
        return None

    def _where(self, name: str) -> str:
        return f"{self.graph.name}: node {name!r}"

    def _spikes(self, name: str, flow: Flow) -> Spikes:
        if isinstance(flow, Spikes):
            return flow
        kind = type(self.graph.nodes[name]).__name__
        if kind == "Output":
            todo = f"Put a Spike after {flow.node!r}: a layer sends only spikes, and potentials cannot be read."
        else:
            todo = f"Put a Spike between {flow.node!r} and {name!r}."
        raise UnsupportedError(self._where(name), f"{kind} takes the potentials of {flow.node!r}", "spikes", todo)

    def _input(self, name: str, node: Input) -> Spikes:
        if self.input_shape is not None:
            raise UnsupportedError(self._where(name), "a second Input", "one", "Concatenate the inputs.")
        self.input_shape = node.shape
        return Spikes(name, (Tap(INPUT, node.shape[0]),), node.shape)

    def _flatten(self, flow: Flow) -> Flow:
        return replace(flow, flat=flow.flat or flow.shape[1:] != (1, 1))

    def _weights(self, name: str, node: Conv | Linear, spikes: Spikes) -> Currents:
        if isinstance(node, Conv) and spikes.flat:
            raise UnsupportedError(self._where(name), "Conv after a Flatten", "a Linear there, or no Flatten")
        shape = (node.weight.shape[0], 1, 1) if isinstance(node, Linear) else self.graph.shapes[name]
        return Currents(name, (WeightedSpikes(name, node, spikes),), shape, (name,))

    def _sum(self, name: str, flows: list[Flow]) -> Currents:
        """The sum of currents and spikes; a spike counts as a current of 1."""
        self._same_maps(name, [flow.shape for flow in flows], flows)
        weighed: list[WeightedSpikes] = []
        through: list[str] = []
        for flow in flows:
            if isinstance(flow, Currents):
                weighed += flow.weighed
                through += flow.through
            else:
                weighed.append(WeightedSpikes(None, _one_to_one(flow.shape[0]), flow))
        shape, flat = flows[0].shape, flows[0].flat
        return Currents(name, tuple(sorted(weighed, key=lambda each: each.node is None)), shape, (*through, name), flat)

    def _neurons(self, name: str, spike: Spike, currents: Currents) -> Spikes:
        nodes = [each.node for each in currents.weighed if each.node is not None]
        layer_name = nodes[0] if nodes[0] not in self.layers else f"{nodes[0]}.{name}"
        biases = [each.weights.bias for each in currents.weighed if each.weights.bias is not None]
        layer = Layer(
            synapses=tuple(self._synapses(each, currents.shape) for each in currents.weighed),
            neurons=self._neurons_on(currents.shape, name, spike),
            bias=np.sum(biases, axis=0) if biases else None,
        )
        sources = [each.source for each in currents.weighed]
        made_from = [node for node in currents.through if node not in self.driving]
        self._add_layer(layer_name, layer, sources, [*made_from, name])
        self.driving.update(currents.through)
        return Spikes(name, (Tap(layer_name, currents.shape[0]),), currents.shape, currents.flat)

    def _synapses(self, weighed: WeightedSpikes, shape: Shape) -> Synapses:
        """The synapses to neurons of ``shape``: the weights, times the factor of their input spikes."""
        node, source = weighed.weights, weighed.source
        factors = self._factors(source)
        if isinstance(node, Linear):
            kernel = _scaled(_float32(node.weight.reshape(-1, *source.shape)), factors, 1)
            return Synapses(kernel, source.shape, shape)
        kernel = _scaled(_float32(node.weight), factors, node.groups)
        return Synapses(kernel, source.shape, shape, node.stride, node.padding, node.dilation, node.groups)

    def _relay(self, name: str, spike: Spike, spikes: Spikes) -> Spikes:
        """One neuron per input neuron: a layer named after the node."""
        synapses = self._synapses(WeightedSpikes(None, _one_to_one(spikes.shape[0]), spikes), spikes.shape)
        layer = Layer((synapses,), self._neurons_on(spikes.shape, name, spike))
        self._add_layer(name, layer, [spikes], [name])
        return Spikes(name, (Tap(name, spikes.shape[0]),), spikes.shape, spikes.flat)

    def _neurons_on(self, shape: Shape, name: str, spike: Spike) -> Neurons:
        """The neurons of the node ``name`` on a map of ``shape``."""
        where, lowest = self._where(name), np.min(spike.threshold)
        if lowest <= 0:
            raise InputError(where, f"a threshold of {lowest}", "thresholds above 0")
        if np.any(spike.v_reset) and spike.reset == "subtract":
            raise UnsupportedError(where, "a v_reset that is not 0 with reset by subtraction", "a v_reset of 0")
        if np.any(np.asarray(spike.v_reset) >= spike.threshold):
            raise InputError(where, "a v_reset that is not below the threshold", "a v_reset below the threshold")
        neurons = spike.neurons.each(lambda array: array.reshape(shape))
        threshold = neurons.threshold
        return replace(neurons, threshold=_float32(threshold) if isinstance(threshold, np.ndarray) else threshold)

    def _add_layer(self, name: str, layer: Layer, inputs: list[Spikes], sources: list[str]) -> None:
        if name == INPUT:
            raise InputError(self._where(name), f"a layer named {INPUT!r}", "another name", "Rename the node.")
        bias = None if layer.bias is None or not layer.bias.any() else _float32(layer.bias)
        self.layers[name] = replace(layer, bias=bias)
        self.sent[name], self.sources[name] = [], sources
        for number, spikes in enumerate(inputs):
            for tap in spikes.taps:
                self.sent[tap.layer].append((tap, name, number))

    def _factors(self, spikes: Spikes) -> Array:
        """(C,): the factor of a spike of each input feature."""
        factors = np.zeros(spikes.shape[0])
        for tap in spikes.taps:
            features = factors[tap.feature_shift : tap.feature_shift + tap.features]
            if not np.isin(features, (0, tap.factor)).all():
                raise UnsupportedError(
                    self._where(spikes.node),
                    "adds averages over windows of different sizes",
                    "the same window size for all inputs",
                    "Pool after the Add.",
                )
            features[:] = tap.factor
        return factors

    def _pool(self, name: str, node: SumPool | AvgPool, spikes: Spikes) -> Spikes:
        if node.kernel != node.stride:
            raise UnsupportedError(
                self._where(name),
                f"a window of {format_shape(node.kernel)} with stride {format_shape(node.stride)}",
                "a stride equal to the window",
            )
        ky, kx = node.kernel
        share = 1 / (ky * kx) if isinstance(node, AvgPool) else 1.0
        taps = tuple(tap.pooled(node.kernel, share) for tap in spikes.taps)
        for layer in {tap.layer for tap in taps}:
            self.sources[layer].append(name)
        c, h, w = spikes.shape
        return Spikes(name, taps, (c, h // ky, w // kx), spikes.flat)

    def _delay(self, name: str, spikes: Spikes) -> Spikes:
        node = self.graph.nodes[name]
        assert isinstance(node, Delay)
        delay_us = node.delay_us.reshape(spikes.shape) if isinstance(node.delay_us, np.ndarray) else node.delay_us
        return replace(
            spikes, node=name, taps=tuple(tap.delayed(delay_us, self._map_of(tap.layer)) for tap in spikes.taps)
        )

    def _concat(self, name: str, parts: list[Spikes]) -> Spikes:
        self._same_maps(name, [part.shape[1:] for part in parts], parts)
        shifts = [0, *itertools.accumulate(part.shape[0] for part in parts)]
        taps = tuple(
            replace(tap, feature_shift=tap.feature_shift + shift)
            for part, shift in zip(parts, shifts, strict=False)
            for tap in part.taps
        )
        return Spikes(name, taps, (shifts[-1], *parts[0].shape[1:]), parts[0].flat)

    def _add(self, name: str, parts: list[Spikes]) -> Spikes:
        self._same_maps(name, [part.shape for part in parts], parts)
        return Spikes(name, tuple(tap for part in parts for tap in part.taps), parts[0].shape, parts[0].flat)

    def _same_maps(self, name: str, maps: Sequence[tuple[int, ...]], parts: Sequence[Flow]) -> None:
        if len({(part.flat, shape) for part, shape in zip(parts, maps, strict=True)}) > 1:
            found = ", ".join(format_shape(part.shape) + (" flattened" if part.flat else "") for part in parts)
            raise UnsupportedError(
                self._where(name),
                f"joins {found}",
                "maps of the same size on every input",
                "Join them before the Flatten.",
            )

    def _output(self, name: str, spikes: Spikes) -> None:
        """Makes layers outputs if they can be read unchanged; adds a relay otherwise."""
        layers = [tap.layer for tap in spikes.taps]
        plain = all(tap.plain for tap in spikes.taps)
        if plain and layers == [INPUT]:
            raise UnsupportedError(self._where(name), "is connected to the Input", "neurons in between")
        shifts = [0, *itertools.accumulate(tap.features for tap in spikes.taps)]
        side_by_side = [tap.feature_shift for tap in spikes.taps] == shifts[:-1] and len(set(layers)) == len(layers)
        if side_by_side and INPUT not in layers and plain:
            self.outputs += layers
            return
        if any(tap.factor != 1 for tap in spikes.taps):
            raise UnsupportedError(
                self._where(name),
                f"its input is the averages of {spikes.node!r}",
                "spikes",
                "Use a SumPool, which gives the same classes, or put a Spike after it.",
            )
        if spikes.node not in self.layers:
            self._relay(spikes.node, Spike(threshold=1.0), spikes)
        self.outputs.append(spikes.node)


def _scaled(weights: Array, factors: Array, groups: int) -> Array:
    """``weights`` (O, I / groups, KH, KW) times the factor (I,) of each input feature."""
    if (factors == 1).all():
        return weights
    outputs, per_group, *kernel = weights.shape
    grouped = weights.reshape(groups, outputs // groups, per_group, *kernel)
    return _float32(grouped * factors.reshape(groups, 1, per_group, 1, 1)).reshape(weights.shape)


def _one_to_one(features: int) -> Conv:
    """One 1x1 weight of 1 per feature."""
    return Conv(np.ones((features, 1, 1, 1), np.float32), groups=features)


def _float32(array: Array) -> Array:
    return np.asarray(array, np.float32)
