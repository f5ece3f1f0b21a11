"""Every rule of every chip has an example that passes and one that breaks it and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from hypothesis import given
from hypothesis import strategies as st

from deploytool.chip.chips import CHIPS
from deploytool.chip.memory import cores_for, memory_of
from deploytool.ir.graph import Graph
from deploytool.ir.program import Layer, Program, Route
from deploytool.map.group import group
from deploytool.map.rules import RULES, check_rules, rules_manual

CHIP = CHIPS["speck2e"]
RULE_IDS = [rule.id for rule in RULES]


def layer(
    into: tuple[int, int, int],
    out: int,
    kernel: int = 1,
    stride: int = 1,
    padding: int = 0,
    routes: tuple[Route, ...] = (),
) -> Layer:
    """A layer whose output map follows from its sizes."""
    sizes = [(n + 2 * padding - kernel) // stride + 1 for n in into[1:]]
    weights = np.full((out, into[0], kernel, kernel), 0.25, np.float32)
    return make_layer(
        weights, 1.0, into, (out, sizes[0], sizes[1]), routes, stride=(stride, stride), padding=(padding, padding)
    )


def program(
    into: tuple[int, int, int], layers: dict[str, Layer], input_routes: tuple[Route, ...] | None = None
) -> Program:
    """Layers in a chain unless they name their routes."""
    names = list(layers)
    linked = {
        name: layers[name]
        if layers[name].routes or not following
        else replace(layers[name], routes=(Route(following),))
        for name, following in zip(names, [*names[1:], ""], strict=True)
    }
    routes = input_routes or (Route(names[0]),)
    return Program("simulator", "float32", into, routes, linked, (names[-1],), "")


def pair(route: Route, first: Layer, second: Layer) -> Program:
    """Two layers joined by ``route``."""
    return program(first.single.in_shape, {"a": replace(first, routes=(route,)), "b": second})


def one(**changes: object) -> Program:
    return program((2, 8, 8), {"a": changed(layer((2, 8, 8), 2), **changes)})


def _joined(shifts: tuple[int, int]) -> Program:
    """Two layers of two features that feed one of four, at ``shifts``."""
    branch = layer((2, 4, 4), 2)
    layers = {
        "a": replace(branch, routes=(Route("c", feature_shift=shifts[0]),)),
        "b": replace(branch, routes=(Route("c", feature_shift=shifts[1]),)),
        "c": layer((4, 4, 4), 2),
    }
    return program((2, 4, 4), layers, (Route("a"), Route("b")))


def _beside_input(features: int) -> Program:
    """A layer that gets the input and, behind it, two features of another layer."""
    layers = {
        "a": replace(layer((features, 4, 4), 2), routes=(Route("b", feature_shift=features),)),
        "b": layer((features + 2, 4, 4), 2),
    }
    return program((features, 4, 4), layers, (Route("a"), Route("b")))


def _fan(destinations: int) -> Program:
    ends = {f"e{i}": layer((2, 4, 4), 2) for i in range(destinations)}
    layers = {"a": replace(layer((2, 4, 4), 2), routes=tuple(map(Route, ends))), **ends}
    return replace(program((2, 4, 4), layers), layers={**layers})


def _shifted(shift: int) -> Program:
    """A tiny source at ``shift`` beside a source of as many features."""
    layers = {
        "a": replace(layer((1, 1, 1), shift), routes=(Route("c"),)),
        "b": replace(layer((1, 1, 1), 2), routes=(Route("c", feature_shift=shift),)),
        "c": layer((shift + 2, 1, 1), 1),
    }
    return program((1, 1, 1), layers, (Route("a"), Route("b")))


def _rest(size: int, stride: int) -> Program:
    """A map of ``size`` pooled by 2, with a rest where that is odd, into a padded kernel of 3."""
    return pair(Route("b", (2, 2)), layer((1, size, size), 2), layer((2, size // 2, size // 2), 2, 3, stride, 1))


def _integers(threshold: int) -> Program:
    return replace(one(threshold=threshold, floor=-72, weights=np.ones((2, 2, 1, 1), np.int8)), arithmetic="int8/int16")


EXAMPLES: dict[str, tuple[Callable[[], Program], Callable[[], Program]]] = {
    "layers": (
        lambda: program((2, 8, 8), {f"l{i}": layer((2, 8, 8), 2) for i in range(9)}),
        lambda: program((2, 8, 8), {f"l{i}": layer((2, 8, 8), 2) for i in range(10)}),
    ),
    "sensor": (
        lambda: program((2, 128, 128), {"a": layer((2, 64, 64), 2)}, (Route("a", (2, 2)),)),
        lambda: program((2, 130, 128), {"a": layer((2, 65, 64), 2, 2, 1)}, (Route("a", (2, 2)),)),
    ),
    "input-routes": (
        lambda: program((2, 8, 8), {"a": layer((2, 4, 4), 2)}, (Route("a", (2, 2)),)),
        lambda: program((2, 9, 9), {"a": layer((2, 3, 3), 2)}, (Route("a", (3, 3)),)),
    ),
    "fan-out": (lambda: _fan(2), lambda: _fan(3)),
    "fan-in": (lambda: _joined((0, 2)), lambda: _joined((0, 0))),
    "outside-input": (lambda: _beside_input(2), lambda: _beside_input(3)),
    "feature-shift": (lambda: _shifted(1000), lambda: _shifted(1024)),
    "kernel": (
        lambda: program((1, 16, 16), {"a": layer((1, 16, 16), 2, 16)}),
        lambda: program((1, 17, 17), {"a": layer((1, 17, 17), 2, 17)}),
    ),
    "stride": (
        lambda: program((2, 8, 8), {"a": layer((2, 8, 8), 2, 2, 4)}),
        lambda: program((2, 8, 8), {"a": layer((2, 8, 8), 2, 2, 3)}),
    ),
    "padding": (
        lambda: program((1, 4, 4), {"a": layer((1, 4, 4), 2, 15, 1, 7)}),
        lambda: program((1, 4, 4), {"a": layer((1, 4, 4), 2, 16, 1, 8)}),
    ),
    "dilation": (one, lambda: one(dilation=(2, 2))),
    "groups": (one, lambda: one(groups=2, weights=np.ones((2, 1, 1, 1), np.float32))),
    "input-map": (
        lambda: program((2, 128, 128), {"a": layer((2, 128, 128), 2, 2, 2)}),
        lambda: pair(Route("b"), layer((2, 8, 8), 2), layer((2, 129, 8), 2, 4, 4)),
    ),
    "output-map": (
        lambda: program((1, 64, 64), {"a": layer((1, 64, 64), 2)}),
        lambda: program((1, 65, 64), {"a": layer((1, 65, 64), 2)}),
    ),
    "features": (
        lambda: program((1, 1, 1), {"a": layer((1, 1, 1), 1024)}),
        lambda: program((1, 1, 1), {"a": layer((1, 1, 1), 1025)}),
    ),
    "memory": (
        lambda: program((64, 8, 8), {"a": layer((64, 8, 8), 64, 4)}),
        lambda: program((64, 8, 8), {"a": layer((64, 8, 8), 65, 4)}),
    ),
    "pooling": (
        lambda: pair(Route("b", (4, 4)), layer((1, 8, 8), 2), layer((2, 2, 2), 2)),
        lambda: pair(Route("b", (2, 4)), layer((1, 8, 8), 2), layer((2, 4, 2), 2)),
    ),
    "pooling-remainder": (lambda: _rest(17, 2), lambda: _rest(17, 1)),
    "threshold": (one, lambda: one(threshold=np.linspace(1, 2, 128, dtype=np.float32).reshape(2, 8, 8))),
    "floor": (lambda: one(floor=0.0), lambda: one(floor=0.5)),
    "one-spike": (one, lambda: one(at_most_one=False)),
    "integers": (lambda: _integers(32640), lambda: _integers(32641)),
}

INSEPARABLE = {"feature-shift": "features"}
"""A shift above 1,023 that leaves no gap makes more than 1,024 features."""


def test_every_rule_has_its_two_examples() -> None:
    assert list(EXAMPLES) == RULE_IDS


@pytest.mark.parametrize("rule", RULE_IDS)
@pytest.mark.parametrize("chip", CHIPS.values(), ids=list(CHIPS))
def test_a_rule_passes_its_good_example_and_only_it_refuses_its_bad_one(rule: str, chip) -> None:  # type: ignore[no-untyped-def]
    good, bad = EXAMPLES[rule]
    assert check_rules(good(), chip) == ()
    violations = check_rules(bad(), chip)
    assert {rule} <= {violation.rule for violation in violations} <= {rule, INSEPARABLE.get(rule, rule)}
    for violation in violations:
        assert violation.says == f"{violation.layer}: {violation.found}; need {violation.need}."
        assert str(violation.error()).startswith(violation.says)
        assert "{" not in violation.says
        assert violation.hint


def test_the_manual_tells_every_rule_with_the_numbers_of_the_chip() -> None:
    manual = rules_manual(CHIP)
    assert all(f"{rule.id}\n  Need {rule.need(CHIP)}." in manual for rule in RULES)
    assert "1x1 to 16x16" in manual
    assert "65,536 + 16,384 on cores 5, 6" in manual


def test_the_numbers_come_from_the_chip() -> None:
    narrow = replace(CHIP, kernel_max=2, poolings=(1,))
    violations = check_rules(pair(Route("b", (2, 2)), layer((1, 8, 8), 2, 3), layer((2, 3, 3), 2)), narrow)
    assert [violation.rule for violation in violations] == ["kernel", "pooling"]
    assert "to 2x2" in violations[0].need


def test_all_violations_are_told_at_once() -> None:
    found = check_rules(program((1, 65, 64), {"a": layer((1, 65, 64), 2), "b": layer((2, 65, 64), 1025, 17)}), CHIP)
    assert {violation.rule for violation in found} == {"kernel", "output-map", "features", "memory"}
    assert {violation.layer for violation in found if violation.rule == "output-map"} == {"a"}


def test_the_rest_of_17_by_2_does_not_reach_a_stride_of_2(nmnist: Graph) -> None:
    assert check_rules(group(nmnist), CHIP) == ()


@given(st.integers(1, 1024), st.integers(1, 1024), st.integers(1, 16), st.integers(1, 64), st.integers(1, 64))
def test_both_forms_of_the_memory_formula_accept_the_same_layers(c_in: int, c_out: int, k: int, h: int, w: int) -> None:
    memory = memory_of(c_in, (c_out, h, w), (k, k), False)
    printed = [
        number
        for number, core in enumerate(CHIP.cores)
        if memory.kernel_words <= core.kernel_words and memory.neuron_words <= core.neuron_words
    ]
    assert list(cores_for(memory, CHIP)) == printed
    assert memory.kernel_words == c_in * 2 ** (int(np.ceil(np.log2(k * k))) + int(np.ceil(np.log2(c_out))))


def test_a_bias_takes_bias_memory() -> None:
    with_bias = replace(one().layers["a"], bias=np.ones(2, np.float32))
    short = replace(CHIP, cores=tuple(replace(core, bias_words=1) for core in CHIP.cores))
    assert cores_for(with_bias.memory(), CHIP)
    assert not cores_for(with_bias.memory(), short)
