"""What grouping refuses, by name, and how it names what it makes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Add, AvgPool, Conv, Flatten, Input, Node, Output, Spike, SumPool
from deploytool.map.group import group
from deploytool.run.reference.specification import run_reference


def _conv(out: int, into: int, kernel: int = 1) -> Conv:
    return Conv(np.full((out, into, kernel, kernel), 0.5, np.float32))


def _chain(*nodes: Node) -> Graph:
    return chain([("in", Input((2, 4, 4))), *((f"n{i}", node) for i, node in enumerate(nodes)), ("out", Output())])


REFUSED = [
    ([_conv(2, 2)], "'out': Output takes the potentials of 'n0'", "Put a Spike after 'n0'"),
    ([_conv(2, 2), _conv(2, 2), Spike()], "'n1': Conv takes the potentials of 'n0'", "Put a Spike between 'n0' and"),
    ([_conv(2, 2), SumPool((2, 2), (2, 2)), Spike()], "'n1': SumPool takes the potentials of 'n0'", "between"),
    ([SumPool((3, 3), (1, 1)), Spike()], "'n0': a window of 3x3 with stride 1x1", "a stride equal to the window"),
    ([Spike(), AvgPool((2, 2), (2, 2))], "'out': its input is the averages of 'n1'", "SumPool"),
    ([Flatten(), _conv(3, 32), Spike()], "'n1': Conv after a Flatten", "Linear"),
    ([Flatten()], "'out': is connected to the Input", "neurons in between"),
]


@pytest.mark.parametrize(("nodes", "found", "todo"), REFUSED)
def test_what_has_no_layer_is_refused_by_name(nodes: list[Node], found: str, todo: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        group(_chain(*nodes))
    assert found in str(caught.value)
    assert todo in str(caught.value)
    assert len(caught.value.problems) == 1


def test_all_problems_are_told_at_once() -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 4, 4)),
        "a": Spike(v_reset=-1.0),
        "b": SumPool((2, 2), (1, 1)),
        "o1": Output(),
        "o2": Output(),
    }
    with pytest.raises(UnsupportedError) as caught:
        group(Graph(nodes, (("in", "a"), ("in", "b"), ("a", "o1"), ("b", "o2"))))
    assert len(caught.value.problems) == 2


def test_potentials_are_added_by_a_layer_with_several_synapses() -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 4, 4)),
        "a": _conv(2, 2),
        "add": Add(),
        "add2": Add(),
        "s": Spike(),
        "out": Output(),
        "b": Conv(np.ones((2, 2, 3, 3), np.float32), np.ones(2, np.float32), padding=(1, 1)),
    }
    edges = (
        ("in", "add"),
        ("in", "a"),
        ("a", "add"),
        ("in", "b"),
        ("add", "add2"),
        ("b", "add2"),
        ("add2", "s"),
        ("s", "out"),
    )
    program = group(Graph(nodes, edges))
    layer = program.layers["a"]
    assert list(program.layers) == ["a"]
    assert [synapses.weights.shape for synapses in layer.synapses] == [(2, 2, 1, 1), (2, 2, 3, 3), (2, 1, 1, 1)]
    assert [synapses.groups for synapses in layer.synapses] == [1, 1, 2]
    assert layer.bias.tolist() == [1, 1]
    assert layer.sources == ("a", "add", "b", "add2", "s")
    assert [route.synapses for route in program.input_routes] == [0, 1, 2]


def test_every_spike_behind_the_same_weights_is_a_layer() -> None:
    b = Conv(np.full((2, 2, 1, 1), 0.75, np.float32))
    nodes: dict[str, Node] = {
        "in": Input((2, 4, 4)),
        "a": _conv(2, 2),
        "b": b,
        "add": Add(),
        "s": Spike(),
        "t": Spike(2.0),
        "u": Spike(3.0),
        "o": Output(),
        "p": Output(),
        "q": Output(),
    }
    edges = (
        ("in", "a"),
        ("in", "b"),
        ("a", "add"),
        ("b", "add"),
        ("add", "s"),
        ("b", "t"),
        ("add", "u"),
        ("s", "o"),
        ("t", "p"),
        ("u", "q"),
    )
    program = group(Graph(nodes, edges))
    assert {
        name: (len(layer.synapses), layer.neurons.threshold, layer.sources) for name, layer in program.layers.items()
    } == {
        "a": (2, 1.0, ("a", "b", "add", "s")),
        "b": (1, 2.0, ("t",)),
        "a.u": (2, 3.0, ("u",)),
    }
    assert np.array_equal(program.layers["a.u"].synapses[1].weights, b.weight)
    assert program.outputs == ("a", "b", "a.u")


def ms_resnet(blocks: int) -> Graph:
    """Membrane shortcuts (Hu et al., 2021, arXiv:2112.08954): what blocks add is added to potentials, not to spikes."""
    rng = np.random.default_rng(0)

    def conv(out: int, into: int) -> Conv:
        return Conv(rng.normal(0, 0.5, (out, into, 3, 3)).astype(np.float32), padding=(1, 1))

    nodes: dict[str, Node] = {"in": Input((2, 6, 6)), "stem": conv(4, 2)}
    edges, last = [("in", "stem")], "stem"
    for n in range(blocks):
        nodes |= {f"s{n}": Spike(), f"a{n}": conv(4, 4), f"t{n}": Spike(), f"b{n}": conv(4, 4), f"add{n}": Add()}
        path = [last, f"s{n}", f"a{n}", f"t{n}", f"b{n}", f"add{n}"]
        edges += [*itertools.pairwise(path), (last, f"add{n}")]
        last = f"add{n}"
    nodes |= {"s": Spike(), "out": Output()}
    return Graph(nodes, (*edges, (last, "s"), ("s", "out")))


def test_membrane_shortcuts_become_layers_with_ever_more_synapses() -> None:
    program = group(ms_resnet(3))
    assert [len(layer.synapses) for layer in program.layers.values()] == [1, 1, 2, 1, 3, 1, 4]
    events = np.zeros(8, EVENT)
    rng = np.random.default_rng(1)
    events["t"] = np.arange(8)
    for axis, size in zip("cyx", (2, 6, 6), strict=True):
        events[axis] = rng.integers(0, size, 8)
    found = run_reference(program, EventStream(events, (2, 6, 6), 8))
    assert all(maps.sum() > 0 for maps in found.counts.values())


def test_leaks_and_resets_reach_the_layer() -> None:
    tau_ms = np.arange(1.0, 33.0).reshape(2, 4, 4)
    spike = Spike(reset="zero", tau_ms=tau_ms, v_leak=0.25, v_reset=-0.5, tau_syn_ms=3.0)
    layer = group(_chain(_conv(2, 2), spike)).layers["n0"]
    assert np.array_equal(layer.neurons.leak.tau_ms, tau_ms)
    assert (layer.neurons.leak.v_leak, layer.neurons.v_reset, layer.neurons.leak.tau_syn_ms) == (0.25, -0.5, 3.0)


def test_a_threshold_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"a threshold of 0\.0"):
        group(_chain(_conv(2, 2), Spike(0.0)))


def test_layers_are_named_after_weights_and_know_their_nodes(nmnist: Graph) -> None:
    program = group(nmnist)
    assert list(program.layers) == ["conv1", "conv2", "conv3", "fc1"]
    assert program.layers["conv1"].sources == ("conv1", "spike1", "pool1")
    assert program.layers["conv2"].routes[0].pool == (2, 2)
    assert program.layers["fc1"].single.weights.shape == (10, 16, 4, 4)
    assert program.outputs == ("fc1",)
    assert program.graph_digest == nmnist.digest
    assert all(
        program.layers[name].single.in_shape == shape
        for name, shape in {
            "conv1": (2, 34, 34),
            "conv2": (8, 17, 17),
            "conv3": (16, 8, 8),
            "fc1": (16, 4, 4),
        }.items()
    )


def test_a_bias_of_zeros_is_none_and_uniform_thresholds_are_one_number() -> None:
    weight = np.ones((2, 2, 1, 1), np.float32)
    program = group(
        _chain(Conv(weight, np.zeros(2)), Spike(np.full((2, 4, 4), 1.5)), Conv(weight, np.ones(2)), Spike())
    )
    assert program.layers["n0"].bias is None
    assert program.layers["n0"].neurons.threshold == 1.5
    assert program.layers["n2"].bias is not None
