"""Placement: the best of all assignments, or a reason that is true."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import make_layer
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import FitError, InputError, UsageError
from deploytool.chip.chips import CHIPS, Chip
from deploytool.chip.memory import cores_for
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Conv
from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.shapes import out_shape
from deploytool.map.group import group
from deploytool.map.place import misfit, place, predicted_synops
from deploytool.run.reference.specification import run_reference

CHIP = CHIPS["speck2e"]
SMALL = replace(CHIP, cores=(CHIP.cores[0], CHIP.cores[3], CHIP.cores[3], CHIP.cores[5], CHIP.cores[7]))


def _layer(kernel_bits: int, neuron_bits: int, biased: bool = False) -> Layer:
    """A layer of those address bits."""
    features = 1 << 4
    side = 1 << (neuron_bits - 4)
    weights = np.zeros((features, 1, 1, 1), np.float32)
    into = 1 << (kernel_bits - 4)
    bias = np.ones(features, np.float32) if biased else None
    return make_layer(weights, 1.0, (into, 1, 1), (features, side, 1), (), bias=bias)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """One to six layers between "fits anywhere" and "fits nowhere", the first one or two fed by the input."""
    kinds = st.builds(_layer, st.integers(13, 17), st.integers(13, 17), st.booleans())
    listed = draw(st.lists(kinds, min_size=1, max_size=6))
    layers = {f"l{i}": layer for i, layer in enumerate(listed)}
    first = tuple(map(Route, list(layers)[: draw(st.integers(1, 2))]))
    return Program("simulator", "int8/int16", (1, 1, 1), first, layers, (), "")


@st.composite
def pinned(draw: st.DrawFn) -> tuple[Program, dict[str, int]]:
    program = draw(programs())
    names = draw(st.lists(st.sampled_from(list(program.layers)), unique=True, max_size=2))
    return program, {name: draw(st.integers(0, 4)) for name in names}


LOADS = st.fixed_dictionaries({f"l{i}": st.integers(1, 9) for i in range(6)})


def _assignments(program: Program, chip: Chip, pins: dict[str, int]) -> Iterator[dict[str, int]]:
    fits = {name: set(cores_for(layer.memory(), chip)) for name, layer in program.layers.items()}
    for cores in itertools.permutations(range(len(chip.cores)), len(program.layers)):
        found = dict(zip(program.layers, cores, strict=True))
        if all(core in fits[name] and pins.get(name, core) == core for name, core in found.items()):
            yield found


def _cost(
    program: Program, chip: Chip, synops: dict[str, int], cores: dict[str, int]
) -> tuple[int, int, int, int, tuple[int, ...]]:
    lanes = {name for name, core in cores.items() if chip.cores[core].parallel_lanes}
    first = {route.to for route in program.input_routes}
    return (
        sum(program.layers[name].bias is not None for name in lanes),
        sum(synops[name] for name in first - lanes),
        max((synops[name] for name in cores.keys() - lanes), default=0),
        sum(chip.cores[core].kernel_words + 2 * chip.cores[core].neuron_words for core in cores.values()),
        tuple(cores.values()),
    )


@settings(max_examples=150)
@given(pinned(), LOADS)
def test_the_placement_is_the_best_there_is_or_the_reason_is_true(
    case: tuple[Program, dict[str, int]], synops: dict[str, int]
) -> None:
    program, pins = case
    every = list(_assignments(program, SMALL, pins))
    reason = misfit(program, SMALL, pins)
    assert (reason is None) == bool(every)
    if reason is None:
        placed = place(program, SMALL, pins, synops)
        assert dict(placed.core_of) == min(every, key=lambda cores: _cost(program, SMALL, synops, cores))
        assert placed.chip == "speck2e"
        return
    with pytest.raises(FitError):
        place(program, SMALL, pins)
    fits = {name: set(cores_for(layer.memory(), SMALL)) for name, layer in program.layers.items()}
    fits = {name: {core for core in cores if pins.get(name, core) == core} for name, cores in fits.items()}
    assert len(set().union(*(fits[name] for name in reason.layers))) < len(reason.layers)
    for smaller in range(1, len(reason.layers)):
        for names in itertools.combinations(program.layers, smaller):
            assert len(set().union(*(fits[name] for name in names))) >= smaller


def test_nmnist_takes_four_cores_with_its_first_layer_on_parallel_lanes(nmnist: Graph) -> None:
    core_of = place(group(nmnist), CHIP).core_of
    assert len(set(core_of.values())) == 4
    assert core_of["conv1"] in (0, 1)


@settings(max_examples=60)
@given(st.data())
def test_the_estimate_is_what_one_spike_of_everyone_in_front_would_cost(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)))
    pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))
    pool, stride, padding = data.draw(pairs), data.draw(pairs), data.draw(pairs)
    into = (shape[0], shape[1] // pool[0], shape[2] // pool[1])
    conv = Conv(np.ones((2, shape[0], 1, 2), np.float32), None, stride, padding)
    layer = make_layer(conv.weight, 1.0, into, out_shape(conv, into), (), stride=stride, padding=padding)
    program = Program("simulator", "float32", shape, (Route("a", pool),), {"a": layer}, ("a",), "")
    everyone = np.array([(0, *at) for at in itertools.product(*map(range, shape))], EVENT)
    assert predicted_synops(program, "a") == run_reference(program, EventStream(everyone, shape, 1)).synops


def test_the_busiest_layers_get_the_parallel_lanes_the_first_one_before_all(nmnist: Graph) -> None:
    program = group(nmnist)
    core_of = place(program, CHIP).core_of
    assert {core_of["conv1"], core_of["conv2"]} == {0, 1}
    measured = {"conv1": 1.0, "conv2": 2.0, "conv3": 9.0, "fc1": 3.0}
    core_of = place(program, CHIP, synops=measured).core_of
    assert {core_of["conv1"], core_of["conv3"]} == {0, 1}
    with pytest.raises(InputError, match="measured SynOps: none for fc1"):
        place(program, CHIP, synops={name: measured[name] for name in ("conv1", "conv2", "conv3")})


def test_the_reason_names_layers_needs_and_memories() -> None:
    layers = {f"big{i}": _layer(16, 14) for i in range(3)} | {"small": _layer(10, 10)}
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("big0"),), layers, (), "")
    with pytest.raises(FitError) as caught:
        place(program, CHIP)
    said = str(caught.value)
    assert said.startswith("big0, big1, big2: big0 takes 65,536 kernel and 16,384 neuron words; ")
    assert "together they fit only cores 5, 6 (kernel + neuron words 65,536 + 16,384 on cores 5, 6)" in said
    assert "small" not in said.split(";")[0]


def test_a_pin_that_leaves_no_core_is_the_reason() -> None:
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("big"),), {"big": _layer(16, 14)}, (), "")
    assert place(program, CHIP, {"big": 6}).core_of == {"big": 6}
    with pytest.raises(FitError, match="pinned to core 0"):
        place(program, CHIP, {"big": 0})


def test_pins_of_no_layer_or_core_are_all_told() -> None:
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("a"),), {"a": _layer(10, 10)}, (), "")
    with pytest.raises(UsageError) as caught:
        place(program, CHIP, {"b": 0, "a": 9})
    assert len(caught.value.problems) == 2
