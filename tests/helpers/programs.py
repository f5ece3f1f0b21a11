"""Random programs and event streams, for properties of the engines; and a run of every compiled loop."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from helpers.layers import changed, make_layer
from hypothesis import assume, reject
from hypothesis import strategies as st

from deploytool.base.arrays import Pair
from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.nodes import Conv
from deploytool.ir.program import INPUT, Layer, Program, Route
from deploytool.ir.shapes import out_shape
from deploytool.ir.target import Watch
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.engine.event_driven import run_sample
from deploytool.run.engine.limits import LIMITS, Limits
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.record.checks import IN_FLIGHT_MAX
from deploytool.run.record.samples import Sample
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.table import make_target

SMALL = st.integers(1, 3)


@st.composite
def pairs(draw: st.DrawFn, low: int, high: int) -> Pair:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


@st.composite
def programs(draw: st.DrawFn, integers: bool | None = None, chains: bool = False) -> Program:
    """One to three layers; each takes the spikes of the one before it and, unless ``chains``, of any earlier map."""
    integers = draw(st.booleans()) if integers is None else integers
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = {INPUT: (draw(SMALL), draw(st.integers(1, 8)), draw(st.integers(1, 8)))}
    routes: dict[str, list[Route]] = {INPUT: []}
    layers: dict[str, Layer] = {}
    for name in [f"layer{i}" for i in range(draw(SMALL))]:
        sources = list(shapes)[-1:]
        if not chains:
            sources += draw(st.lists(st.sampled_from(list(shapes)), max_size=2))
        for source in sources:
            shift = 0 if chains else draw(st.integers(0, 2))
            routes[source].append(Route(name, draw(pairs(1, 3)), shift))
        layers[name] = layer = draw(layer_on(pooled(shapes[sources[0]], routes[sources[0]][-1]), integers, rng))
        shapes[name], routes[name] = layer.out_shape, []
    layers = {name: replace(layer, routes=tuple(routes[name])) for name, layer in layers.items()}
    return Program(
        chip="simulator",
        arithmetic="int8/int16" if integers else "float32",
        input_shape=shapes[INPUT],
        input_routes=tuple(routes[INPUT]),
        layers=layers,
        outputs=(list(layers)[-1],),
        graph_digest="",
    )


@st.composite
def delayed_programs(draw: st.DrawFn, integers: bool | None = None) -> Program:
    """Programs some of whose routes take time, among them ways back; delays are often equal, so that spikes meet."""
    program = draw(programs(integers))
    names = list(program.layers)
    routes = {INPUT: program.input_routes, **{name: layer.routes for name, layer in program.layers.items()}}
    routes = {
        source: tuple(draw(delayed(route, program.map_of(source))) for route in each) for source, each in routes.items()
    }
    for source in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)):
        route = Route(draw(st.sampled_from(names)), draw(pairs(1, 2)), draw(st.integers(0, 1)))
        routes[source] += (draw(delayed(route, program.map_of(source), always=True)),)
    once = draw(st.integers(0, 9)) > 0
    layers = {
        name: changed(
            layer,
            routes=routes[name],
            at_most_one=once or layer.neurons.at_most_one,
            threshold=min(layer.neurons.threshold, 60)
            if isinstance(layer.neurons.threshold, int)
            else layer.neurons.threshold,
        )
        for name, layer in program.layers.items()
    }
    return program.with_layers(layers, input_routes=routes[INPUT])


@st.composite
def delayed(draw: st.DrawFn, route: Route, shape: tuple[int, int, int], always: bool = False) -> Route:
    delays = st.sampled_from([10, 20, 25] if always else [0, 0, 10, 20])
    each = st.lists(st.sampled_from([7, 10, 20]), min_size=math.prod(shape), max_size=math.prod(shape)).map(tuple)
    return replace(route, delay_us=draw(st.one_of(delays, each) if math.prod(shape) < 10 else delays))


def pooled(shape: tuple[int, int, int], route: Route) -> tuple[int, int, int]:
    return shape[0] + route.feature_shift, -(-shape[1] // route.pool[0]), -(-shape[2] // route.pool[1])


@st.composite
def layer_on(draw: st.DrawFn, in_shape: tuple[int, int, int], integers: bool, rng: np.random.Generator) -> Layer:
    """A layer on a map of ``in_shape``; weights up to a few thresholds, in either arithmetic."""
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if in_shape[0] % g == 0]))
    features = groups * draw(SMALL)
    dilation, padding = draw(pairs(1, 2)), draw(pairs(0, 2))
    room = [(size + 2 * p - 1) // d + 1 for size, p, d in zip(in_shape[1:], padding, dilation, strict=True)]
    kernel = draw(st.integers(1, min(4, room[0]))), draw(st.integers(1, min(4, room[1])))
    shape = (features, in_shape[0] // groups, *kernel)
    weights = rng.integers(-128, 128, shape).astype(np.int8) if integers else rng.normal(0.1, 1, shape)
    conv = Conv(weights.astype(np.int8 if integers else np.float32), None, draw(pairs(1, 3)), padding, dilation, groups)
    out = out_shape(conv, in_shape)
    threshold: float | np.ndarray = draw(st.sampled_from([1, 60, 200, 32640] if integers else [0.3, 1.0, 2.7]))
    if not integers and draw(st.booleans()):
        threshold = rng.uniform(0.2, 2, out).astype(np.float32)
    floor = draw(st.sampled_from([None, -1, -100, -32768] if integers else [None, -0.5, 0.0]))
    return make_layer(
        weights=conv.weight,
        threshold=threshold,
        in_shape=in_shape,
        out_shape=out,
        routes=(),
        stride=conv.stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        floor=floor,
        reset=draw(st.sampled_from(["subtract", "zero"])),
        at_most_one=draw(st.booleans()),
        v_init=draw(starts(out, floor, rng, (-150, 250) if integers else (-1.0, 4.0))),
    )


@st.composite
def starts(
    draw: st.DrawFn,
    shape: tuple[int, int, int],
    floor: float | None,
    rng: np.random.Generator,
    span: tuple[float, float],
) -> float | np.ndarray:
    """V before the first event: 0, one number or one for each neuron, below and above the thresholds."""
    number = np.float32 if isinstance(span[0], float) else np.int16
    values = np.maximum(rng.uniform(*span, shape), -np.inf if floor is None else floor).astype(number)
    return draw(st.sampled_from([0, values.flat[0].item(), values]))


@st.composite
def vector_programs(draw: st.DrawFn) -> Program:
    """One or two layers that the vector loops take, of so few window sizes that few loops are compiled.

    Weights of many thresholds, low floors, strides that leave windows unlike one another, features that are moved
    past the last one, and streams that meet are among them.
    """
    integers = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = first = draw(SMALL), draw(st.integers(3, 9)), draw(st.integers(3, 9))
    layers: dict[str, Layer] = {}
    routes = (Route("layer0"),)
    for number in range(draw(st.integers(1, 2))):
        layer = draw(vector_layer_on(shape, integers, rng))
        if layers:
            layers["layer0"] = replace(layers["layer0"], routes=(Route("layer1", draw(pairs(1, 2)), draw(SMALL) - 1),))
            routes += (Route("layer1", draw(pairs(1, 3)), draw(SMALL) - 1),) if draw(st.booleans()) else ()
        layers[f"layer{number}"] = layer
        shape = layer.out_shape
    return Program(
        chip="simulator",
        arithmetic="int8/int16" if integers else "float32",
        input_shape=first,
        input_routes=routes,
        layers=layers,
        outputs=(list(layers)[-1],),
        graph_digest="",
    )


@st.composite
def vector_layer_on(draw: st.DrawFn, in_shape: tuple[int, int, int], integers: bool, rng: np.random.Generator) -> Layer:
    channels, height, width = in_shape
    features, padding = draw(st.integers(1, 8)), draw(pairs(0, 2))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 1), (height, width)]))
    if kernel == (height, width):
        padding = (0, 0)
    kernel = min(kernel[0], height + 2 * padding[0]), min(kernel[1], width + 2 * padding[1])
    weights = rng.integers(-128, 128, (features, channels, *kernel)).astype(np.int8 if integers else np.float32)
    conv = Conv(weights, None, draw(pairs(1, 3)), padding)
    once = st.sampled_from(["subtract", "zero"]).flatmap(
        lambda reset: st.tuples(st.just(reset), st.just(True) if reset == "subtract" else st.booleans())
    )
    reset, at_most_one = draw(once)
    floor, out = draw(st.sampled_from([None, -1, -100, -32768])), out_shape(conv, in_shape)
    return make_layer(
        weights=weights,
        threshold=draw(st.sampled_from([1, 60, 127, 300, 32640])),
        in_shape=in_shape,
        out_shape=out,
        routes=(),
        stride=conv.stride,
        padding=padding,
        floor=floor,
        reset=reset,
        at_most_one=at_most_one,
        v_init=draw(starts(out, floor, rng, (-150, 450))),
    )


@st.composite
def streams(draw: st.DrawFn, shape: tuple[int, int, int], most: int = 40, least: int = 0) -> EventStream:
    """``least`` to ``most`` events on a map of ``shape``; each has its own time, which names the cause of a spike."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    events = np.zeros(draw(st.integers(least, most)), EVENT)
    events["t"] = 1 + np.cumsum(rng.integers(1, 50, len(events)))
    for axis, size in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, size, len(events))
    return EventStream(events, shape, 1 + int(events["t"].max(initial=0)))


