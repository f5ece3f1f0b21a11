"""The network of a recipe: its shapes, its integers, its synaptic updates, and that it keeps no state."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from helpers.tiny import CONSTRAINTS, NETWORK, spec
from torch.nn import functional as F

from deploytool.base.errors import RecipeError
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.train.network.blocks import blocks_of
from deploytool.train.network.neurons import Neuron, fire
from deploytool.train.network.spiking import SpikingNetwork

LAYERS = [
    {"type": "conv", "out": 8, "kernel": 3, "padding": 1},
    {"type": "spike"},
    {"type": "sumpool", "kernel": 2},
    {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
    {"type": "spike"},
    {"type": "sumpool", "kernel": 2},
    {"type": "conv", "out": 16, "kernel": 3, "padding": 1, "stride": 2},
    {"type": "spike"},
    {"type": "flatten"},
    {"type": "linear", "out": 10},
    {"type": "spike"},
]


def network(*layers: dict[str, object], shape: tuple[int, int, int] = (2, 6, 6)) -> NetworkSection:
    return NetworkSection.model_validate({"input": shape, "layers": layers})


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def events(*shape: int) -> torch.Tensor:
    return torch.poisson(torch.full(shape, 0.7), generator=generator())


def test_trimmed_input_gives_the_first_stage_the_first_frames() -> None:
    layers = (LAYERS[0], LAYERS[1], LAYERS[8], LAYERS[9], LAYERS[10])
    frames = events(4, 2, 2, 6, 6)
    changed = torch.cat((frames[:2], frames[2:] + 1))
    for how, equal in (("trim", True), (None, False)):
        net = SpikingNetwork(network(*layers), CONSTRAINTS, spec(method="mtt", input_ttm=how))
        weights = net.initial_weights(generator())
        given, other = (net.run(weights, some, (2, 3)).spikes["conv1"] for some in (frames, changed))
        assert len(given) == 2
        assert torch.equal(given, other) == equal
    whole = SpikingNetwork(network(*layers), CONSTRAINTS, spec())
    trimmed = SpikingNetwork(network(*layers), CONSTRAINTS, spec(method="mtt", input_ttm="trim"))
    assert torch.equal(trimmed.run(weights, frames, (2, 2)).output, whole.run(weights, frames[:2]).output)


def test_the_nmnist_network():
    net = SpikingNetwork(network(*LAYERS, shape=(2, 34, 34)), CONSTRAINTS, spec())
    weights = net.initial_weights(generator())
    assert {name: w.numel() for name, w in weights.items()} == {"conv1": 144, "conv2": 1152, "conv3": 2304, "fc1": 2560}
    activity = net.run(weights, events(3, 2, 2, 34, 34))
    shapes = {name: tuple(spikes.shape) for name, spikes in activity.spikes.items()}
    assert shapes == {
        "conv1": (3, 2, 8, 34, 34),
        "conv2": (3, 2, 16, 17, 17),
        "conv3": (3, 2, 16, 4, 4),
        "fc1": (3, 2, 10, 1, 1),
    }
    assert [block.spikes for block in net.weighted] == ["spike1", "spike2", "spike3", "spike4"]


@pytest.mark.parametrize("pool", ["sumpool", "avgpool"])
def test_equals_the_same_network_written_out(pool):
    layers = (
        {"type": "conv", "out": 3, "kernel": 3, "stride": 2},
        {"type": "spike"},
        {"type": pool, "kernel": 2},
        {"type": "conv", "out": 4, "kernel": 1},
        {"type": "spike"},
        {"type": pool, "kernel": 2},
        {"type": "flatten"},
        {"type": "linear", "out": 2},
        {"type": "spike"},
    )
    net = SpikingNetwork(network(*layers, shape=(2, 13, 11)), CONSTRAINTS, spec())
    weights = {name: w + 0.2 for name, w in net.initial_weights(generator()).items()}
    frames = events(5, 2, 2, 13, 11)
    activity = net.run(weights, frames)

    def layer(index: int, current: torch.Tensor) -> torch.Tensor:
        quantised = net.quantised(net.weighted[index], weights)
        return fire(current.unflatten(0, (5, 2)), Neuron(quantised.threshold, quantised.floor)).flatten(0, 1)

    factor = 4 if pool == "sumpool" else 1
    ints = [net.quantised(block, weights).weights for block in net.weighted]
    first = layer(0, F.conv2d(frames.flatten(0, 1), ints[0], stride=2))
    second = layer(1, F.conv2d(F.avg_pool2d(first, 2) * factor, ints[1]))
    third = layer(2, F.linear((F.avg_pool2d(second, 2) * factor).flatten(1), ints[2]))
    assert first.sum() > 0
    assert third.sum() > 0
    for name, expected in zip(("conv1", "conv2", "fc1"), (first, second, third), strict=True):
        assert torch.equal(activity.spikes[name].flatten(), expected.flatten()), name


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_recipe_says_whether_gradients_flow_through_the_reset(reset):
    layers = ({"type": "conv", "out": 1, "kernel": 1}, {"type": "spike"})
    frames, found = events(5, 1, 2, 6, 6), []
    for reset_gradient in ("full", "detached"):
        free = ConstraintsSection(weight_bits=32, floor=-math.inf, reset=reset)
        net = SpikingNetwork(network(*layers), free, spec(reset_gradient=reset_gradient, surrogate="triangle"))
        weights = torch.full((1, 2, 1, 1), 0.6).requires_grad_()
        net.run({"conv1": weights}, frames).output.sum().backward()
        current = F.conv2d(frames.flatten(0, 1), torch.full((1, 2, 1, 1), 0.6)).unflatten(0, (5, 1)).requires_grad_()
        fire(current, Neuron(1.0, None, reset, "many", reset_gradient, "triangle")).sum().backward()
        assert weights.grad is not None
        assert current.grad is not None
        torch.testing.assert_close(weights.grad.sum(), (current.grad * frames.sum(2, keepdim=True)).sum())
        found.append(weights.grad)
    assert not torch.equal(*found)


def test_average_pooling_is_summing_with_a_higher_threshold():
    layers = ({"type": "conv", "out": 1, "kernel": 1}, {"type": "spike"})
    weights, frames = {"conv1": torch.ones(1, 2, 1, 1)}, events(5, 1, 2, 6, 6)
    four_times = ConstraintsSection(threshold=4.0, floor=-4.0)
    averaged = SpikingNetwork(network({"type": "avgpool", "kernel": 2}, *layers), CONSTRAINTS, spec())
    summed = SpikingNetwork(network({"type": "sumpool", "kernel": 2}, *layers), four_times, spec())
    spikes = averaged.run(weights, frames).output
    assert spikes.sum() > 0
    assert torch.equal(spikes, summed.run({"conv1": weights["conv1"]}, frames).output)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (2, 2, 0), (5, 1, 0), (3, 4, 1)])
def test_synops_are_the_updates_that_hit_the_map(kernel, stride, padding):
    conv = {"type": "conv", "out": 3, "kernel": kernel, "stride": stride, "padding": padding}
    net = SpikingNetwork(network(conv, {"type": "spike"}, shape=(2, 6, 7)), CONSTRAINTS, spec())
    frames = events(2, 1, 2, 6, 7)
    _, rows, columns = net.blocks[0].out_shape
    expected = 0
    for y, x in itertools.product(range(6), range(7)):
        targets = 0
        for ky, kx in itertools.product(range(kernel), repeat=2):
            to_y, to_x = y + padding - ky, x + padding - kx
            whole = to_y % stride == 0 and to_x % stride == 0
            targets += 3 * (whole and 0 <= to_y // stride < rows and 0 <= to_x // stride < columns)
        expected += targets * int(frames[..., y, x].sum())
    assert net.run(net.initial_weights(generator()), frames).synops.tolist() == [expected]


def test_samples_do_not_touch_each_other():
    net = SpikingNetwork(NETWORK, CONSTRAINTS, spec())
    weights = net.initial_weights(generator())
    frames = events(4, 3, 2, 6, 6)
    together = net.run(weights, frames)
    for i in (2, 0, 1):
        alone = net.run(weights, frames[:, i : i + 1])
        assert torch.equal(alone.output[:, 0], together.output[:, i])
        assert alone.synops[0] == together.synops[i]


def test_steps_per_layer():
    net = SpikingNetwork(NETWORK, CONSTRAINTS, spec())
    weights = net.initial_weights(generator())
    frames = events(4, 3, 2, 6, 6)
    assert torch.equal(net.run(weights, frames, (4, 4)).output, net.run(weights, frames).output)
    mixed = net.run(weights, frames, (2, 3))
    assert len(mixed.spikes["conv1"]) == 2
    assert len(mixed.output) == 3
    assert torch.equal(mixed.spikes["conv1"], net.run(weights, frames.unflatten(0, (2, 2)).sum(1)).spikes["conv1"])


def test_every_weight_learns():
    net = SpikingNetwork(NETWORK, CONSTRAINTS, spec())
    weights = {name: w.requires_grad_() for name, w in net.initial_weights(generator()).items()}
    net.run(weights, events(4, 3, 2, 6, 6)).output.sum().backward()
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in weights.values())


def test_gain_scales_the_initial_weights():
    bounds = []
    for gain in (1.0, 1.5):
        weights = SpikingNetwork(NETWORK, CONSTRAINTS, spec(gain=gain)).initial_weights(generator())
        bounds.append(weights["conv1"].abs().max())
        assert bounds[-1] <= gain / 18**0.5
    assert bounds[1] == pytest.approx(1.5 * bounds[0])


def test_fewer_bits_fewer_levels():
    net = SpikingNetwork(NETWORK, ConstraintsSection(weight_bits=2), spec())
    layer = net.quantised(net.weighted[0], net.initial_weights(generator()))
    assert set(layer.weights.detach().unique().tolist()) <= {-2, -1, 0, 1}


def test_layers_that_do_not_fit_together():
    with pytest.raises(RecipeError, match=r"network\.layers: 'fc1'.*Check whether a Flatten is missing"):
        blocks_of(network({"type": "linear", "out": 3}, {"type": "spike"}))


@pytest.mark.parametrize(
    "layers",
    [
        [{"type": "spike"}],
        [{"type": "conv", "out": 1, "kernel": 1}, {"type": "sumpool", "kernel": 2}, {"type": "spike"}],
        [{"type": "conv", "out": 1, "kernel": 1}, {"type": "spike"}, {"type": "spike"}],
    ],
)
def test_spikes_follow_weights(layers):
    with pytest.raises(ValueError, match="need a spike layer after every conv or linear layer, and nowhere else"):
        network(*layers)
