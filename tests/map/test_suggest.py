"""Suggestions: networks that do not fit, each for another reason, and what would make them fit, applied.

`pytest tests/map/test_map_suggest.py -s` prints what `deploytool check` says of each.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers.sized import conv, sized_networks, weight
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import FitError
from deploytool.chip.chips import CHIPS
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.map.change import Change, apply, apply_all
from deploytool.map.compile import CheckReport, check, compile_graph
from deploytool.map.suggest import Suggestion

CHIP = CHIPS["speck2e"]


def _classifier(*nodes: tuple[str, Node], into: tuple[int, int, int] = (2, 32, 32), size: int) -> Graph:
    """``nodes``, then ten classes on the ``size`` values they give."""
    end = [("flatten", Flatten()), ("fc", Linear(weight(10, size))), ("last", Spike()), ("out", Output())]
    return chain([("in", Input(into)), *nodes, *end])


def _pool(size: int) -> Node:
    return SumPool((size, size), (size, size))


def _deep(channels: int) -> Graph:
    """Eight convolutions of up to 8 x ``channels`` features, as of a VGG."""
    nodes, into, size = [], 2, 32
    for i, factor in enumerate((1, 1, 2, 2, 4, 4, 8, 8)):
        nodes += conv(f"conv{i}", channels * factor, into)
        into = channels * factor
        if i % 2:
            nodes.append((f"pool{i}", _pool(2)))
            size //= 2
    return _classifier(*nodes, size=into * size * size)


UNFIT = {
    "memory": _deep(12),
    "kernel": _classifier(*conv("conv", 8, 2), size=8 * 32 * 32),
    "stride": _classifier(*conv("conv", 8, 2, stride=3), size=8 * 11 * 11),
    "pooling": _classifier(*conv("conv", 8, 2), ("pool", _pool(3)), size=8 * 10 * 10),
    "output-map": _classifier(*conv("conv", 4, 2), ("pool", _pool(8)), into=(2, 96, 96), size=4 * 12 * 12),
    "sensor": _classifier(
        ("first", _pool(4)),
        *conv("conv", 8, 2),
        ("pool", _pool(4)),
        into=(2, 132, 130),
        size=8 * 64,
    ),
    "pooling-remainder": _classifier(
        *conv("conv", 8, 2),
        ("pool", _pool(2)),
        *conv("second", 8, 8),
        ("end", _pool(2)),
        into=(2, 34, 33),
        size=8 * 8 * 8,
    ),
    "placement": _classifier(
        ("pool", _pool(4)),
        *conv("a", 64, 2),
        *conv("b", 64, 64),
        *conv("c", 64, 64),
        *conv("d", 64, 64),
        *conv("e", 64, 64),
        size=64 * 8 * 8,
    ),
}


def _applied(graph: Graph, suggestion: Suggestion) -> Graph:
    return apply_all(graph, suggestion.changes)


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
    orders = [suggestion.order for suggestion in report.suggestions]
    assert orders == sorted(orders)
    with pytest.raises(FitError):
        compile_graph(graph, CHIP)


def test_what_no_size_can_mend_gets_no_suggestion() -> None:
    layers = [node for i in range(10) for node in conv(f"c{i}", 2, 2)]
    report = check(chain([("in", Input((2, 8, 8))), *layers, ("out", Output())]), CHIP)
    assert [issue.rule for issue in report.issues] == ["layers"]
    assert report.suggestions == ()


def test_a_crop_by_two_pixels_is_the_smallest_change() -> None:
    graph = _classifier(
        *conv("conv", 32, 2),
        ("pool", _pool(2)),
        *conv("next", 8, 32),
        ("end", _pool(4)),
        into=(2, 34, 34),
        size=8 * 16,
    )
    report = check(graph, CHIP, split=False)
    whole, cropped, *_ = report.suggestions
    assert whole.changes == ()
    assert cropped.changes == (Change("in", "crop", 34, 32),)
    assert cropped.says == "in: events cropped to 32x32 instead of 34"


def test_what_needs_no_training_comes_first_and_every_suggestion_says_what_it_costs() -> None:
    graph = _classifier(
        *conv("conv", 32, 2), ("pool", _pool(2)), *conv("next", 8, 32), ("end", _pool(4)), into=(2, 34, 34), size=128
    )
    split, crop, *others = check(graph, CHIP, split=False).suggestions
    assert (split.cost.retraining, split.cost.field_of_view) == (False, 1)
    assert split.cost.after.cores == split.cost.before.cores + 1 == 4
    assert split.cost.after.weights == split.cost.before.weights == 32 * 2 * 9 + 8 * 32 * 9 + 10 * 128
    assert crop.changes == (Change("in", "crop", 34, 32),)
    assert (crop.cost.retraining, crop.cost.field_of_view) == (False, 32**2 / 34**2)
    assert crop.cost.before.synops - crop.cost.after.synops > 0
    assert others
    assert all(suggestion.cost.retraining for suggestion in others)
    assert "no training, 88.58\u202f% of the pixels" in crop.cost.says


def test_a_cropped_network_sees_what_the_whole_one_saw_of_those_pixels() -> None:
    """Every weight of a Linear stays with its feature and pixel: an event inside the crop has the effect it had."""
    nodes = [("in", Input((2, 6, 8))), ("flat", Flatten()), ("fc", Linear(weight(10, 96))), ("s", Spike())]
    graph = chain([*nodes, ("out", Output())])
    cropped = apply(graph, Change("in", "crop", 8, 4))
    before, after = graph.nodes["fc"], cropped.nodes["fc"]
    assert isinstance(before, Linear)
    assert isinstance(after, Linear)
    wanted = before.weight.reshape(10, 2, 6, 8)[:, :, :4, :4]
    assert np.array_equal(after.weight, wanted.reshape(10, 32))


def test_values_of_each_neuron_stay_with_their_neurons() -> None:
    start = np.arange(8 * 36, dtype=np.float32).reshape(8, 6, 6) / 1000
    nodes = [("in", Input((2, 6, 6))), ("conv", Conv(weight(8, 2, 1, 1))), ("s", Spike(v_init=start))]
    graph = chain([*nodes, ("out", Output())])
    changed = apply(graph, Change("in", "crop", 6, 4)).nodes["s"]
    assert isinstance(changed, Spike)
    assert np.array_equal(changed.v_init, start[:, :4, :4])


def test_a_smaller_kernel_keeps_its_middle_in_place() -> None:
    graph = _classifier(*conv("conv", 4, 2, kernel=5), size=4 * 32 * 32)
    before, after = graph.nodes["conv"], apply(graph, Change("conv", "kernel", 5, 3)).nodes["conv"]
    assert isinstance(before, Conv)
    assert isinstance(after, Conv)
    assert np.array_equal(after.weight, before.weight[:, :, 1:4, 1:4])
    assert (before.padding, after.padding) == ((2, 2), (1, 1))


def test_an_inserted_pooling_has_an_unused_name() -> None:
    graph = _classifier(*conv("conv_pool", 4, 2), *conv("conv", 4, 4), size=4 * 32 * 32)
    changed = apply(graph, Change("conv", "pooling", 1, 2))
    assert changed.nodes.keys() - graph.nodes.keys() == {"conv_pool_"}


@settings(max_examples=25)
@given(sized_networks(), st.booleans())
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
    found = check(_classifier(*conv("conv", 17, 2), ("pool", _pool(4)), size=17 * 64), CHIP).as_json()
    assert found["layers"][0]["free_features"] == 32
    assert found["layers"][1]["free_features"] is None
    assert found["growth"] == ["conv: up to 32 output features cost no more than those it has"]


def test_a_vgg_with_seven_violations_is_judged_quickly() -> None:
    graph = _deep(64)
    started = time.process_time()
    report = check(graph, CHIP)
    assert time.process_time() - started < 4, "0.09 s on a quiet machine"
    assert [issue.rule for issue in report.issues] == ["memory"] * 7