def warm_up() -> None:
    """Runs every compiled function in both arithmetics."""
    stream = EventStream(np.array([(1, 0, 0, 0), (2, 0, 0, 0)], EVENT), (1, 3, 3), 4)
    for arithmetic, number in (("int8/int16", np.int8), ("float32", np.float32)):
        weights = np.ones((2, 1, 3, 3), number)
        for padding, side, dilation in (((0, 0), 1, (1, 1)), ((1, 1), 3, (1, 1)), ((2, 2), 3, (2, 2))):
            layer = make_layer(weights, 1, (1, 3, 3), (2, side, side), (), padding=padding, dilation=dilation)
            for routes in ((Route("it"),), (Route("it"), Route("it"))):
                program = Program("simulator", arithmetic, (1, 3, 3), routes, {"it": layer}, ("it",), "")
                make_target("simulator").run(program, [stream, stream, stream], Watch(rasters=1))
                run_clocked(program, [stream], TimeSteps(2))


def fast(program: Program, stream: EventStream, limits: Limits = LIMITS, vectors: bool = True) -> Sample:
    """What the engine makes of ``stream``, every single spike kept; without ``vectors`` by the general loop."""
    plan = make_plan(program, state_type(program), vectors)
    return run_sample(plan, stream, list(program.parts), keep_spikes=True, limits=limits)


