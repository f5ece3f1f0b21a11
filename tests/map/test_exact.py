"""Grouping and lowering change no spike: the graph, its program and its lowered program give the same counts.

Two independent readings of "event by event" are compared: `graph_counts` walks the nodes and gathers a whole map per
event; `program_counts` follows the words of program.py and scatters each event into its targets.
"""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.chip.chips import CHIPS
from deploytool.ir.geometry import targets
from deploytool.ir.graph import Graph, chain
from deploytool.ir.neurons import Neurons
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.ir.program import INPUT, Layer, Program, Synapses
from deploytool.map.group import group
from deploytool.map.lower import lower

Event = tuple[int, int, int]


def _fire(v: np.ndarray, at: tuple[int, ...], w: np.float32, threshold: float, neurons: Neurons) -> bool:
    v[at] += w
    if neurons.floor is not None:
        v[at] = max(v[at], np.float32(neurons.floor))
    if v[at] < threshold:
        return False
    v[at] = 0 if neurons.reset == "zero" else v[at] - np.float32(threshold)
    return True


def program_counts(program: Program, events: list[Event]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Spikes of the outputs side by side, and of every layer."""
    state = {name: np.zeros(layer.out_shape, np.float32) for name, layer in program.layers.items()}
    counts = {name: np.zeros(layer.out_shape, int) for name, layer in program.layers.items()}
    for event in events:
        spikes: dict[str, list[Event]] = {INPUT: [event]}
        for name, layer in program.layers.items():
            arriving = []
            for source, route in program.feeders(name):
                synapses = layer.synapses[route.synapses]
                for c, y, x in spikes[source]:
                    moved = (c + route.feature_shift, y // route.pool[0], x // route.pool[1])
                    if moved[1] < synapses.in_shape[1] and moved[2] < synapses.in_shape[2]:
                        arriving.append((synapses, moved))
            spikes[name] = []
            for synapses, (c, y, x) in arriving:
                for at, w in sorted(_targets(synapses, c, y, x)):
                    threshold = float(np.broadcast_to(layer.neurons.threshold, layer.out_shape)[at[2], at[0], at[1]])
                    if _fire(state[name], (at[2], at[0], at[1]), np.float32(w), threshold, layer.neurons):
                        spikes[name].append((at[2], at[0], at[1]))
                        counts[name][at[2], at[0], at[1]] += 1
    return np.concatenate([counts[name].ravel() for name in program.outputs]), counts


def _targets(synapses: Synapses, c: int, y: int, x: int) -> list[tuple[tuple[int, int, int], float]]:
    found = []
    features, per_group = synapses.weights.shape[:2]
    for o, ky, kx in itertools.product(range(features), range(synapses.kernel[0]), range(synapses.kernel[1])):
        if c // per_group != o // (features // synapses.groups):
            continue
        row = y + synapses.padding[0] - ky * synapses.dilation[0]
        column = x + synapses.padding[1] - kx * synapses.dilation[1]
        ty, tx = row // synapses.stride[0], column // synapses.stride[1]
        if row % synapses.stride[0] or column % synapses.stride[1]:
            continue
        if 0 <= ty < synapses.out_shape[1] and 0 <= tx < synapses.out_shape[2]:
            found.append(((ty, tx, o), float(synapses.weights[o, c % per_group, ky, kx])))
    return found


def graph_counts(graph: Graph, events: list[Event]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Spikes of the Outputs side by side, and of every Spike node."""
    state = {name: np.zeros(graph.shapes[name], np.float32) for name in graph.of_type(Spike)}
    counts = {name: np.zeros(graph.shapes[name], int) for name in graph.of_type(Spike, Output)}
    for event in events:
        flows: dict[str, list] = {}
        for name in graph.order:
            node, inputs = graph.nodes[name], [flows[source] for source in graph.sources(name)]
            flows[name] = _walk(graph, name, node, inputs, state, event)
            if name in counts:
                for at, _ in flows[name]:
                    counts[name][at] += 1
    return np.concatenate([counts[name].ravel() for name in graph.of_type(Output)]), counts


def _walk(graph: Graph, name: str, node: Node, inputs: list[list], state: dict, event: Event) -> list:
    """Spikes as (position, worth), currents as (map, whether a neuron is reached)."""
    shape = graph.shapes[graph.sources(name)[0]] if inputs else ()
    match node:
        case Input():
            return [(event, 1.0)]
        case SumPool() | AvgPool():
            (ky, kx), (_, height, width) = node.kernel, graph.shapes[name]
            share = 1.0 if isinstance(node, SumPool) else 1 / (ky * kx)
            pooled = [((c, y // ky, x // kx), worth * share) for (c, y, x), worth in inputs[0]]
            return [item for item in pooled if item[0][1] < height and item[0][2] < width]
        case Flatten():
            return [((int(np.ravel_multi_index(at, shape)), 0, 0), worth) for at, worth in inputs[0]]
        case Concat():
            shifts = np.cumsum([0] + [graph.shapes[source][0] for source in graph.sources(name)])
            return [((c + int(s), y, x), w) for s, flow in zip(shifts, inputs, strict=False) for (c, y, x), w in flow]
        case Add():
            return [item for flow in inputs for item in flow]
        case Linear():
            kernel = node.weight[:, :, None, None]
            return [_gathered(Conv(kernel), shape, graph.shapes[name], *item) for item in inputs[0]]
        case Conv():
            return [_gathered(node, shape, graph.shapes[name], *item) for item in inputs[0]]
        case Spike():
            return _spikes(graph, name, node, inputs[0], state[name])
    return inputs[0]


def _gathered(
    node: Conv, shape: tuple[int, ...], out_shape: tuple[int, ...], at: Event, worth: float
) -> tuple[np.ndarray, np.ndarray]:
    padded = np.zeros((shape[0], shape[1] + 2 * node.padding[0], shape[2] + 2 * node.padding[1]))
    padded[at[0], at[1] + node.padding[0], at[2] + node.padding[1]] = 1
    current, reached = np.zeros(out_shape, np.float32), np.zeros(out_shape, bool)
    kernel, per_group = node.weight.shape[2:], node.weight.shape[1]
    for o, y, x, i, ky, kx in itertools.product(*map(range, out_shape), range(per_group), *map(range, kernel)):
        c = o // (out_shape[0] // node.groups) * per_group + i
        if padded[c, y * node.stride[0] + ky * node.dilation[0], x * node.stride[1] + kx * node.dilation[1]]:
            current[o, y, x] = np.float32(worth) * node.weight[o, i, ky, kx]
            reached[o, y, x] = True
    return current, reached


def _spikes(graph: Graph, name: str, node: Spike, flow: list, v: np.ndarray) -> list:
    fired = []
    for current, reached in flow:
        if isinstance(current, tuple):  # spikes, not currents: each counts as its worth
            reached_at, values = [current], {current: np.float32(reached)}
        else:
            reached_at = sorted(map(tuple, np.argwhere(reached)), key=lambda at: (at[1], at[2], at[0]))
            values = {at: current[at] for at in reached_at}
        threshold = np.broadcast_to(node.threshold, graph.shapes[name])
        fired += [(at, 1.0) for at in reached_at if _fire(v, at, values[at], float(threshold[at]), node.neurons)]
    return fired


@st.composite
def spikes(draw: st.DrawFn) -> Spike:
    return Spike(
        threshold=draw(st.sampled_from([0.5, 1.0, 1.5])),
        floor=draw(st.sampled_from([None, -1.0, -0.25])),
        reset=draw(st.sampled_from(["subtract", "zero"])),
    )


@st.composite
def convs(draw: st.DrawFn, shape: tuple[int, int, int]) -> Conv:
    groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    weight = rng.normal(0.2, 0.5, (2 * groups, shape[0] // groups, *draw(pairs))).astype(np.float32)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1)]))
    return Conv(weight, None, draw(pairs), padding, dilation, groups)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Chains of up to two Conv layers, poolings anywhere, a Linear or a pooling at the end."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(4, 9), st.integers(4, 9)))
    nodes: list[tuple[str, Node]] = [("in", Input(shape))]

    def add(name: str, node: Node) -> bool:
        try:
            chain([*nodes, (name, node), ("probe", Output())])
        except Exception:
            return False
        nodes.append((name, node))
        return True

    def shape_now() -> tuple[int, int, int]:
        return chain([*nodes, ("probe", Output())]).shapes["probe"]

    for level in range(draw(st.integers(1, 2))):
        for number in range(draw(st.integers(0, 2))):
            size = draw(st.sampled_from([(1, 2), (2, 2)]))
            add(f"pool{level}{number}", draw(st.sampled_from([SumPool, AvgPool]))(size, size))
        assume(add(f"conv{level}", draw(convs(shape_now()))))
        add(f"spike{level}", draw(spikes()))
    end = draw(st.sampled_from(["linear", "pool", "spike", "nothing"]))
    if end == "linear":
        add("pool", SumPool((2, 2), (2, 2)))
        add("flatten", Flatten())
        rng = np.random.default_rng(draw(st.integers(0, 2**31)))
        add("fc", Linear(rng.normal(0.2, 0.5, (3, shape_now()[0])).astype(np.float32)))
        add("last", draw(spikes()))
    elif end == "pool":
        add("pool", SumPool((2, 2), (2, 2)))
    elif end == "spike":
        add("extra", draw(spikes()))
    nodes.append(("out", Output()))
    return chain(nodes)


def some_events(shape: tuple[int, int, int], seed: int, count: int) -> list[Event]:
    rng = np.random.default_rng(seed)
    return [tuple(map(int, rng.integers(0, shape))) for _ in range(count)]  # type: ignore[misc]


def assert_exact(graph: Graph, seed: int, count: int = 25) -> Program:
    program = group(graph)
    lowered = lower(program, CHIPS["speck2e"])
    assert set(program.layers) == set(lowered.layers)
    events = some_events(program.input_shape, seed, count)
    outputs, nodes = graph_counts(graph, events)
    for which in (program, lowered):
        found, layers = program_counts(which, events)
        np.testing.assert_array_equal(found, outputs)
        for name, layer in which.layers.items():
            for node in set(layer.sources) & set(graph.of_type(Spike)):
                np.testing.assert_array_equal(layers[name].ravel(), nodes[node].ravel(), node)
    return lowered


@settings(max_examples=60)
@given(networks(), st.integers(0, 2**31))
def test_chains_keep_every_spike(graph: Graph, seed: int) -> None:
    lowered = assert_exact(graph, seed)
    for name, layer in lowered.layers.items():
        synapses = layer.single
        for source, route in lowered.feeders(name):
            arriving = tuple(n // p for n, p in zip(lowered.map_of(source)[1:], route.pool, strict=True))
            assert synapses.in_shape[1:] == arriving, "the vendor's driver compares the sizes"
        h, w = (
            (synapses.in_shape[1 + i] + 2 * synapses.padding[i] - synapses.dilation[i] * (synapses.kernel[i] - 1) - 1)
            // synapses.stride[i]
            + 1
            for i in (0, 1)
        )
        assert layer.out_shape == (synapses.weights.shape[0], h, w)
        assert synapses.weights.shape[1] * synapses.groups == synapses.in_shape[0]


def _branches(join: Node, pools: tuple[Node, Node]) -> Graph:
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(0.2, 0.5, shape).astype(np.float32)

    joined = 4 if isinstance(join, Concat) else 2
    nodes: dict[str, Node] = {
        "a_in": Input((1, 6, 6)),
        "b_conv": Conv(weight(2, 1, 3, 3), padding=(1, 1)),
        "c_conv": Conv(weight(2, 1, 1, 1)),
        "d_spike": Spike(floor=-1.0),
        "e_spike": Spike(0.5),
        "f_pool": pools[0],
        "g_pool": pools[1],
        "h_join": join,
        "i_flat": Flatten(),
        "j_fc": Linear(weight(3, joined * 9)),
        "k_spike": Spike(),
        "l_out": Output(),
    }
    edges = [
        ("a_in", "b_conv"),
        ("a_in", "c_conv"),
        ("b_conv", "d_spike"),
        ("c_conv", "e_spike"),
        ("d_spike", "f_pool"),
        ("e_spike", "g_pool"),
        ("f_pool", "h_join"),
        ("g_pool", "h_join"),
        ("h_join", "i_flat"),
        ("i_flat", "j_fc"),
        ("j_fc", "k_spike"),
        ("k_spike", "l_out"),
    ]
    return Graph(nodes, tuple(edges))


SUM, AVG = SumPool((2, 2), (2, 2)), AvgPool((2, 2), (2, 2))


@given(st.integers(0, 2**31))
@settings(max_examples=5)
def test_branches_joined_keep_every_spike(seed: int) -> None:
    for graph in (_branches(Concat(), (SUM, AVG)), _branches(Add(), (SUM, SUM)), _branches(Add(), (AVG, AVG))):
        program = assert_exact(graph, seed, 40)
        shifts = [route.feature_shift for _, route in program.feeders("j_fc")]
        assert shifts == ([0, 2] if isinstance(graph.nodes["h_join"], Concat) else [0, 0])


def test_neurons_with_their_own_thresholds_and_a_sum_at_the_end() -> None:
    thresholds = np.linspace(0.5, 2, 8).reshape(2, 2, 2)
    graph = chain(
        [("in", Input((2, 4, 4))), ("pool", AVG), ("n", Spike(thresholds)), ("flat", Flatten()), ("out", Output())]
    )
    assert_exact(graph, 3)
    joined = Graph(
        {"a": Input((1, 2, 2)), "b": Spike(), "c": Spike(2.0), "d": Add(), "e": Output()},
        (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")),
    )
    assert assert_exact(joined, 4).outputs == ("d",)


def test_an_oblong_linear_becomes_a_square_kernel() -> None:
    rng = np.random.default_rng(0)
    graph = chain(
        [
            ("in", Input((16, 5, 4))),
            ("flat", Flatten()),
            ("fc", Linear(rng.normal(0.1, 0.3, (4, 320)))),
            ("spike", Spike()),
            ("out", Output()),
        ]
    )
    layer = assert_exact(graph, 0, 60).layers["fc"]
    assert layer.single.kernel == (5, 5)
    assert layer.single.weights.max() > layer.neurons.threshold, (
        "weights above the threshold do not matter where zeros are never met"
    )


def test_an_oblong_linear_becomes_square_behind_a_pooling_rest() -> None:
    """9 columns pooled by 2 give 4 and a rest at column 4. The input map stays as large as what arrives at it."""

    def lowered(conv: Node, flat: bool) -> Layer:
        nodes: list[tuple[str, Node]] = [("in", Input((1, 10, 9))), ("pool", SUM)]
        nodes += [("flat", Flatten())] if flat else []
        graph = chain([*nodes, ("w", conv), ("s", Spike()), ("out", Output())])
        return assert_exact(graph, 5, 60).layers["w"]

    rng = np.random.default_rng(0)
    linear = lowered(Linear(rng.normal(0.3, 0.3, (2, 20))), flat=True)
    assert (linear.single.kernel, linear.single.in_shape, linear.single.stride) == ((5, 5), (1, 5, 4), (1, 2))
    assert not targets(linear.single, 1, 4)
    tall = rng.normal(0.3, 0.3, (2, 1, 2, 1))
    assert lowered(Conv(tall), flat=False).single.kernel == (2, 1)
    assert lowered(Conv(tall, padding=(0, 1)), flat=False).single.kernel == (2, 1)


def test_an_oblong_kernel_is_filled_on_both_sides_where_that_keeps_the_input_map() -> None:
    weight = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 1, 3, 1)).astype(np.float32)
    conv = Conv(weight, padding=(1, 0))
    layer = assert_exact(
        chain([("in", Input((1, 6, 6))), ("w", conv), ("s", Spike()), ("out", Output())]), 6, 60
    ).layers["w"]
    assert (layer.single.kernel, layer.single.padding, layer.single.in_shape) == ((3, 3), (1, 1), (1, 6, 6))


def test_weights_above_the_threshold_are_not_filled_with_zeros() -> None:
    """A neuron that one event leaves above its threshold fires at the next update, even one by 0."""
    weight = np.full((2, 1, 1, 1), 2.5, np.float32)
    graph = chain([("in", Input((2, 1, 1))), ("w", Conv(weight, groups=2)), ("s", Spike()), ("out", Output())])
    assert assert_exact(graph, 0).layers["w"].single.groups == 2
    resetting = Spike(reset="zero")
    graph = chain([("in", Input((2, 1, 1))), ("w", Conv(weight, groups=2)), ("s", resetting), ("out", Output())])
    assert assert_exact(graph, 0).layers["w"].single.groups == 1
