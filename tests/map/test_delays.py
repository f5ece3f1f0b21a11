"""Delays become routes that take time, wherever they stand, and ways back lead where they should."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, Events, EventStream
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Delay, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.ir.program import Route
from deploytool.map.compile import check
from deploytool.map.group import group
from deploytool.run.reference.specification import run_reference

RNG = np.random.default_rng(0)


def stream(shape: tuple[int, int, int], count: int = 30, seed: int = 0) -> EventStream:
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, 2000, count))
    for axis, size in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, size, count)
    return EventStream(events, shape, 5000)


def spikes(graph: Graph, layer: str, seed: int = 0) -> Events:
    node = next(node for node in graph.nodes.values() if isinstance(node, Input))
    return run_reference(group(graph), stream(node.shape, seed=seed)).spikes[layer]


def weights(out: int, into: int, kernel: int = 1) -> Conv:
    return Conv(RNG.normal(0.4, 0.6, (out, into, kernel, kernel)).astype(np.float32), padding=(kernel // 2,) * 2)


def test_a_delay_is_of_the_route_and_of_the_neurons_that_send() -> None:
    each = np.arange(1, 9).reshape(2, 2, 2)
    graph = chain(
        [
            ("in", Input((2, 4, 4))),
            ("a", weights(2, 2)),
            ("s", Spike()),
            ("early", Delay(5)),
            ("pool", SumPool((2, 2), (2, 2))),
            ("late", Delay(each)),
            ("b", weights(2, 2)),
            ("t", Spike()),
            ("out", Output()),
        ]
    )
    program = group(graph)
    (route,) = program.layers["a"].routes
    assert (route.to, route.pool) == ("b", (2, 2))
    assert np.array_equal(route.delays_us((2, 4, 4)), 5 + each.repeat(2, axis=1).repeat(2, axis=2))
    assert program.layers["a"].sources == ("a", "s", "pool")


@given(st.integers(0, 99))
def test_behind_weights_a_delay_is_one_in_front_of_them(seed: int) -> None:
    a, b, c = weights(2, 2, 3), weights(2, 2), weights(2, 2)
    nodes: dict[str, Node] = {
        "in": Input((2, 4, 4)),
        "a": a,
        "sa": Spike(),
        "b": b,
        "c": c,
        "add": Add(),
        "s": Spike(),
        "t": Spike(),
        "o": Output(),
        "p": Output(),
    }
    edges = (("in", "a"), ("a", "sa"), ("in", "b"), ("sa", "c"), ("b", "add"), ("c", "add"))
    behind = Graph(nodes | {"d": Delay(40)}, (*edges, ("add", "d"), ("d", "s"), ("s", "o"), ("sa", "t"), ("t", "p")))
    ahead = Graph(
        nodes | {"d": Delay(40), "e": Delay(40)},
        (
            ("in", "a"),
            ("a", "sa"),
            ("in", "d"),
            ("d", "b"),
            ("sa", "e"),
            ("e", "c"),
            ("b", "add"),
            ("c", "add"),
            ("add", "s"),
            ("s", "o"),
            ("sa", "t"),
            ("t", "p"),
        ),
    )
    assert spikes(behind, "b", seed).tolist() == spikes(ahead, "b", seed).tolist()


def test_weights_that_feed_more_than_the_delay_are_repeated() -> None:
    nodes: dict[str, Node] = {
        "in": Input((1, 1, 1)),
        "w": Linear(np.ones((1, 1), np.float32)),
        "d": Delay(100),
        "s": Spike(),
        "t": Spike(),
        "o": Output(),
        "p": Output(),
    }
    program = group(Graph(nodes, (("in", "w"), ("w", "s"), ("s", "o"), ("w", "d"), ("d", "t"), ("t", "p"))))
    assert sorted(program.layers) == ["w", "w.d"]
    found = run_reference(program, stream((1, 1, 1))).spikes
    assert (found["w"]["t"] + 100).tolist() == found["w.d"]["t"].tolist()


def test_the_output_of_a_delay_is_late() -> None:
    graph = chain([("in", Input((2, 1, 1))), ("s", Spike()), ("d", Delay(7)), ("out", Output())])
    program = group(graph)
    assert program.outputs == ("d",)
    found = run_reference(program, stream((2, 1, 1))).spikes
    assert (found["input"]["t"] + 7).tolist() == found["d"]["t"].tolist()


def recurrent(
    *between: tuple[str, Node], back: Node, front: tuple[tuple[str, Node], ...] = (), delay: int = 50
) -> Graph:
    """in -> a -> add -> s -> out, and s -> between -> delay -> front -> back -> add."""
    path: list[tuple[str, Node]] = [*between, ("d", Delay(delay)), *front, ("back", back)]
    nodes: dict[str, Node] = {
        "in": Input((2, 4, 4)),
        "a": weights(2, 2, 3),
        "add": Add(),
        "s": Spike(1.5),
        "out": Output(),
        **dict(path),
    }
    names = ["s", *(name for name, _ in path), "add"]
    edges = (("in", "a"), ("a", "add"), ("add", "s"), ("s", "out"), *itertools.pairwise(names))
    return Graph(nodes, edges)


def test_a_way_back_is_a_route_to_an_earlier_layer() -> None:
    program = group(recurrent(back=weights(2, 2, 3)))
    assert list(program.layers) == ["a"]
    assert program.layers["a"].routes == (Route("a", synapses=1, delay_us=50),)


def test_what_lies_on_a_way_back_counts_on_both_sides_of_the_delay() -> None:
    up = Conv(np.ones((2, 2, 3, 3), np.float32), padding=(2, 2))
    before = recurrent(("p", SumPool((2, 2), (2, 2))), back=up)
    behind = recurrent(back=up, front=(("p", SumPool((2, 2), (2, 2))),))
    assert group(before).layers["a"].routes == group(behind).layers["a"].routes
    assert group(before).layers["a"].routes == (Route("a", (2, 2), 0, 1, 50),)


def test_two_delays_in_a_circle_add_up_and_circles_meet() -> None:
    graph = recurrent(back=weights(2, 2, 3))
    nodes = {**graph.nodes, "d2": Delay(30)}
    edges = tuple(edge for edge in graph.edges if edge != ("s", "d"))
    twice = Graph(nodes, (*edges, ("s", "d2"), ("d2", "d")))
    assert group(twice).layers["a"].routes == (Route("a", synapses=1, delay_us=80),)
    both = Graph(
        {**nodes, "more": weights(2, 2), "d2": Delay(30)}, (*graph.edges, ("d", "d2"), ("d2", "more"), ("more", "add"))
    )
    assert group(both).layers["a"].routes == (Route("a", synapses=1, delay_us=50), Route("a", synapses=2, delay_us=80))


def test_a_way_back_may_end_in_a_concat() -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 4, 4)),
        "join": Concat(),
        "a": weights(3, 5, 3),
        "s": Spike(),
        "out": Output(),
        "d": Delay(np.full((3, 4, 4), 20)),
    }
    edges = (("in", "join"), ("d", "join"), ("join", "a"), ("a", "s"), ("s", "d"), ("s", "out"))
    assert group(Graph(nodes, edges)).layers["a"].routes == (Route("a", feature_shift=2, delay_us=20),)


def test_flattened_ways_back() -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 1, 1)),
        "w": Linear(RNG.normal(size=(8, 2)).astype(np.float32)),
        "s": Spike(),
        "d": Delay(20),
        "back": Linear(RNG.normal(size=(8, 8)).astype(np.float32)),
        "add": Add(),
        "flat": Flatten(),
        "out": Output(),
    }
    edges = (
        ("in", "w"),
        ("w", "add"),
        ("back", "add"),
        ("add", "s"),
        ("s", "flat"),
        ("flat", "d"),
        ("d", "back"),
        ("s", "out"),
    )
    assert group(Graph(nodes, edges)).layers["w"].routes == (Route("w", synapses=1, delay_us=20),)


def test_what_cannot_be_delayed_is_refused_by_name() -> None:
    differ = Delay(np.arange(1, 33).reshape(2, 4, 4))
    nodes = [("in", Input((2, 4, 4))), ("a", weights(2, 2)), ("d", differ), ("s", Spike()), ("out", Output())]
    with pytest.raises(
        UnsupportedError, match="'d': different delays for the outputs of 'a'; need the same delay for all"
    ):
        group(chain(nodes))
    averages = recurrent(("p", AvgPool((1, 1), (1, 1))), back=weights(2, 2))
    assert group(averages).layers["a"].routes
    averages = recurrent(("p", AvgPool((2, 2), (2, 2))), back=Conv(np.ones((2, 2, 3, 3), np.float32), padding=(2, 2)))
    with pytest.raises(UnsupportedError, match=r"'d': its input is the averages of 'p'.*Pool after the Delay"):
        group(averages)
    echo = Graph(
        {"in": Input((1, 1, 1)), "add": Add(), "d": Delay(5), "s": Spike(), "out": Output()},
        (("in", "add"), ("d", "add"), ("add", "d"), ("add", "s"), ("s", "out")),
    )
    with pytest.raises(UnsupportedError, match="'d': a feedback path without neurons"):
        group(echo)


def test_a_chip_refuses_delays_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"a: gets spikes of 'a' with a delay"):
        check(recurrent(back=weights(2, 2, 3)), CHIPS["speck2e"])
