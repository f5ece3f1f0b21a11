"""Suggestions: networks that do not fit, each for another reason, and what would make them fit, applied.

`pytest tests/map/test_map_suggest.py -s` prints what `deploytool check` says of each.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import DeployError, FitError
from deploytool.chip.chips import CHIPS
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.map.change import Change, apply
from deploytool.map.compile import CheckReport, check, compile_graph
from deploytool.map.suggest import Suggestion

CHIP = CHIPS["speck2e"]


def _weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


def _classifier(*nodes: tuple[str, Node], into: tuple[int, int, int] = (2, 32, 32), size: int) -> Graph:
    """``nodes``, then ten classes on the ``size`` values they give."""
    end = [("flatten", Flatten()), ("fc", Linear(_weight(10, size))), ("last", Spike()), ("out", Output())]
    return chain([("in", Input(into)), *nodes, *end])


def _conv(name: str, out: int, into: int, kernel: int = 3, stride: int = 1) -> list[tuple[str, Node]]:
    padding = (kernel - 1) // 2
    conv = Conv(_weight(out, into, kernel, kernel), None, (stride, stride), (padding, padding))
    return [(name, conv), (f"{name}_spike", Spike())]


def _pool(size: int) -> Node:
    return SumPool((size, size), (size, size))


def _deep(channels: int) -> Graph:
    """Eight convolutions of up to 8 x ``channels`` features, as of a VGG."""
    nodes, into, size = [], 2, 32
    for i, factor in enumerate((1, 1, 2, 2, 4, 4, 8, 8)):
        nodes += _conv(f"conv{i}", channels * factor, into)
        into = channels * factor
        if i % 2:
            nodes.append((f"pool{i}", _pool(2)))
            size //= 2
    return _classifier(*nodes, size=into * size * size)


UNFIT = {
    "memory": _deep(12),
    "kernel": _classifier(*_conv("conv", 8, 2), size=8 * 32 * 32),
    "stride": _classifier(*_conv("conv", 8, 2, stride=3), size=8 * 11 * 11),
    "pooling": _classifier(*_conv("conv", 8, 2), ("pool", _pool(3)), size=8 * 10 * 10),
    "output-map": _classifier(*_conv("conv", 4, 2), ("pool", _pool(8)), into=(2, 96, 96), size=4 * 12 * 12),
    "sensor": _classifier(
        ("first", _pool(4)),
        *_conv("conv", 8, 2),
        ("pool", _pool(4)),
        into=(2, 132, 130),
        size=8 * 64,
    ),
    "pooling-remainder": _classifier(
        *_conv("conv", 8, 2),
        ("pool", _pool(2)),
        *_conv("second", 8, 8),
        ("end", _pool(2)),
        into=(2, 34, 33),
        size=8 * 8 * 8,
    ),
    "placement": _classifier(
        ("pool", _pool(4)),
        *_conv("a", 64, 2),
        *_conv("b", 64, 64),
        *_conv("c", 64, 64),
        *_conv("d", 64, 64),
        *_conv("e", 64, 64),
        size=64 * 8 * 8,
    ),
}


def _applied(graph: Graph, suggestion: Suggestion) -> Graph:
    for change in suggestion.changes:
        graph = apply(graph, change)
    return graph


def _told(rule: str, report: CheckReport) -> str:
    lines = [f"{rule}: {issue.says} {issue.hint}" for issue in report.issues]
    return "\n".join([*lines, *(f"    -> {suggestion.says}" for suggestion in report.suggestions)])


@pytest.mark.parametrize("rule", list(UNFIT))
def test_a_network_that_does_not_fit_is_told_why_and_ways_that_fit(rule: str) -> None:
    graph = UNFIT[rule]
    report = check(graph, CHIP)
    print("\n" + _told(rule, report))
    assert rule in {issue.rule for issue in report.issues}
    assert report.suggestions
    for suggestion in report.suggestions:
        changed = _applied(graph, suggestion)
        after = check(changed, CHIP)
        assert after.fits
        assert after.splits == suggestion.splits
        assert changed.shapes["out"] == graph.shapes["out"]
        mapped = compile_graph(changed, CHIP)
        print(f"    applied: {len(mapped.program.layers)} layers on cores {sorted(mapped.program.core_of.values())}")
    sizes = [suggestion.size for suggestion in report.suggestions]
    assert sizes == sorted(sizes)
    with pytest.raises(FitError):
        compile_graph(graph, CHIP)


def test_what_no_size_can_mend_gets_no_suggestion() -> None:
    layers = [node for i in range(10) for node in _conv(f"c{i}", 2, 2)]
    report = check(chain([("in", Input((2, 8, 8))), *layers, ("out", Output())]), CHIP)
    assert [issue.rule for issue in report.issues] == ["layers"]
    assert report.suggestions == ()


def test_a_crop_by_two_pixels_is_the_smallest_change() -> None:
    graph = _classifier(
        *_conv("conv", 32, 2),
        ("pool", _pool(2)),
        *_conv("next", 8, 32),
        ("end", _pool(4)),
        into=(2, 34, 34),
        size=8 * 16,
    )
    report = check(graph, CHIP, split=False)
    whole, cropped, *_ = report.suggestions
    assert whole.changes == ()
    assert cropped.changes == (Change("in", "crop", 34, 32),)
    assert cropped.says == "in: events cropped to 32x32 instead of 34"


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Chains of one to three convolutions, often a little too large for a core."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(8, 40), st.integers(8, 40)))
    nodes: list[tuple[str, Node]] = [("in", Input(shape))]
    into = shape[0]
    for i in range(draw(st.integers(1, 3))):
        out, kernel = draw(st.integers(1, 80)), draw(st.sampled_from([1, 3, 5]))
        nodes += _conv(f"conv{i}", out, into, kernel, draw(st.sampled_from([1, 1, 2, 3])))
        into = out
        pool = draw(st.sampled_from([1, 2, 3, 4]))
        if pool > 1:
            nodes.append((f"pool{i}", draw(st.sampled_from([SumPool, AvgPool]))((pool, pool), (pool, pool))))
    try:
        size = int(np.prod(chain([*nodes, ("probe", Output())]).shapes["probe"]))
    except DeployError:
        assume(False)
    end = [("flat", Flatten()), ("fc", Linear(_weight(10, size))), ("last", Spike()), ("out", Output())]
    return chain([*nodes, *end])


@settings(max_examples=25)
@given(networks(), st.booleans())
def test_every_suggestion_fits_and_free_features_cost_nothing(graph: Graph, may_split: bool) -> None:
    report = check(graph, CHIP, split=may_split)
    assert report.fits or not report.splits
    for suggestion in report.suggestions:
        after = check(_applied(graph, suggestion), CHIP, split=may_split or not suggestion.changes)
        assert after.fits
        assert after.splits == suggestion.splits
    for layer in report.layers:
        if layer.free_features is not None and not report.splits:
            now = graph.nodes[layer.name].weight.shape[0]  # type: ignore[union-attr]
            grown = check(apply(graph, Change(layer.name, "features", now, layer.free_features)), CHIP, split=may_split)
            assert grown.fits == report.fits
            assert [(other.memory.kernel_bits, other.memory.neuron_bits, other.core) for other in grown.layers] == [
                (other.memory.kernel_bits, other.memory.neuron_bits, other.core) for other in report.layers
            ]
            assert layer.free_features & (layer.free_features - 1) == 0


def test_seventeen_features_cost_as_much_as_thirty_two() -> None:
    found = check(_classifier(*_conv("conv", 17, 2), ("pool", _pool(4)), size=17 * 64), CHIP).as_json()
    assert found["layers"][0]["free_features"] == 32
    assert found["layers"][1]["free_features"] is None
    assert found["growth"] == ["conv: up to 32 output features cost no more than those it has"]


def test_a_vgg_with_seven_violations_is_judged_quickly() -> None:
    graph = _deep(64)
    started = time.process_time()
    report = check(graph, CHIP)
    assert time.process_time() - started < 0.4, "0.09 s on the machine this was written on"
    assert [issue.rule for issue in report.issues] == ["memory"] * 7