def light(stream: EventStream, *programs: Program) -> bool:
    """Whether all ``programs`` fire so few spikes for ``stream`` that the slow specification is done in no time."""

    def events_of(program: Program) -> int:
        found = run_sample(
            make_plan(program, state_type(program)), stream, [*program.parts], limits=Limits(in_flight=5000)
        )
        return found.synops + sum(int(counts.sum()) for counts in found.counts.values())

    try:
        return all(events_of(program) < 5000 for program in programs)
    except UnsupportedError:
        return False


def specified(program: Program, stream: EventStream, in_flight: int = IN_FLIGHT_MAX) -> Sample:
    """What the specification makes of ``stream``. A draw that excites itself without end is rejected."""
    assume(light(stream, program))
    try:
        return run_reference(program, stream, in_flight)
    except UnsupportedError:
        reject()


def assert_same(found: Sample, wanted: Sample) -> None:
    """Every spike in its order, every count and the synaptic updates of ``wanted`` are those found, and so is each
    lowest and highest V that was measured."""
    for name, spikes in wanted.spikes.items():
        assert found.spikes[name].tolist() == spikes.tolist(), name
    for name, counts in wanted.counts.items():
        assert np.array_equal(found.counts[name], counts), name
    assert found.synops == wanted.synops
    assert all(found.extremes[name] == wanted.extremes[name] for name in found.extremes)
    assert found.decision_us == wanted.decision_us
    assert found.load == wanted.load
