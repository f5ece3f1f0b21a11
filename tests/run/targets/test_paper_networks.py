"""The networks of the papers have their numbers of weights, and run on the simulator as the specification says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from helpers.nets import RESNET18, RESNET19, VGG9, VGG11, VGG16, VGGSNN, neuron_count, resnet, vgg, weight_count

from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Spike
from deploytool.map.group import group
from deploytool.run.engine.event_driven import run_sample
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.table import make_target

NETS = {
    "VGG-9": (partial(vgg, VGG9, (2, 128, 128)), 9_237_632, 409_610),
    "VGGSNN": (partial(vgg, VGGSNN, (2, 48, 48)), 9_263_232, 921_610),
    "VGG-11": (partial(vgg, VGG11, (3, 32, 32)), 9_222_848, 151_562),
    "VGG-16": (partial(vgg, VGG16, (3, 32, 32)), 14_715_584, 276_490),
    "ResNet-18": (partial(resnet, RESNET18, (3, 32, 32)), 11_164_352, 557_066),
    "ResNet-19": (partial(resnet, RESNET19, (3, 32, 32), classes=(256, 10)), 12_687_232, 1_442_058),
}
"""(how it is built, weights without biases and batch norm, neurons)."""


def stream(shape: tuple[int, int, int], events: int, seed: int = 0) -> EventStream:
    rng = np.random.default_rng(seed)
    drawn = np.zeros(events, EVENT)
    drawn["t"] = np.sort(rng.choice(50_000, events, replace=False))
    for axis, size in zip("cyx", shape, strict=True):
        drawn[axis] = rng.integers(size * 3 // 8, size * 5 // 8 + 1, events).clip(0, size - 1)
    return EventStream(drawn, shape, 50_000)


@pytest.mark.parametrize("name", NETS)
def test_a_network_has_its_numbers_and_runs(name: str) -> None:
    build, weights, neurons = NETS[name]
    graph = build()
    assert weight_count(graph) == weights
    assert neuron_count(graph) == neurons
    program = group(graph)
    recording = make_target("simulator").run(program, [stream(program.input_shape, 300)])
    assert all(maps.sum() > 0 for maps in recording.counts.values())


@pytest.mark.parametrize("tau_ms", [None, 20.0])
@pytest.mark.parametrize(
    ("build", "threshold"),
    [
        (partial(vgg, VGGSNN, (2, 16, 16), 32), 0.7),
        (partial(resnet, RESNET18, (2, 16, 16), 32), 1.0),
        (partial(resnet, RESNET19, (2, 8, 8), 64, (8, 4)), 1.0),
    ],
    ids=["VGGSNN", "ResNet-18", "ResNet-19"],
)
def test_narrow_ones_equal_the_specification(
    build: Callable[..., Graph], threshold: float, tau_ms: float | None
) -> None:
    program = group(build(spike=Spike(threshold, -threshold, tau_ms=tau_ms)))
    sent = stream(program.input_shape, 100)
    found = run_sample(make_plan(program, state_type(program), True), sent, list(program.layers), True)
    wanted = run_reference(program, sent)
    assert sum(map(len, wanted.spikes.values())) > 300
    for layer, spikes in wanted.spikes.items():
        assert found.spikes[layer].tolist() == spikes.tolist(), layer
    assert found.synops == wanted.synops
