"""Additions on a chip: spikes of several cores into one, and currents of several sets of weights side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.programs import assert_same, fast, streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from map.test_exact import program_counts, some_events

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.ir.program import Program
from deploytool.map.compile import check, compile_graph
from deploytool.map.emit import configuration
from deploytool.map.group import group
from deploytool.map.lower import lower
from deploytool.run.reference.specification import run_reference

CHIP = CHIPS["speck2e"]


def weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0.2, 0.4, shape).astype(np.float32).clip(-0.99, 0.99)


def linked(nodes: dict[str, Node], edges: str) -> Graph:
    """A Graph with edges written as "a>b b>c"."""
    pairs = [edge.split(">") for edge in edges.split()]
    return Graph(nodes, tuple((source, target) for source, target in pairs))


def residual(rng: np.random.Generator, features: int = 4, side: int = 8) -> Graph:
    """A block of a spiking ResNet: the sum of the spikes of a layer and of those two layers later."""
    nodes: dict[str, Node] = {
        "in": Input((2, side, side)),
        "stem": Conv(weight(rng, features, 2, 3, 3), padding=(1, 1)),
        "s0": Spike(floor=-1.0, at_most_one=True),
        "conv1": Conv(weight(rng, features, features, 3, 3), padding=(1, 1)),
        "s1": Spike(floor=-1.0, at_most_one=True),
        "conv2": Conv(weight(rng, features, features, 3, 3), padding=(1, 1)),
        "s2": Spike(floor=-1.0, at_most_one=True),
        "add": Add(),
        "pool": SumPool((2, 2), (2, 2)),
        "flat": Flatten(),
        "fc": Linear(weight(rng, 3, features * (side // 2) ** 2)),
        "s3": Spike(floor=-1.0, at_most_one=True),
        "out": Output(),
    }
    edges = "in>stem stem>s0 s0>conv1 conv1>s1 s1>conv2 conv2>s2 s0>add s2>add add>pool pool>flat flat>fc fc>s3 s3>out"
    return linked(nodes, edges)


def test_a_residual_block_is_mapped_and_its_order_is_listed_as_unknown() -> None:
    program = compile_graph(residual(np.random.default_rng(0)), CHIP).program
    assert [(source, route.feature_shift, route.pool) for source, route in program.feeders("fc")] == [
        ("stem", 0, (2, 2)),
        ("conv2", 0, (2, 2)),
    ]
    found = configuration(program, CHIP)
    core = {name: found["cnn_layers"][number] for name, number in program.core_of.items()}
    for source in ("stem", "conv2"):
        ways = [way for way in core[source]["destinations"] if way["layer"] == program.core_of["fc"] and way["enable"]]
        assert [(way["feature_shift"], way["pooling"]) for way in ways] == [(0, 2)]
    assert "fc: the order in which the spikes of stem and conv2, which it adds, arrive at its core" in found["unknown"]


@settings(max_examples=10)
@given(st.data())
def test_the_emulator_adds_spikes_as_the_specification_does(data: st.DataObject) -> None:
    program = compile_graph(residual(np.random.default_rng(data.draw(st.integers(0, 99))), side=6), CHIP).program
    stream = data.draw(streams(program.input_shape, most=30, least=10))
    assert_same(fast(program, stream), run_reference(program, stream))


def test_a_summand_that_is_split_still_adds_the_same_features() -> None:
    rng = np.random.default_rng(0)
    nodes: dict[str, Node] = {
        "in": Input((2, 64, 64)),
        "a": Conv(weight(rng, 20, 2, 1, 1)),
        "sa": Spike(floor=-1.0, at_most_one=True),
        "b": Conv(weight(rng, 20, 2, 3, 3), padding=(1, 1)),
        "sb": Spike(floor=-1.0, at_most_one=True),
        "add": Add(),
        "c": Conv(weight(rng, 8, 20, 4, 4), stride=(4, 4)),
        "sc": Spike(floor=-1.0, at_most_one=True),
        "out": Output(),
    }
    graph = linked(nodes, "in>a a>sa in>b b>sb sa>add sb>add add>c c>sc sc>out")
    program = compile_graph(graph, CHIP).program
    flows = {
        source: {part: route.feature_shift for part, route in routes.items()} for source, routes in program.inflows("c")
    }
    assert flows == {"a": {"a_part1": 0, "a_part2": 4}, "b": {"b_part1": 0, "b_part2": 4}}
    events = np.zeros(30, EVENT)
    events["t"] = np.arange(30)
    events["y"], events["x"] = np.divmod(np.arange(30), 8)
    stream = EventStream(events, (2, 64, 64), 31)
    wanted = run_reference(program, stream)
    assert wanted.counts["c"].any()
    assert_same(fast(program, stream), wanted)


def sum_of_currents(rng: np.random.Generator, **changes: Node) -> Graph:
    """A block of a membrane-shortcut ResNet: currents of a Conv and the spikes of a shortcut, before one Spike."""
    nodes: dict[str, Node] = {
        "in": Input((2, 6, 6)),
        "stem": Conv(weight(rng, 3, 2, 3, 3), padding=(1, 1)),
        "s0": Spike(floor=-1.0),
        "conv1": Conv(weight(rng, 3, 3, 3, 3), padding=(1, 1)),
        "s1": Spike(floor=-1.0),
        "conv2": Conv(weight(rng, 3, 3, 3, 3), padding=(1, 1)),
        "down": Conv(weight(rng, 3, 3, 1, 1)),
        "add": Add(),
        "s2": Spike(floor=-1.0),
        "out": Output(),
        **changes,
    }
    return linked(nodes, "in>stem stem>s0 s0>conv1 conv1>s1 s1>conv2 conv2>add s0>down down>add add>s2 s2>out")


def assert_lowered_alike(graph: Graph, seed: int) -> Program:
    program = group(graph)
    lowered = lower(program, CHIP)
    assert all(len(layer.synapses) == 1 for layer in lowered.layers.values())
    events = some_events(program.input_shape, seed, 40)
    wanted, found = program_counts(program, events)[1], program_counts(lowered, events)[1]
    assert any(maps.sum() for maps in wanted.values())
    for name, maps in wanted.items():
        np.testing.assert_array_equal(found[name], maps, name)
    return lowered


KERNELS = st.sampled_from([1, 2, 3])


@settings(max_examples=25)
@given(st.integers(0, 2**31), KERNELS, KERNELS, st.sampled_from([1, 2]), st.integers(0, 1), st.integers(0, 1))
def test_currents_are_added_side_by_side_and_no_spike_changes(
    seed: int, large: int, small: int, stride: int, pad: int, more: int
) -> None:
    rng = np.random.default_rng(seed)
    first = Conv(weight(rng, 3, 3, large, large), None, (stride, stride), (pad, pad))
    second = Conv(weight(rng, 3, 3, small, small), None, (stride, stride), (more, more))
    try:
        graph = sum_of_currents(rng, conv2=first, down=second)
    except InputError:
        assume(False)
    assume(len(lower(group(graph), CHIP).layers["conv2"].synapses) == 1)
    assert assert_lowered_alike(graph, seed).layers["conv2"].single.in_shape[0] == 6


@settings(max_examples=8)
@given(st.integers(0, 2**31))
def test_a_shortcut_of_spikes_becomes_weights_of_one_tap(seed: int) -> None:
    graph = sum_of_currents(np.random.default_rng(seed))
    nodes = {name: node for name, node in graph.nodes.items() if name != "down"}
    edges = tuple(edge for edge in graph.edges if "down" not in edge)
    lowered = assert_lowered_alike(Graph(nodes, (*edges, ("s0", "add"))), seed)
    shortcut = lowered.layers["conv2"].single.weights[:, 3:]
    assert np.array_equal(shortcut.sum(axis=(2, 3)), np.eye(3))
    assert np.array_equal(shortcut[:, :, 1, 1], np.eye(3))


def test_the_input_comes_first_because_the_sensor_has_no_feature_shift() -> None:
    rng = np.random.default_rng(3)
    nodes: dict[str, Node] = {
        "in": Input((2, 6, 6)),
        "a": Conv(weight(rng, 3, 2, 1, 1)),
        "sa": Spike(floor=-1.0, at_most_one=True),
        "b": Conv(weight(rng, 3, 3, 3, 3), padding=(1, 1)),
        "c": Conv(weight(rng, 3, 2, 3, 3), padding=(1, 1)),
        "add": Add(),
        "s": Spike(floor=-1.0, at_most_one=True),
        "out": Output(),
    }
    graph = linked(nodes, "in>a a>sa sa>b b>add in>c c>add add>s s>out")
    program = compile_graph(graph, CHIP).program
    shifts = {source: route.feature_shift for source, route in program.feeders("b")}
    assert shifts == {"input": 0, "a": 2}
    assert_lowered_alike(graph, 1)


def test_zeros_that_would_make_a_neuron_fire_are_not_added() -> None:
    """With a weight above the threshold and at most one spike per update, an update by 0 may fire."""
    rng = np.random.default_rng(0)
    heavy = Conv(np.full((3, 3, 3, 3), 1.5, np.float32), padding=(1, 1))
    graph = sum_of_currents(rng, conv2=heavy, s2=Spike(floor=-1.0, at_most_one=True))
    with pytest.raises(
        UnsupportedError, match=r"Add of the currents of 2 sets of weights \(3x3 with stride 1x1 on 6x6, 1x1"
    ):
        lower(group(graph), CHIP)
    alike = replace(heavy, weight=np.full((3, 3, 3, 3), 0.3, np.float32))
    assert_lowered_alike(sum_of_currents(rng, conv2=heavy, down=alike, s2=Spike(floor=-1.0, at_most_one=True)), 0)


def test_currents_with_other_strides_are_refused_with_the_way_out() -> None:
    rng = np.random.default_rng(0)
    halved = Conv(weight(rng, 3, 3, 3, 3), None, (2, 2), (1, 1))
    alike = sum_of_currents(rng, conv2=halved, down=Conv(weight(rng, 3, 3, 1, 1), None, (2, 2)))
    assert compile_graph(alike, CHIP).program.layers["conv2"].single.stride == (2, 2)
    nodes = {**alike.nodes, "pool": SumPool((2, 2), (2, 2)), "down": Conv(weight(rng, 3, 3, 1, 1))}
    edges = (*(edge for edge in alike.edges if edge != ("s0", "down")), ("s0", "pool"), ("pool", "down"))
    with pytest.raises(UnsupportedError, match="3x3 with stride 2x2 on 6x6, 1x1 with stride 1x1 on 3x3") as caught:
        compile_graph(Graph(nodes, edges), CHIP)
    assert "Give them the same stride and pooling" in str(caught.value)


def chained(text: str, maps: dict[str, Node]) -> Graph:
    """A Graph of branches "in A B pool2 C, ..." that begin at a known node; a Spike stands behind every weight."""
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    for branch in text.split(","):
        before = ""
        for name in branch.split():
            if name not in nodes:
                nodes[name] = maps.get(name, Add())
            if before and (before, name) not in edges:
                edges.append((before, name))
            before = name
            if isinstance(nodes[name], Conv | Linear):
                nodes[f"{name}_s"] = Spike(floor=-1.0, at_most_one=True)
                edges.append((name, f"{name}_s"))
                before = f"{name}_s"
    return Graph(nodes, tuple(dict.fromkeys(edges)))


def merging_networks() -> dict[str, tuple[Graph, set[str]]]:
    """{name: (network, the rules it breaks)}, of the shapes of sinabs's tests of residual and merging networks."""
    rng = np.random.default_rng(0)
    first, small = Conv(weight(rng, 4, 2, 2, 2)), Conv(weight(rng, 4, 4, 2, 2))
    one, two = Conv(weight(rng, 1, 2, 2, 2)), Conv(weight(rng, 1, 1, 2, 2))
    common: dict[str, Node] = {"in": Input((2, 34, 34)), "out": Output()}
    common |= {name: Flatten() for name in ("flat", "flat1", "flat2")}

    def pool(size: int) -> Node:
        return SumPool((size, size), (size, size))

    def fc(outputs: int, inputs: int) -> Node:
        return Linear(weight(rng, outputs, inputs))

    merge_and_split = chained(
        "in A B pB C pC D flat1 add fc out, pB E pE F flat2 add",
        {**common, "A": first, **dict.fromkeys("BCDEF", small), **dict.fromkeys(("pB", "pC", "pE"), pool(2))}
        | {"fc": fc(10, 144)},
    )
    two_branches = chained(
        "in A B pB C pC flat1 add fc1 fc2 fc3 out, in D E pE F pF flat2 add",
        {**common, "A": first, "D": first, **dict.fromkeys("BCEF", small), "fc1": fc(100, 196), "fc2": fc(100, 100)}
        | {"fc3": fc(10, 100), **dict.fromkeys(("pB", "pC", "pE", "pF"), pool(2))},
    )
    residual_pools = chained(
        "in A p3 B add C flat fc1 fc2 out, A_s p4 add",
        {**common, "A": Conv(weight(rng, 10, 2, 2, 2)), "p3": pool(3), "p4": pool(4)}
        | {"B": Conv(weight(rng, 10, 10, 4, 4)), "C": Conv(weight(rng, 1, 10, 2, 2))}
        | {"fc1": fc(500, 49), "fc2": fc(10, 500)},
    )
    complex_pools = chained(
        "in A B p2 add D p4 flat1 sum fc out, A_s C p3 add, C_s p3a E flat2 sum",
        {**common, "A": one, **dict.fromkeys("BCDE", two), "p2": pool(2), "p3": pool(2), "p3a": pool(5), "p4": pool(3)}
        | {"fc": fc(10, 25)},
    )
    return {
        "a merge and a split": (merge_and_split, set()),
        "two networks with merging outputs": (two_branches, set()),
        "a residual connection behind poolings of 3 and 4": (residual_pools, {"pooling"}),
        "a complex network with poolings of 3 and 5": (complex_pools, {"pooling"}),
    }


MERGING = merging_networks()


@pytest.mark.parametrize("name", MERGING)
def test_networks_of_the_vendor_that_merge(name: str) -> None:
    graph, rules = MERGING[name]
    report = check(graph, CHIP)
    assert {issue.rule for issue in report.issues} == rules
    if rules:
        return
    program = compile_graph(graph, CHIP).program
    events = np.zeros(12, EVENT)
    events["t"] = np.arange(12)
    rng = np.random.default_rng(1)
    for axis, size in zip("cyx", program.input_shape, strict=True):
        events[axis] = rng.integers(8, 12, 12) if size > 16 else rng.integers(0, size, 12)
    stream = EventStream(events, program.input_shape, 13)
    wanted = run_reference(program, stream)
    assert all(maps.any() for maps in wanted.counts.values())
    assert_same(fast(program, stream), wanted)
