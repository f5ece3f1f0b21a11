"""Splitting: the fewest cores there can be, only where it is what makes a network fit, and without changing a spike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import make_layer
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import FitError
from deploytool.chip.chips import CHIPS, Core
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Concat, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.spec.verify import check_rules
from deploytool.map.compile import check, compile_graph
from deploytool.map.emit import configuration
from deploytool.map.place import misfit, place
from deploytool.map.quantise import quantise
from deploytool.map.split import fit, split
from deploytool.run.targets.table import make_target

CHIP = CHIPS["speck2e"]
TINY = replace(CHIP, cores=(Core(16, 16, 9), Core(16, 64, 9), Core(64, 16, 9), Core(32, 32, 9), Core(4, 4, 9)))


@st.composite
def chains(draw: st.DrawFn) -> Program:
    """One to three 1x1 layers in a chain, around the sizes of the tiny chip's cores."""
    side, into = draw(st.sampled_from([1, 2])), draw(st.integers(1, 8))
    features = draw(st.lists(st.integers(1, 11), min_size=1, max_size=3))
    layers: dict[str, Layer] = {}
    for i, (c_in, c_out) in enumerate(itertools.pairwise([into, *features])):
        routes = (Route(f"l{i + 1}"),) if i + 1 < len(features) else ()
        weights = np.ones((c_out, c_in, 1, 1), np.float32)
        layers[f"l{i}"] = make_layer(weights, 1.0, (c_in, side, side), (c_out, side, side), routes)
    return Program("simulator", "float32", (into, side, side), (Route("l0"),), layers, (list(layers)[-1],), "")


def _shares(features: int, parts: int) -> Iterator[tuple[int, ...]]:
    for cuts in itertools.combinations(range(1, features), parts - 1):
        yield tuple(end - start for start, end in itertools.pairwise([0, *cuts, features]))


def _fits(program: Program) -> bool:
    return not check_rules(program, TINY) and misfit(program, TINY) is None


def _fewest_cores(program: Program) -> int | None:
    """By trying every way to cut every layer."""
    best = None
    counts = itertools.product(range(1, 6), repeat=len(program.layers))
    for count in (count for count in counts if sum(count) <= len(TINY.cores)):
        shares = [_shares(layer.out_shape[0], n) for layer, n in zip(program.layers.values(), count, strict=True)]
        for sizes in itertools.product(*shares):
            chosen = {name: size for name, size in zip(program.layers, sizes, strict=True) if len(size) > 1}
            cut = split(program, chosen, TINY)
            if (best is None or len(cut.layers) < best) and _fits(cut):
                best = len(cut.layers)
    return best


@settings(max_examples=60)
@given(chains())
def test_a_program_is_split_onto_the_fewest_cores_and_only_where_it_must_be(program: Program) -> None:
    found, fewest = fit(program, TINY), _fewest_cores(program)
    assert bool(found.issues) == (fewest is None)
    if _fits(program):
        assert found.splits == ()
    if fewest is not None:
        cut = split(program, found.sizes, TINY)
        assert _fits(cut)
        assert len(cut.layers) == fewest == len(program.layers) + sum(split.cores for split in found.splits)
        assert set(place(cut, TINY).core_of) == set(cut.layers)
    assert not found.issues or not found.splits


