"""Every rule has an example that passes and one that breaks it and nothing else, on every chip where it asks one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import FitError, UnsupportedError
from deploytool.chip.chips import CHIPS, Chip
from deploytool.chip.memory import cores_for, memory_of
from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.spec.rule import Level, Rule, Violation
from deploytool.ir.spec.verify import (
    ALLOW_MISMATCH,
    RULES,
    check_rules,
    level_of,
    rules_manual,
    rules_named,
    verify,
    violations,
)

CHIP = CHIPS["speck2e"]
RULE_IDS = [rule.id for rule in RULES]
EACH = np.linspace(1, 2, 128, dtype=np.float32).reshape(2, 8, 8)
"""A number for each neuron of `one`."""
ALONG = EACH[:, :1]
"""Numbers for fewer neurons."""


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


def integers(**changes: object) -> Program:
    """`one` in int8/int16."""
    fields = {"threshold": 72, "floor": -72, "weights": np.ones((2, 2, 1, 1), np.int8)} | changes
    return replace(one(**fields), arithmetic="int8/int16")


def placed(**changes: object) -> Program:
    """`one` in int8/int16 on core 0, with ``changes`` to the program."""
    return replace(integers(), **({"chip": "speck2e", "core_of": {"a": 0}} | changes))


def shortcut(*numbers: int, **changes: object) -> Program:
    """`one` with a second set of weights, and input routes to its synapses of these ``numbers``."""
    alone = one().layers["a"]
    second = replace(alone.single, **changes)
    ways = tuple(Route("a", synapses=number) for number in numbers)
    return program((2, 8, 8), {"a": replace(alone, synapses=(alone.single, second))}, ways)


def back(delay_us: int | tuple[int, ...], **changes: object) -> Program:
    """`one` with a way back that takes time."""
    return one(routes=(Route("a", delay_us=delay_us),), **changes)


def halves(*ways: Route) -> Program:
    """A layer in two parts, of which the first has ``ways``."""
    parts = {f"a{i}": replace(layer((2, 8, 8), 1), part_of=("a", i)) for i in (0, 1)}
    parts["a0"] = replace(parts["a0"], routes=ways)
    return Program("simulator", "float32", (2, 8, 8), tuple(map(Route, parts)), parts, tuple(parts), "")


def whole_and_parts(**changes: object) -> Program:
    found = halves()
    return found.with_layers({name: changed(each, **changes) for name, each in found.layers.items()})


def clocked(hz: int) -> Program:
    """A layer with a bias and a slow clock."""
    return replace(one(bias=np.array([0, 1], np.float32)), slow_clock_hz=hz)


def decimated(interval: int) -> Program:
    """A layer on a core that lets one in ``interval`` spikes leave."""
    return placed(layers={"a": replace(placed().layers["a"], decimation=interval)})


def balanced(speed: int) -> Program:
    """A layer with a congestion balancer."""
    return placed(layers={"a": replace(placed().layers["a"], balancer=speed)})


def on_cores(core: int) -> Program:
    """A layer whose weights take more than the smallest core has, on ``core``."""
    large = changed(layer((64, 8, 8), 64, 4), weights=np.ones((64, 64, 4, 4), np.int8), threshold=72, floor=-72)
    found = replace(program((64, 8, 8), {"a": large}), arithmetic="int8/int16")
    return replace(found, chip="speck2e", core_of={"a": core})


EXAMPLES: dict[str, tuple[Callable[[], Program], Callable[[], Program]]] = {
    "fed": (one, lambda: replace(one(), input_routes=())),
    "synapses-fed": (lambda: shortcut(0, 1), lambda: shortcut(0, 0)),
    "bias": (lambda: clocked(10), lambda: one(bias=np.array([0, 1], np.float32))),
    "biases": (lambda: one(bias=np.zeros(2, np.float32)), lambda: one(bias=np.zeros(2, np.int16))),
    "slow-clock": (lambda: clocked(1), lambda: clocked(0)),
    "decimation": (lambda: one(decimation=1), lambda: one(decimation=0)),
    "balancer-speed": (lambda: balanced(1), lambda: balanced(0)),
    "weights": (one, lambda: one(weights=np.ones((2, 2, 1, 1)))),
    "finite": (one, lambda: one(weights=np.full((2, 2, 1, 1), np.inf, np.float32))),
    "maps": (lambda: shortcut(0, 1), lambda: shortcut(0, 1, in_shape=(2, 9, 8))),
    "shapes": (lambda: one(threshold=EACH, tau_ms=EACH), lambda: one(tau_ms=ALONG)),
    "positive-threshold": (lambda: one(threshold=0.01), lambda: one(threshold=EACH - 1)),
    "floor": (lambda: one(floor=0.0), lambda: one(floor=0.5)),
    "start": (lambda: one(v_init=-2.0, floor=-2.0), lambda: one(v_init=-3.0, floor=-2.0)),
    "spikes-per-update": (
        lambda: one(threshold=0.25 / 1024, at_most_one=False),
        lambda: one(threshold=0.25 / 1025, at_most_one=False),
    ),
    "time-constants": (lambda: one(tau_ms=0.001), lambda: one(tau_ms=1.0, tau_syn_ms=0.0)),
    "v-reset": (lambda: one(v_reset=0.99), lambda: one(v_reset=1 - 1e-12)),
    "between-once": (
        lambda: one(tau_ms=1.0, at_most_one=False),
        lambda: one(tau_ms=1.0, tau_syn_ms=2.0, at_most_one=False),
    ),
    "between-whole": (lambda: whole_and_parts(tau_ms=1.0), lambda: whole_and_parts(tau_ms=1.0, v_leak=1.0)),
    "delays": (lambda: back((1, 2) * 64), lambda: back((1, 2))),
    "delays-whole": (halves, lambda: halves(Route("a1", delay_us=5))),
    "arithmetic": (integers, one),
    "leak": (one, lambda: one(tau_ms=3.0)),
    "zero-reset": (one, lambda: one(v_reset=-1.0)),
    "whole-threshold": (lambda: integers(threshold=32767), lambda: integers(threshold=32768)),
    "whole-floor": (lambda: integers(floor=-32768), lambda: integers(floor=-1.5)),
    "whole-start": (lambda: integers(v_init=32767), lambda: integers(v_init=0.5)),
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
    "threshold": (one, lambda: one(threshold=EACH)),
    "one-spike": (one, lambda: one(at_most_one=False)),
    "synapses": (one, lambda: shortcut(0, 1)),
    "no-delay": (one, lambda: back(3)),
    "integers": (lambda: integers(threshold=32640), lambda: integers(threshold=32641)),
    "clock-range": (lambda: placed(slow_clock_hz=10_000), lambda: placed(slow_clock_hz=9)),
    "decimator": (lambda: decimated(1), lambda: decimated(3)),
    "chip": (placed, lambda: placed(chip="simulator")),
    "cores": (placed, lambda: placed(core_of={"a": 9})),
    "core-memory": (lambda: on_cores(5), lambda: on_cores(0)),
}

INSEPARABLE = {"feature-shift": "features", "no-delay": "fan-in"}
"""A shift above 1,023 that leaves no gap makes more than 1,024 features; what comes back is added to the input."""


def broken(program: Program, rule: Rule, chip: Chip) -> tuple[Violation, ...]:
    """What breaks rules in ``program`` where ``rule`` is judged."""
    if rule.early:
        return check_rules(program, chip)
    below = [each for each in RULES if each.level <= rule.level]
    return violations(program, below, None if rule.level == Level.MAPPED else chip)


def test_every_rule_has_its_two_examples() -> None:
    assert list(EXAMPLES) == RULE_IDS


@pytest.mark.parametrize("rule", RULE_IDS)
@pytest.mark.parametrize("chip", CHIPS.values(), ids=list(CHIPS))
def test_a_rule_passes_its_good_example_and_only_it_refuses_its_bad_one(rule: str, chip: Chip) -> None:
    (record,), (good, bad) = rules_named(rule), EXAMPLES[rule]
    assert broken(good(), record, chip) == ()
    found = broken(bad(), record, chip)
    assert {rule} <= {violation.rule for violation in found} <= {rule, INSEPARABLE.get(rule, rule)}
    for violation in found:
        assert violation.says == f"{violation.layer}: {violation.found}; need {violation.need}."
        assert str(violation.error(FitError)).startswith(violation.says)
        assert "{" not in violation.says
        assert violation.hint


@pytest.mark.parametrize("chip", CHIPS.values(), ids=list(CHIPS))
def test_a_route_to_synapses_that_are_not_there_breaks_no_other_rule(chip: Chip) -> None:
    missing = placed(input_routes=(Route("a", synapses=5),))
    assert {violation.rule for violation in violations(missing, chip=chip)} == {"synapses-fed"}


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


def test_verify_tells_what_breaks_each_level_and_those_below_it() -> None:
    both = placed(arithmetic="float32", layers={"a": changed(one(bias=np.ones(2, np.float32)).layers["a"])}, core_of={})
    wanted = {Level.EXECUTABLE: 1, Level.INTEGER: 2, Level.MAPPED: 3}
    for level, count in wanted.items():
        with pytest.raises(UnsupportedError) as caught:
            verify(both, level)
        assert len(caught.value.problems) == count
    need = "need a slow clock, whose every tick adds the bias. Give it when you map: --slow-clock HZ"
    assert caught.value.problems[0].startswith(f"a: has a bias, and no slow clock that would add it; {need}")


def test_what_is_allowed_may_be_broken_and_nothing_else() -> None:
    layers = placed().layers
    biased = placed(layers={"a": replace(layers["a"], bias=np.ones(2, np.int16))})
    differing = placed(layers={"a": changed(layers["a"], threshold=np.arange(1, 129).reshape(2, 8, 8))})
    verify(differing, Level.MAPPED, allow=ALLOW_MISMATCH)
    for program, allow in ((biased, ALLOW_MISMATCH), (differing, ("bias",))):
        with pytest.raises(UnsupportedError):
            verify(program, Level.MAPPED, allow=allow)


def test_rules_that_may_be_broken_are_in_the_table() -> None:
    assert {*ALLOW_MISMATCH} <= set(RULE_IDS)
    assert len(RULE_IDS) == len(set(RULE_IDS))


def test_the_arithmetic_says_at_which_level_the_engines_run_a_program() -> None:
    assert level_of(one()) == Level.EXECUTABLE
    assert level_of(integers()) == Level.INTEGER


def test_all_violations_are_told_at_once() -> None:
    found = check_rules(program((1, 65, 64), {"a": layer((1, 65, 64), 2), "b": layer((2, 65, 64), 1025, 17)}), CHIP)
    assert {violation.rule for violation in found} == {"kernel", "output-map", "features", "memory"}
    assert {violation.layer for violation in found if violation.rule == "output-map"} == {"a"}


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
