"""The clock-driven run equals torch's arithmetic and the trained network, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from helpers.programs import programs, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import EVENT, Bins, EventStream, count
from deploytool.ir.program import INPUT, Program, Route
from deploytool.ir.target import Watch
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.reference.specification import run_reference

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These convolutions are too small to share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def as_torch(program: Program, stream: EventStream, time_steps: TimeSteps) -> dict[str, np.ndarray]:
    """{layer: counts} of an integer ``program``, by torch's convolutions in float64, in which integers are exact."""
    many = time_steps.many
    v = {
        name: torch.zeros(1, *layer.out_shape, dtype=torch.float64) + torch.tensor(layer.neurons.v_init)
        for name, layer in program.layers.items()
    }
    total = {name: np.zeros(layer.out_shape, np.int64) for name, layer in program.layers.items()}
    step_of = stream.events["t"] * time_steps.number // stream.duration_us
    if time_steps.bins == "count":
        step_of = np.arange(len(stream)) * time_steps.number // max(1, len(stream))
    for step in range(time_steps.number):
        spikes = {INPUT: count(stream.events[step_of == step], program.input_shape)}
        for name, layer in program.layers.items():
            frame = np.zeros(layer.single.in_shape)
            for source, route in program.feeders(name):
                add_routed(frame, spikes[source], route)
            v[name] += torch.nn.functional.conv2d(
                torch.from_numpy(frame)[None],
                torch.from_numpy(layer.single.weights.astype(np.float64)),
                None,
                layer.single.stride,
                layer.single.padding,
                layer.single.dilation,
                layer.single.groups,
            )
            n = torch.div(v[name], layer.neurons.threshold, rounding_mode="trunc").clamp(0, None if many else 1)
            v[name] = v[name] - n * layer.neurons.threshold if layer.neurons.reset == "subtract" else v[name] * (n == 0)
            if layer.neurons.floor is not None:
                v[name] = v[name].clamp(min=layer.neurons.floor)
            spikes[name] = n[0].numpy().astype(np.int64)
            total[name] += spikes[name]
    return total


def add_routed(frame: np.ndarray, spikes: np.ndarray, route: Route) -> None:
    for (c, y, x), n in np.ndenumerate(spikes):
        place = c + route.feature_shift, y // route.pool[0], x // route.pool[1]
        if all(at < size for at, size in zip(place, frame.shape, strict=True)):
            frame[place] += n


@given(st.data(), st.integers(1, 6), st.booleans(), st.sampled_from(["time", "count"]))
@settings(max_examples=60)
def test_integers_equal_torch(data: st.DataObject, number: int, many: bool, bins: Bins) -> None:
    program = data.draw(programs(integers=True))
    stream = data.draw(streams(program.input_shape))
    time_steps = TimeSteps(number, many, bins=bins)
    found = run_clocked(program, [stream], time_steps, Watch(rasters=1))
    for name, wanted in as_torch(program, stream, time_steps).items():
        assert np.array_equal(found.counts[name][0], wanted), name
        assert np.array_equal(count(found.spikes[name], wanted.shape), wanted), name
    assert found.rung == "quantised"


def test_steps_of_equal_counts_begin_at_their_first_events() -> None:
    layer = make_layer(np.full((1, 1, 1, 1), 5, np.int8), 5, (1, 1, 1), (1, 1, 1), (), floor=-4)
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")
    events = np.zeros(4, EVENT)
    events["t"] = [3, 4, 5, 90]
    found = run_clocked(program, [EventStream(events, (1, 1, 1), 100)], TimeSteps(2, bins="count"), Watch(rasters=1))
    assert found.spikes["fc"]["t"].tolist() == [3, 3, 5, 5]


@given(st.data())
@settings(max_examples=30)
def test_with_one_event_per_step_the_first_layer_is_event_driven(data: st.DataObject) -> None:
    program = data.draw(programs(chains=True))
    first, layer = next(iter(program.layers.items()))
    above = (
        max(float(layer.single.weights.max()), 0.0) // 1 + 1
    )  # no update leaves V at the threshold, to fire a step later
    start = np.minimum(layer.neurons.v_init, 0)  # nor does a neuron fire before its first update
    start = start if start.ndim else start.item()
    layer = changed(layer, routes=(), at_most_one=True, threshold=above, v_init=start)
    program = replace(program, layers={first: layer}, outputs=(first,))
    drawn = data.draw(streams(program.input_shape))
    events = drawn.events.copy()
    events["t"] = np.arange(len(events))
    stream = EventStream(events, program.input_shape, max(len(events), 1))
    clocked = run_clocked(program, [stream], TimeSteps(stream.duration_us, many=False))
    reference = run_reference(program, stream)
    assert np.array_equal(clocked.counts[first][0], reference.counts[first])
    assert clocked.synops.tolist() == [reference.synops]
    assert clocked.rung == ("quantised" if program.arithmetic == "int8/int16" else "torch")


