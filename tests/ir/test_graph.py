import itertools
from dataclasses import replace

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.ir.graph import Graph, chain, cycles
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Delay, Flatten, Input, Linear, Node, Output, Spike, SumPool


def small(weight: float = 1.0) -> Graph:
    nodes = [
        ("in", Input((2, 8, 8))),
        ("conv", Conv(np.full((4, 2, 3, 3), weight, np.float32), padding=(1, 1))),
        ("if", Spike()),
        ("pool", SumPool((2, 2), (2, 2))),
        ("flat", Flatten()),
        ("fc", Linear(np.zeros((10, 64), np.float32))),
        ("if2", Spike()),
        ("out", Output()),
    ]
    return chain(nodes)


def test_shapes_follow_from_the_input() -> None:
    assert small().shapes["pool"] == (4, 4, 4)
    assert small().shapes["out"] == (10, 1, 1)


def test_equal_graphs_have_equal_digests() -> None:
    assert small().digest == small().digest
    assert small().digest != small(2.0).digest
    assert Graph(dict(reversed(small().nodes.items())), small().edges).digest == small().digest


def test_the_width_of_trained_weights_counts_where_it_is_stated() -> None:
    stated = replace(small(), weight_bits=4)
    assert stated.digest == replace(small(), weight_bits=4).digest
    assert len({stated.digest, replace(small(), weight_bits=5).digest, small().digest}) == 3
    assert small().digest == "9ebc85535dd2ad16c40198df4594def6cea06ef9da57cdbe40407fdd810a771b"
    with pytest.raises(InputError, match="weights of 1 bits; need at least 2"):
        replace(small(), weight_bits=1)


def test_arrays_are_read_only_copies() -> None:
    weight = np.ones((1, 1, 1, 1))
    conv = Conv(weight)
    weight[:] = 2
    assert conv.weight.item() == 1
    with pytest.raises(ValueError, match="read-only"):
        conv.weight[:] = 3


def test_conv_shapes_equal_torch() -> None:
    torch = pytest.importorskip("torch")
    for size, kernel, stride, padding, dilation in [
        (9, 3, 2, 1, 1),
        (8, 5, 3, 0, 1),
        (11, 3, 1, 2, 2),
        (7, 2, 4, 0, 3),
    ]:
        node = Conv(np.zeros((3, 2, kernel, kernel)), None, (stride, 1), (padding, 0), (dilation, 1))
        graph = chain([("in", Input((2, size, size))), ("conv", node), ("out", Output())])
        conv = torch.nn.Conv2d(2, 3, kernel, (stride, 1), (padding, 0), (dilation, 1))
        assert graph.shapes["conv"] == tuple(conv(torch.zeros(2, size, size)).shape)


def test_pools_leave_out_what_fills_no_window() -> None:
    for pool in (SumPool((2, 2), (2, 2)), AvgPool((2, 2), (2, 2))):
        assert chain([("in", Input((1, 17, 16))), ("pool", pool), ("out", Output())]).shapes["pool"] == (1, 8, 8)


def test_merges() -> None:
    nodes = {"a": Input((2, 4, 4)), "b": Input((3, 4, 4)), "c": Concat(), "out": Output()}
    assert Graph(nodes, (("b", "c"), ("a", "c"), ("c", "out"))).shapes["c"] == (5, 4, 4)
    with pytest.raises(InputError, match="node 'c': Add of 3x4x4, 2x4x4; need inputs of one shape"):
        Graph({**nodes, "c": Add()}, (("b", "c"), ("a", "c"), ("c", "out")))