def _weight(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(0.15, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def _classifier(*nodes: tuple[str, Node], into: tuple[int, int, int], size: int) -> Graph:
    end = [("flat", Flatten()), ("fc", Linear(_weight(10, size))), ("last", Spike(floor=-1.0)), ("out", Output())]
    return chain([("in", Input(into)), *nodes, *end])


IF, POOL = Spike(floor=-1.0), SumPool((2, 2), (2, 2))
WIDE = _classifier(
    ("a", Conv(_weight(96, 2, 3, 3), padding=(1, 1))),
    ("sa", IF),
    ("pa", SumPool((4, 4), (4, 4))),
    into=(2, 32, 32),
    size=96 * 64,
)
"""96 features of 32x32 are more neurons than a core has; ten classes of 96x8x8 values more weights."""
CROWD = _classifier(
    ("p", SumPool((4, 4), (4, 4))),
    *(
        (name, node)
        for i, c_in in enumerate((2, 64, 64, 64))
        for name, node in ((f"a{i}", Conv(_weight(64, c_in, 3, 3, seed=i), padding=(1, 1))), (f"s{i}", IF))
    ),
    into=(2, 32, 32),
    size=64 * 64,
)
"""Four layers that each fit only cores 5 and 6."""
FAN = Graph(
    {
        "in": Input((2, 12, 12)),
        "a": Conv(_weight(4, 2, 3, 3)),
        "sa": IF,
        "p": POOL,
        "b": Conv(_weight(3, 4, 3, 3, seed=1), padding=(1, 1)),
        "sb": IF,
        "c": Conv(_weight(3, 4, 1, 1)),
        "sc": IF,
        "d": Conv(_weight(3, 4, 3, 3, seed=2), padding=(1, 1)),
        "sd": IF,
        "j": Concat(),
        "flat": Flatten(),
        "fc": Linear(_weight(5, 9 * 25)),
        "sf": IF,
        "out": Output(),
    },
    (
        ("in", "a"),
        ("a", "sa"),
        ("sa", "p"),
        ("p", "b"),
        ("p", "c"),
        ("p", "d"),
        ("b", "sb"),
        ("c", "sc"),
        ("d", "sd"),
        ("sb", "j"),
        ("sc", "j"),
        ("sd", "j"),
        ("j", "flat"),
        ("flat", "fc"),
        ("fc", "sf"),
        ("sf", "out"),
    ),
)
"""A layer that feeds three."""
SPLIT = {"wide": (WIDE, ["a", "fc"]), "crowd": (CROWD, ["a3", "fc"]), "fan": (FAN, ["a"])}


def _stream(shape: tuple[int, int, int], count: int) -> EventStream:
    rng = np.random.default_rng(3)
    events = np.zeros(count, EVENT)
    events["t"] = np.arange(count)
    for axis, size in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, size, count)
    return EventStream(events, shape, count)


@pytest.mark.parametrize("name", list(SPLIT))
def test_a_split_network_gives_the_spikes_of_the_whole_one(name: str) -> None:
    graph, layers = SPLIT[name]
    mapped = compile_graph(graph, CHIP)
    assert [found.layer for found in mapped.splits] == layers
    assert {core for found in mapped.splits for core in found.into} <= set(mapped.program.core_of)
    whole = quantise(mapped.float_program, CHIP.integers)
    streams = [_stream(whole.input_shape, 300)]
    wanted, found = make_target("simulator").run(whole, streams), make_target("emulator").run(mapped.program, streams)
    assert found.outputs == wanted.outputs
    assert wanted.output_counts.sum() > 20
    for layer, counts in wanted.counts.items():
        np.testing.assert_array_equal(found.counts[layer], counts, layer)
        assert found.aliases.items() >= dict.fromkeys(whole.layers[layer].sources, layer).items()
    assert configuration(mapped.program, CHIP)["cnn_layers"].count(None) == 9 - len(mapped.program.layers)


@pytest.mark.parametrize("name", list(SPLIT))
def test_without_splitting_the_reason_is_told_and_what_a_split_would_cost(name: str) -> None:
    graph, layers = SPLIT[name]
    report = check(graph, CHIP, split=False)
    assert {issue.rule for issue in report.issues} <= {"memory", "placement", "fan-out"}
    assert not report.splits
    cheapest = report.suggestions[0]
    assert cheapest.changes == ()
    assert [found.layer for found in cheapest.splits] == layers
    assert "more core" in cheapest.says
    with pytest.raises(FitError):
        compile_graph(graph, CHIP, split=False)


def test_the_report_says_what_was_split_and_why() -> None:
    found = check(WIDE, CHIP).as_json()
    assert found["fits"]
    assert found["splits"][0] == {
        "layer": "a",
        "into": ["a_part1", "a_part2"],
        "why": "needs 4,096 kernel and 98,304 neuron words, and no core holds it: its features are divided 32 + 64",
    }
    assert {layer["name"] for layer in found["layers"]} == {"a_part1", "a_part2", "fc_part1", "fc_part2"}
    assert None not in {layer["core"] for layer in found["layers"]}
    fan = check(FAN, CHIP).as_json()["splits"]
    assert fan == [
        {
            "layer": "a",
            "into": ["a", "a_relay1"],
            "why": "feeds 3 cores, but a core has 2 destinations: relays pass its spikes on",
        }
    ]


def test_a_pinned_layer_stays_whole() -> None:
    assert check(WIDE, CHIP, {"fc": 8}).issues
    assert check(FAN, CHIP, {"a": 8}).layers[0].core == 8


def test_where_something_else_is_in_the_way_only_that_is_told() -> None:
    """A stride of 3 gives the first layer a map of 11x11, and the second one is still too large for a core."""
    graph = chain(
        [
            ("in", Input((2, 32, 32))),
            ("a", Conv(_weight(8, 2, 3, 3), stride=(3, 3), padding=(1, 1))),
            ("sa", IF),
            ("b", Conv(_weight(1024, 8, 1, 1))),
            ("sb", IF),
            ("out", Output()),
        ]
    )
    assert {issue.rule for issue in check(graph, CHIP, split=False).issues} == {"stride", "memory"}
    report = check(graph, CHIP)
    assert [issue.rule for issue in report.issues] == ["stride"]
    assert report.splits == ()


def _nine(first: Conv, last: Conv) -> Graph:
    convs = [first, *[Conv(_weight(8, 8, 3, 3), padding=(1, 1))] * 7, last]
    layers = [node for i, conv in enumerate(convs) for node in ((f"a{i}", conv), (f"s{i}", IF))]
    return chain([("in", Input((first.weight.shape[1], 8, 8))), *layers, ("out", Output())])


def test_a_layer_that_no_split_can_save_says_what_it_would_take() -> None:
    small = Conv(_weight(8, 8, 3, 3), padding=(1, 1))
    assert check(_nine(small, small), CHIP).fits
    issue = check(_nine(small, Conv(_weight(1024, 8, 3, 3), padding=(1, 1))), CHIP).issues[0]
    assert issue.rule == "memory"
    assert issue.hint.endswith("Splitting it would need at least 4 cores, which are not free.")
    issue = check(_nine(Conv(_weight(8, 512, 15, 15), padding=(7, 7)), small), CHIP).issues[0]
    assert issue.hint.endswith("Even a single output feature fits no core.")


def test_relays_lead_past_a_rest_of_the_pooling() -> None:
    """A map of 5x5 pooled by 2 leaves a rest, so that the relay takes it whole."""
    routes = tuple(Route(name, (2, 2)) for name in "bcd")
    first = make_layer(np.ones((2, 1, 1, 1), np.int8), 1, (1, 5, 5), (2, 5, 5), routes, floor=-1)
    ends = {name: make_layer(np.ones((1, 2, 2, 2), np.int8), 1, (2, 2, 2), (1, 1, 1), (), floor=-1) for name in "bcd"}
    whole = Program("simulator", "int8/int16", (1, 5, 5), (Route("a"),), {"a": first, **ends}, tuple("bcd"), "")
    cut = split(whole, {}, CHIP)
    assert cut.layers["a_relay1"].single.in_shape == (2, 5, 5)
    assert [route.pool for route in cut.layers["a"].routes] == [(2, 2), (1, 1)]
    assert [issue.rule for issue in check_rules(cut, CHIP)] == []
    assert cut.layers["a_relay1"].single.weights.dtype == np.int8