def test_many_and_one_spikes_per_step_and_the_times_of_steps() -> None:
    layer = make_layer(np.full((1, 1, 1, 1), 12, np.int8), 5, (1, 1, 1), (1, 1, 1), (), floor=-4)
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")
    events = np.zeros(2, EVENT)
    events["t"] = [0, 90]
    stream = EventStream(events, (1, 1, 1), 100)
    many = run_clocked(program, [stream, stream], TimeSteps(2, many=True), Watch(rasters=1))
    assert many.counts["fc"].ravel().tolist() == [4, 4]
    assert many.spikes["fc"]["t"].tolist() == [0, 0, 50, 50]
    assert many.spikes[INPUT]["t"].tolist() == [0, 90]
    one = run_clocked(program, [stream], TimeSteps(2, many=False))
    assert one.counts["fc"].ravel().tolist() == [2]


def test_the_trained_network_gives_the_same_counts() -> None:
    from deploytool.chip.chips import CHIPS
    from deploytool.convert.model import to_graph
    from deploytool.data.loader import bin_events, frames
    from deploytool.map.compile import compile_graph
    from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
    from deploytool.train.network.spiking import SpikingNetwork

    network = NetworkSection.model_validate(
        {
            "input": [2, 9, 9],
            "layers": [
                {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
                {"type": "spike"},
                {"type": "sumpool", "kernel": 2},
                {"type": "conv", "out": 6, "kernel": 3, "stride": 2, "padding": 1},
                {"type": "spike"},
                {"type": "flatten"},
                {"type": "linear", "out": 5},
                {"type": "spike"},
            ],
        }
    )
    constraints = ConstraintsSection()
    net = SpikingNetwork(
        network, constraints, TrainSection(time_steps=10, epochs=1, batch=4, learning_rate=0.01, gain=3)
    )
    weights = net.initial_weights(torch.Generator().manual_seed(3))
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(4):
        events = np.zeros(600, EVENT)
        events["t"] = np.sort(rng.integers(0, 10_000, 600))
        for axis, size in zip("cyx", (2, 9, 9), strict=True):
            events[axis] = rng.integers(0, size, 600)
        samples.append(EventStream(events, (2, 9, 9), 10_000))
    activity = net.run(weights, frames(bin_events(samples, 10), np.arange(4)))
    graph = to_graph({name: tensor.numpy() for name, tensor in weights.items()}, network, constraints, None)
    found = run_clocked(compile_graph(graph, CHIPS["speck2e"]).program, samples, TimeSteps(10))
    assert min(counts.sum() for counts in found.counts.values()) > 20
    for name, spikes in activity.spikes.items():
        assert np.array_equal(found.counts[name], spikes.detach().sum(0).numpy()), name
    assert np.array_equal(found.synops, activity.synops.detach().numpy())


def test_a_bias_is_added_once_for_every_tick_in_a_step_and_a_decimator_counts_on() -> None:
    """Ticks of 500 Hz at 2, 4, 6 and 8 ms: one, one and two of them in three steps of 3 ms."""
    weights = np.full((1, 1, 1, 1), 3, np.int8)
    layer = make_layer(weights, 4, (1, 1, 1), (1, 1, 1), bias=np.array([2], np.int16), decimation=2)
    routes, layers = (Route("a"),), {"a": layer}
    program = Program("simulator", "int8/int16", (1, 1, 1), routes, layers, ("a",), "", slow_clock_hz=500)
    stream = EventStream(np.array([(0, 0, 0, 0)], EVENT), (1, 1, 1), 9000)
    recording = run_clocked(program, [stream], TimeSteps(3), Watch(rasters=1))
    # 3 + 2 = 5 fires, 1 + 2 = 3 does not, 3 + 4 = 7 fires and leaves
    assert recording.spikes["a"]["t"].tolist() == [6000]
    assert recording.synops.tolist() == [1]
    with pytest.raises(UnsupportedError, match="no bias or delay"):
        run_clocked(program, [stream], TimeSteps(3, bins="count"))