@pytest.mark.parametrize(
    ("nodes", "edges", "sentence"),
    [
        ({"in": Input((1, 1, 1)), "out": Output()}, (("in", "nowhere"),), "refers to 'nowhere', which is not a node"),
        ({"in": Input((1, 1, 1)), "out": Output()}, (), "Input feeds nothing"),
        (
            {"in": Input((1, 1, 1)), "a": Spike(), "b": Spike(), "out": Output()},
            (("in", "out"), ("a", "b"), ("b", "a")),
            "a cycle through a, b",
        ),
        ({"in": Input((1, 1, 1)), "a": Add(), "out": Output()}, (("in", "a"), ("a", "out")), "need at least two"),
        (
            {"in": Input((4, 1, 1)), "a": Linear(np.zeros((2, 5))), "out": Output()},
            (("in", "a"), ("a", "out")),
            "Linear takes 5 values but gets 4x1x1",
        ),
        (
            {"in": Input((4, 2, 2)), "a": Conv(np.zeros((2, 4, 3, 3))), "out": Output()},
            (("in", "a"), ("a", "out")),
            "a kernel of 3x3 on 4x2x2 gives the shape",
        ),
        (
            {"in": Input((4, 2, 2)), "a": Spike(threshold=np.ones((4, 2, 1))), "out": Output()},
            (("in", "a"), ("a", "out")),
            r"threshold of shape \(4, 2, 1\)",
        ),
        ({"in": Input((4, 2, 2))}, (), "Input feeds nothing|no Output node"),
    ],
)
def test_ill_formed_graphs_are_refused_by_name(nodes: dict, edges: tuple, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Graph(nodes, edges)


def ring(*between: tuple[str, object], back: object) -> Graph:
    """in -> add -> between -> back -> add, with the last of ``between`` at the output."""
    nodes = {"in": Input((2, 4, 4)), "add": Add(), **dict(between), "back": back, "out": Output()}
    names = ["add", *(name for name, _ in between), "back", "add"]
    return Graph(nodes, (("in", "add"), *itertools.pairwise(names), (names[-3], "out")))


def test_a_way_back_leads_through_a_delay() -> None:
    conv = Conv(np.ones((2, 2, 3, 3), np.float32), padding=(1, 1))
    graph = ring(("conv", conv), ("if", Spike()), back=Delay(5))
    assert graph.order == ("in", "back", "add", "conv", "if", "out")
    assert set(graph.shapes.values()) == {(2, 4, 4)}
    assert graph.digest != ring(("conv", conv), ("if", Spike()), back=Delay(6)).digest
    with pytest.raises(
        InputError, match="a cycle through add, back, conv, if, out; need a Delay on every feedback path"
    ):
        ring(("conv", conv), ("if", Spike()), back=Spike())
    with pytest.raises(InputError, match="node 'add': Add of 2x4x4, 2x2x2; need inputs of one shape"):
        ring(("conv", conv), ("pool", SumPool((2, 2), (2, 2))), back=Delay(5))


def test_a_delay_says_the_shape_where_nothing_else_does() -> None:
    conv = Conv(np.ones((3, 5, 3, 3), np.float32), padding=(1, 1))
    nodes = {"in": Input((2, 4, 4)), "c": Concat(), "conv": conv, "s": Spike(), "d": Delay(5), "out": Output()}
    edges = (("in", "c"), ("d", "c"), ("c", "conv"), ("conv", "s"), ("s", "d"), ("s", "out"))
    with pytest.raises(InputError, match=r"node 'd': its shape cannot be inferred .* a Delay on that path with"):
        Graph(nodes, edges)
    assert Graph({**nodes, "d": Delay(np.full((3, 4, 4), 5))}, edges).shapes["c"] == (5, 4, 4)
    with pytest.raises(InputError, match=r"node 'd': delay_us of shape \(2, 4, 4\)"):
        Graph({**nodes, "d": Delay(np.full((2, 4, 4), 5)), "conv": Conv(np.ones((3, 4, 1, 1)))}, edges)


@pytest.mark.parametrize("wrong", [0, -3, 1.5, np.array([1, 0]), np.array([])])
def test_delays_are_whole_microseconds(wrong: object) -> None:
    with pytest.raises(InputError, match=r"Delay: delay_us is .*; need whole microseconds, at least 1"):
        Delay(wrong)


@pytest.mark.parametrize(
    ("node", "field"),
    [
        (Linear(np.array([[1.0, np.nan]], np.float32)), "weight"),
        (Linear(np.array([[1.0, 1e39]])), "weight"),
        (Linear(np.ones((1, 2), np.float32), np.array([np.inf], np.float32)), "bias"),
        (Spike(np.inf), "threshold"),
        (Spike(v_init=1e39), "v_init"),
        (Spike(tau_ms=np.inf), "tau_ms"),
    ],
)
def test_numbers_that_float32_does_not_have(node: Node, field: str) -> None:
    with pytest.raises(InputError, match=rf"node 'n': {field} has 1 values that are not finite in float32"):
        chain([("in", Input((2, 1, 1))), ("n", node), ("out", Output())])


def test_cycles_are_the_nodes_that_reach_each_other() -> None:
    sources = {"a": [], "b": ["a", "d"], "c": ["b"], "d": ["c"], "e": ["d", "e"], "f": ["e"], "g": ["h"], "h": ["g"]}
    found = sorted(sorted(together) for together in cycles(sources))
    assert found == [["b", "c", "d"], ["e"], ["g", "h"]]


def test_a_long_chain_has_no_cycle_and_needs_no_recursion() -> None:
    number = 5000
    line = {str(node): [str(node - 1)] if node else [] for node in range(number)}
    assert cycles(line) == []
    assert cycles({**line, "0": [str(number - 1)]}) == [set(line)]
