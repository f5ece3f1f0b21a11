"""Random programs: the event that is named is the first difference, and the reason holds when it is executed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.divergence import EVENTS, why
from helpers.families import FAMILIES, split_programs, without_decimators
from helpers.layers import changed, make_layer
from helpers.programs import light, programs, streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.chip.chips import chip_named
from deploytool.ir.divergence import Explained, LayerDivergence
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Layer, Program, Route
from deploytool.map.lower import lower
from deploytool.run.jobs.follow import follow
from deploytool.run.jobs.job import Job
from deploytool.run.record.checks import IN_FLIGHT_MAX
from deploytool.run.reference.specification import run_reference
from deploytool.validate.divergence.history import origin
from deploytool.validate.divergence.sides import AFTER

EXCHANGED = {
    "different weights": lambda one, other: changed(other, weights=one.single.weights),
    "different threshold": lambda one, other: changed(other, threshold=one.neurons.threshold),
    "initial potential": lambda one, other: changed(other, v_init=one.neurons.v_init),
    "floor": lambda one, other: changed(other, floor=one.neurons.floor),
    "reset": lambda one, other: changed(other, reset=one.neurons.reset, v_reset=one.neurons.v_reset),
    "at_most_one": lambda one, other: changed(other, at_most_one=one.neurons.at_most_one),
}
"""{reason: the layer of the test run with this property of the reference run}."""


OF_STEPS = (
    "sum over a time step",
    "floor once per time step",
    "spikes per time step",
    "reset once per time step",
    "saturation",
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Program, Program]:
    """A program, and the same with one or two changes to its layers."""
    one = draw(programs())
    layers = dict(one.layers)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(list(layers)))
        layers[name] = draw(variant(layers[name], one.arithmetic != "float32"))
    return one, one.with_layers(layers)


@st.composite
def variant(draw: st.DrawFn, layer: Layer, integers: bool) -> Layer:
    neurons, weights = layer.neurons, layer.single.weights
    match draw(st.sampled_from(["weights", "threshold", "floor", "reset", "at_most_one", "v_init"])):
        case "weights":
            rng = np.random.default_rng(draw(st.integers(0, 99)))
            moved = weights + (rng.integers(-9, 10, weights.shape) if integers else rng.normal(0, 0.1, weights.shape))
            return changed(layer, weights=np.clip(moved, -128, 127).astype(weights.dtype))
        case "threshold":
            return changed(layer, threshold=neurons.threshold + draw(st.sampled_from([1, 7, 30])))
        case "floor":
            return changed(layer, floor=draw(st.sampled_from([None, 0, -1, -20])))
        case "reset":
            return changed(layer, reset="zero" if neurons.reset == "subtract" else "subtract")
        case "at_most_one":
            return changed(layer, at_most_one=not neurons.at_most_one)
        case _:
            return changed(layer, v_init=draw(st.sampled_from([-3, 2, 40])))


def first_by_brute_force(
    one: Program, other: Program, stream: EventStream, in_flight: int = IN_FLIGHT_MAX
) -> dict[str, int | None]:
    """{layer: time of the first place at which the lists of spikes differ}, by the executable specification."""
    found: dict[str, int | None] = {}
    samples = [run_reference(program, stream, in_flight) for program in (one, other)]
    for layer in one.parts:
        lists = [[*sample.spikes[layer].tolist(), None] for sample in samples]
        differing = [pair for pair in zip(*lists, strict=False) if pair[0] != pair[1]]
        found[layer] = min(spike[0] for spike in differing[0] if spike) if differing else None
    return found


def fired(program: Program, stream: EventStream, first: LayerDivergence) -> Counter[int]:
    """{time: spikes} of the neuron of ``first``, until its difference."""
    assert first.neuron is not None
    assert first.t_us is not None
    spikes = run_reference(program, stream).spikes[first.layer]
    place = first.neuron.feature, first.neuron.row, first.neuron.column
    return Counter(t for t, *at in spikes.tolist() if tuple(at) == place and t <= first.t_us)


def check_counterfactual(one: Program, other: Program, stream: EventStream, first: LayerDivergence) -> None:
    """Executed by the whole program, the exchange that ``first`` names makes its neuron fire as in the reference."""
    layers: dict[str, Any] = dict(other.layers)
    names = list(layers)
    for reason in first.reasons:
        if reason == "upstream":
            layers |= {name: one.layers[name] for name in names[: names.index(first.layer)]}
    for reason in first.reasons:
        if reason in EXCHANGED:
            layers[first.layer] = EXCHANGED[reason](one.layers[first.layer], layers[first.layer])
    exchanged = other.with_layers({name: replace(layers[name], routes=other.layers[name].routes) for name in names})
    try:
        found = fired(exchanged, stream, first)
    except UnsupportedError:
        assume(False)
    assert found == fired(one, stream, first)


@settings(max_examples=50)
@given(st.data())
def test_the_first_difference_and_its_reason(data: st.DataObject) -> None:
    one, other = data.draw(pairs())
    stream = data.draw(streams(one.input_shape, most=20, least=5))
    try:
        assume(light(stream, one, other))
    except UnsupportedError:
        assume(False)
    found = why(one, other, stream)
    wanted = first_by_brute_force(one, other, stream)
    assert {each.layer: each.t_us for each in found.layers} == wanted
    times = [t for t in wanted.values() if t is not None]
    assume(times)
    assert found.first is not None
    assert found.first.t_us == min(times)
    check_sides(found)
    for each in found.layers:
        if each.t_us is not None and not any("order" in reason for reason in each.reasons):
            assert set(each.reasons) <= {"upstream", *EXCHANGED}
            check_counterfactual(one, other, stream, each)


def check_sides(found: Explained) -> None:
    """Both membranes end where the next update begins, and fire as often as is said, if all of it is shown."""
    assert found.first is not None
    for side, spikes in zip(found.sides, found.first.spikes, strict=True):
        assert side.spikes == spikes
        assert [update.end for update in side.trace[:-1]] == [update.before for update in side.trace[1:]]
        now = [update.spikes for update in side.trace if update.t_us == found.first.t_us]
        assert sum(now) == spikes or len(side.trace) >= AFTER


@settings(max_examples=30)
@given(st.data())
def test_the_first_time_step_that_differs(data: st.DataObject) -> None:
    program = data.draw(programs(integers=True))
    stream = data.draw(streams(program.input_shape, most=20, least=5))
    number, bins = data.draw(st.integers(1, 5)), data.draw(st.sampled_from(["time", "count"]))
    clocked = Job("quantised", number, bins=bins)
    found = why(program, program, stream, jobs=(EVENTS, clocked))
    one, other = (follow(job, program, stream, 0) for job in (EVENTS, clocked))
    for each in found.layers:
        counts = [Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()]
        for cause, (t, *at) in zip(one.causes[each.layer].tolist(), one.spikes[each.layer].tolist(), strict=True):
            by_count = bins == "count"
            counts[0][cause * number // len(stream) if by_count else t * number // stream.duration_us, *at] += 1
        for step, (_, *at) in zip(other.causes[each.layer].tolist(), other.spikes[each.layer].tolist(), strict=True):
            counts[1][step, *at] += 1
        differing = [key for key in counts[0].keys() | counts[1].keys() if counts[0][key] != counts[1][key]]
        assert each.step == (min(differing)[0] + 1 if differing else None)
        if each.neuron is not None and each.step is not None:
            key = each.step - 1, each.neuron.feature, each.neuron.row, each.neuron.column
            assert each.spikes == (counts[0][key], counts[1][key])
            assert each.reasons
            assert set(each.reasons) <= {"upstream", *OF_STEPS}


@pytest.mark.parametrize("name", FAMILIES)
def test_programs_of_every_family(name: str) -> None:
    """Leaks, delays, ways back, several synapses and parts: the first difference is found, and it has a reason."""
    family = FAMILIES[name]

    @settings(max_examples=6)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        one = without_decimators(data.draw(family.programs()))
        changing = data.draw(st.sampled_from([layer for layer in one.parts if origin(one, layer) == layer]))
        more = data.draw(st.sampled_from([0.3, 1.1])) if one.arithmetic == "float32" else data.draw(st.integers(1, 40))
        layers = {
            part: changed(layer, threshold=layer.neurons.threshold + more) if part in one.parts[changing] else layer
            for part, layer in one.layers.items()
        }
        other = one.with_layers(layers)
        stream = data.draw(streams(one.input_shape, min(20, family.events[1]), max(3, family.events[0])))
        try:
            assume(name == "delays" or light(stream, one, other))
            wanted = first_by_brute_force(one, other, stream, min(family.in_flight, 100))
            found = why(one, other, stream)
        except UnsupportedError:
            assume(False)
        assert {each.layer: each.t_us for each in found.layers} == wanted
        assume(any(t is not None for t in wanted.values()))
        for each in found.layers:
            if each.t_us is not None:
                assert each.reasons
                assert set(each.reasons) <= {"upstream", "different threshold", "order of simultaneous events"}
        assert found.first is not None
        assert "not known" not in found.says

    check()


@settings(max_examples=15)
@given(st.data())
def test_a_layer_in_parts_is_compared_as_one(data: st.DataObject) -> None:
    """Relays, which only the divided program has, are no difference."""
    whole, parts = data.draw(split_programs())
    stream = data.draw(streams(whole.input_shape, most=20, least=5))
    assume(light(stream, parts))
    same = why(whole, parts, stream)
    assert same.first is None
    assert {each.layer for each in same.layers} == set(whole.parts)
    assert not any(each.reasons for each in same.layers)
    layers = {
        name: changed(layer, threshold=layer.neurons.threshold + 1) if parts.place_in(name)[0] in whole.parts else layer
        for name, layer in parts.layers.items()
    }
    found = why(whole, parts.with_layers(layers), stream)
    wanted = first_by_brute_force(whole, parts.with_layers(layers), stream)
    assert {each.layer: each.t_us for each in found.layers} == wanted
    if found.first is not None:
        assert found.first.reasons == ("different threshold",)


def test_a_kernel_padded_with_zeros_is_the_same_layer() -> None:
    """A chip has dense kernels; the events that meet the zeros of a grouped one are no difference of inputs."""
    rng = np.random.default_rng(5)
    weights = rng.integers(-20, 30, (4, 1, 3, 3)).astype(np.int8)
    layer = make_layer(weights, 60, (2, 6, 6), (4, 6, 6), groups=2, padding=(1, 1))
    grouped = Program("simulator", "int8/int16", (2, 6, 6), (Route("it"),), {"it": layer}, ("it",), "")
    dense = lower(grouped, chip_named("speck2e"))
    assert dense.layers["it"].single.groups == 1
    events = np.zeros(300, EVENT)
    events["t"] = np.arange(300)
    for axis, size in zip("cyx", (2, 6, 6), strict=True):
        events[axis] = rng.integers(0, size, 300)
    stream = EventStream(events, (2, 6, 6), 300)
    assert why(grouped, dense, stream).first is None
    found = why(grouped, dense.with_layers({"it": changed(dense.layers["it"], threshold=61)}), stream)
    assert found.first is not None
    assert found.first.reasons == ("different threshold",)
