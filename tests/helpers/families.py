"""Families of random programs: one for every way in which the engine takes layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from helpers.layers import changed
from helpers.programs import delayed_programs, pairs, pooled, programs, vector_programs
from hypothesis import strategies as st

from deploytool.base.arrays import Shape
from deploytool.chip.chips import chip_named
from deploytool.ir.program import INPUT, Layer, Program, Route, Synapses
from deploytool.map.split import split
from deploytool.run.record.checks import IN_FLIGHT_MAX


@st.composite
def leaky_programs(draw: st.DrawFn) -> Program:
    """Programs with leaks, resets to other values than 0 (both in float32), and shortcuts into their layers."""
    program = draw(programs())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers, routes = dict(program.layers), {INPUT: program.input_routes}
    for number, name in enumerate(program.layers):
        if program.arithmetic == "float32":
            layers[name] = draw(leaking(layers[name], rng))
        for _ in range(draw(st.integers(0, 2))):
            source = draw(st.sampled_from([INPUT, *list(program.layers)[:number]]))
            route = Route(name, draw(pairs(1, 2)), draw(st.integers(0, 1)), len(layers[name].synapses))
            more = draw(synapses_on(pooled(program.map_of(source), route), layers[name], rng))
            if more is not None:
                layers[name] = replace(layers[name], synapses=(*layers[name].synapses, more))
                if source == INPUT:
                    routes[INPUT] = (*routes[INPUT], route)
                else:
                    layers[source] = replace(layers[source], routes=(*layers[source].routes, route))
    return program.with_layers(layers, input_routes=routes[INPUT])


@st.composite
def leaking(draw: st.DrawFn, layer: Layer, rng: np.random.Generator) -> Layer:
    lowest, shape = float(np.min(layer.neurons.threshold)), layer.out_shape

    def one_or_each(low: float, high: float) -> float | np.ndarray:
        return rng.uniform(low, high, shape if draw(st.booleans()) else None)

    if draw(st.booleans()):
        tau_ms = draw(st.sampled_from([0.01, 0.1, 3.0])) * one_or_each(0.5, 2)
        layer = changed(layer, tau_ms=tau_ms, v_leak=draw(st.sampled_from([0.0, -0.3, 0.9 * lowest])))
    if draw(st.booleans()):
        layer = changed(layer, v_reset=one_or_each(-0.5, 0.9 * lowest))
    return layer


@st.composite
def synapses_on(draw: st.DrawFn, in_shape: Shape, layer: Layer, rng: np.random.Generator) -> Synapses | None:
    """Weights on a map of ``in_shape`` that give the output map of ``layer``, where there is a kernel that does."""
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if in_shape[0] % g == 0 and layer.out_shape[0] % g == 0]))
    ways = [
        [
            (kernel, stride, padding, dilation)
            for kernel, stride, padding, dilation in itertools.product((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2))
            if (room := size + 2 * padding - dilation * (kernel - 1) - 1) >= 0 and room // stride + 1 == wanted
        ]
        for size, wanted in zip(in_shape[1:], layer.out_shape[1:], strict=True)
    ]
    if not all(ways):
        return None
    kernel, stride, padding, dilation = zip(*(draw(st.sampled_from(way)) for way in ways), strict=True)
    shape = (layer.out_shape[0], in_shape[0] // groups, *kernel)
    integers = layer.synapses[0].weights.dtype == np.int8
    weights = rng.integers(-128, 128, shape) if integers else rng.normal(0.1, 1, shape)
    return Synapses(
        weights.astype(layer.synapses[0].weights.dtype), in_shape, layer.out_shape, stride, padding, dilation, groups
    )


@st.composite
def crossing_programs(draw: st.DrawFn) -> Program:
    """Programs in float32, most layers of which have synapses or a v_leak above the threshold; some with delays."""
    program = draw(st.one_of(programs(integers=False), delayed_programs(integers=False)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = {name: draw(crossing(layer, rng)) for name, layer in program.layers.items()}
    return program.with_layers(layers)


@st.composite
def crossing(draw: st.DrawFn, layer: Layer, rng: np.random.Generator) -> Layer:
    kind, shape = draw(st.sampled_from(["synapse", "leak", "both", "none"])), layer.out_shape
    each = draw(st.booleans())
    layer = changed(layer, at_most_one=True)
    if kind == "none":
        return layer
    lowest = float(np.min(layer.neurons.threshold))
    layer = changed(
        layer,
        tau_ms=draw(st.sampled_from([0.03, 0.1, 1.0])) * rng.uniform(0.5, 2, shape if each else None),
        weights=layer.single.weights * np.float32(2),
    )
    if kind != "leak":
        tau_syn_ms = draw(st.sampled_from([0.01, 0.05])) * rng.uniform(0.5, 2, shape if each else None)
        layer = changed(layer, tau_syn_ms=layer.neurons.leak.tau_ms if draw(st.booleans()) else tau_syn_ms)
    if kind != "synapse":
        layer = changed(layer, v_leak=draw(st.sampled_from([0.9, 1.0, 1.5])) * lowest)
    return changed(layer, v_reset=draw(st.sampled_from([0.0, -0.5])))


@st.composite
def split_programs(draw: st.DrawFn) -> tuple[Program, Program]:
    """A program, and the same with some of its layers in parts and no more than two destinations anywhere."""
    whole = draw(programs())
    sizes = {}
    for name, layer in whole.layers.items():
        features = layer.out_shape[0]
        if (
            layer.single.groups == 1
            and not isinstance(layer.neurons.threshold, np.ndarray)
            and features > 1
            and draw(st.booleans())
        ):
            cuts = draw(st.sets(st.integers(1, features - 1), min_size=1, max_size=3))
            ends = [*sorted(cuts), features]
            sizes[name] = tuple(end - start for start, end in zip([0, *ends], ends, strict=False))
    return whole, split(whole, sizes, chip_named("speck2e"))


@st.composite
def clocked_programs(draw: st.DrawFn) -> Program:
    """Programs of all other families with biases on some layers, and output decimators on some cores."""
    parts = split_programs().map(lambda pair: pair[1])
    program = draw(st.one_of(programs(), vector_programs(), leaky_programs(), parts, delayed_programs()))
    program = draw(st.one_of(st.just(program), crossing_programs()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = dict(program.layers)
    for logical, names in program.parts.items():
        if "relay" in logical:
            continue
        biased = draw(st.booleans())
        for name in names:
            decimation = draw(st.sampled_from([1, 1, 2, 3, 8]))
            layers[name] = replace(layers[name], decimation=decimation)
            if biased and draw(st.integers(0, 4)):
                layers[name] = replace(layers[name], bias=bias_of(layers[name], program.arithmetic, rng))
    hz = draw(st.sampled_from([30_000, 100_000, 300_000, 1_000_000]))
    return program.with_layers(layers, slow_clock_hz=hz)


def without_decimators(program: Program) -> Program:
    """``program`` with all spikes of its cores: a single neuron cannot be followed through a decimator."""
    return program.with_layers({name: replace(layer, decimation=1) for name, layer in program.layers.items()})


def bias_of(layer: Layer, arithmetic: str, rng: np.random.Generator) -> np.ndarray:
    features = layer.out_shape[0]
    if arithmetic == "float32":
        return rng.normal(0.1, 0.4, features).astype(np.float32)
    return (rng.integers(-50, 80, features) * rng.integers(0, 2, features)).astype(np.int16)


@dataclass(frozen=True)
class Family:
    """Random ``programs``, the numbers of ``events`` (least, most) that a sample of theirs has, and how many
    ``examples`` a property tries.

    Without ``vectors`` the general loop runs all layers. ``delays``: spikes may be on their way when a sample ends; a
    program with more than ``in_flight`` of these excites itself without end, and is none to compare.
    """

    programs: Callable[[], st.SearchStrategy[Program]]
    examples: int
    events: tuple[int, int] = (0, 40)
    vectors: bool = True
    delays: bool = False
    in_flight: int = IN_FLIGHT_MAX


FAMILIES: Final[Mapping[str, Family]] = {
    "general loop": Family(programs, 300, vectors=False),
    "vector loops": Family(vector_programs, 200, events=(0, 60)),
    "leaks and several synapses": Family(leaky_programs, 80),
    "layers in parts": Family(lambda: split_programs().map(lambda pair: pair[1]), 100),
    "delays": Family(delayed_programs, 150, events=(9, 15), delays=True, in_flight=300),
    "crossings between events": Family(crossing_programs, 40, events=(3, 5), delays=True, in_flight=100),
    "slow clock and decimators": Family(clocked_programs, 150, events=(0, 12), delays=True, in_flight=100),
}
