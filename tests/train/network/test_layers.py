"""Batch norms, shortcuts, leaky neurons and potentials as the answer: against torch's own modules written out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import spec
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from deploytool.base.errors import UnsupportedError
from deploytool.convert.model import to_graph
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, AvgPool, Conv, Flatten, Input, Linear, Output, Spike, SumPool
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.train.network.neurons import Neuron, fire
from deploytool.train.network.spiking import SpikingNetwork

UNQUANTISED = ConstraintsSection(weight_bits=32)
STEPS, BATCH = 4, 3


def conv(out: int, **keys: Any) -> dict[str, Any]:
    return {"type": "conv", "out": out, "kernel": 3, "padding": 1, **keys}


BLOCK = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            conv(4),
            {"type": "batchnorm"},
            {"type": "spike", "name": "stem"},
            conv(6, stride=2),
            {"type": "batchnorm"},
            {"type": "spike"},
            conv(6),
            {"type": "batchnorm", "name": "main"},
            {"type": "conv", "out": 6, "kernel": 1, "stride": 2, "from": "stem"},
            {"type": "batchnorm"},
            {"type": "add", "other": ["main"]},
            {"type": "spike"},
            {"type": "avgpool", "kernel": 3},
            {"type": "flatten"},
            {"type": "linear", "out": 5},
        ],
    }
)
"""A residual block whose shortcut has weights of its own, and a last layer that never fires."""

SEW = NetworkSection.model_validate(
    {
        "input": (2, 4, 4),
        "layers": [
            conv(3),
            {"type": "spike", "name": "first"},
            conv(3),
            {"type": "spike"},
            {"type": "add", "other": ["first"]},
            {"type": "avgpool", "kernel": 2},
            {"type": "flatten"},
            {"type": "linear", "out": 4},
            {"type": "spike"},
        ],
    }
)
"""A block that adds spikes to spikes."""


class WrittenOut(nn.Module):
    """BLOCK in torch's modules, time folded into the batch; ``neuron`` is tested on its own."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.neuron = neuron
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(2, 4, 3, padding=1, bias=False),
                nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
                nn.Conv2d(6, 6, 3, padding=1, bias=False),
                nn.Conv2d(4, 6, 1, stride=2, bias=False),
            ]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(features) for features in (4, 6, 6, 6)])
        self.fc = nn.Linear(6, 5, bias=False)

    def fire(self, current: Tensor) -> Tensor:
        return fire(current.unflatten(0, (STEPS, BATCH)), self.neuron).flatten(0, 1)

    def forward(self, frames: Tensor) -> Tensor:
        stem = self.fire(self.norms[0](self.convs[0](frames.flatten(0, 1))))
        middle = self.fire(self.norms[1](self.convs[1](stem)))
        end = self.fire(self.norms[2](self.convs[2](middle)) + self.norms[3](self.convs[3](stem)))
        return self.fc(F.avg_pool2d(end, 3).flatten(1)).unflatten(0, (STEPS, BATCH))

    def weights(self) -> dict[str, Tensor]:
        found = {f"conv{i + 1}": layer.weight for i, layer in enumerate(self.convs)} | {"fc1": self.fc.weight}
        for name, norm in zip(("bn1", "bn2", "main", "bn4"), self.norms, strict=True):
            found |= {
                f"{name}.gamma": norm.weight,
                f"{name}.beta": norm.bias,
                f"{name}.mean": norm.running_mean,
                f"{name}.variance": norm.running_var,
            }
        return found


def written_out(neuron: Neuron, seed: int = 0) -> WrittenOut:
    torch.manual_seed(seed)
    module = WrittenOut(neuron)
    for norm in module.norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.2, 0.6)
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.running_var.uniform_(0.5, 1.5)
    return module


def events(*shape: int, seed: int = 0) -> Tensor:
    return torch.poisson(torch.full(shape, 0.7), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_equals_torch_written_out(measure, decay):
    constraints = ConstraintsSection(weight_bits=32, decay=decay)
    module = written_out(Neuron(1.0, -1.0, decay=decay)).train(measure)
    net = SpikingNetwork(BLOCK, constraints, spec())
    weights = {name: tensor.detach().clone() for name, tensor in module.weights().items()}
    learnt = {name: tensor.requires_grad_() for name, tensor in weights.items() if not name.endswith(("mean", "ance"))}
    frames = events(STEPS, BATCH, 2, 6, 6)
    activity = net.run(weights, frames, measure=measure)
    theirs = module(frames)
    torch.testing.assert_close(activity.output, theirs, rtol=1e-5, atol=1e-5)
    assert all(spikes.sum() > 0 for spikes in activity.spikes.values())
    towards = torch.linspace(-1, 1, theirs.numel()).view_as(theirs)
    activity.output.backward(towards)
    theirs.backward(towards)
    wanted = module.weights()
    for name, tensor in learnt.items():
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0, name
        torch.testing.assert_close(tensor.grad, wanted[name].grad, rtol=1e-4, atol=1e-4, msg=name)


def test_statistics_are_those_of_the_batch_over_time():
    """torch's running variance is of n - 1 of n values; measured is that of n, which normalises."""
    module = written_out(Neuron(1.0, -1.0)).train()
    for norm in module.norms:
        norm.momentum = 1.0
    weights = {name: tensor.detach().clone() for name, tensor in module.weights().items()}
    frames = events(STEPS, BATCH, 2, 6, 6)
    statistics = SpikingNetwork(BLOCK, UNQUANTISED, spec()).run(weights, frames, measure=True).statistics
    module(frames)
    for name, norm, places in zip(("bn1", "bn2", "main", "bn4"), module.norms, (36, 9, 9, 9), strict=True):
        count = STEPS * BATCH * places
        torch.testing.assert_close(statistics[f"{name}.mean"], norm.running_mean)
        torch.testing.assert_close(statistics[f"{name}.variance"] * count / (count - 1), norm.running_var)


def test_only_measuring_changes_nothing_else():
    net = SpikingNetwork(BLOCK, UNQUANTISED, spec())
    weights = net.initial_weights(torch.Generator().manual_seed(0))
    assert net.run(weights, events(2, 2, 2, 6, 6)).statistics == {}
    assert set(net.run(weights, events(2, 2, 2, 6, 6), measure=True).statistics) == {
        f"{name}.{part}" for name in ("bn1", "bn2", "main", "bn4") for part in ("mean", "variance")
    }


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@given(decay=st.floats(0.1, 0.99), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_leaky_neurons_follow_their_equation_forward_and_back(reset, decay, seed):
    """U[t] = decay V[t-1] + I[t], written out in torch with the surrogate as a straight-through term."""
    generator = torch.Generator().manual_seed(seed)
    current = torch.randn(6, 2, 5, generator=generator).requires_grad_()
    neuron = Neuron(1.0, -0.5, reset, surrogate="triangle", decay=decay)
    ours = fire(current, neuron)
    towards = torch.randn(ours.shape, generator=generator)
    (gradient,) = torch.autograd.grad(ours, current, towards)

    state, spikes = torch.zeros(2, 5), []
    for step in current:
        u = decay * state + step
        slope = (1 - (u - 1).abs()).clamp(min=0).detach()
        n = u.detach().trunc().clamp(min=0) + slope * (u - u.detach())
        spikes.append(n)
        state = (u - n if reset == "subtract" else u * torch.where(n.detach() <= 1, 1 - n, 0)).clamp(min=-0.5)
    theirs = torch.stack(spikes)
    (wanted,) = torch.autograd.grad(theirs, current, towards)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


def test_added_spikes_are_worth_what_each_is():
    net = SpikingNetwork(SEW, ConstraintsSection(), spec(gain=4.0))
    weights = net.initial_weights(torch.Generator().manual_seed(1))
    activity = net.run(weights, events(STEPS, BATCH, 2, 4, 4))
    summed = activity.spikes["conv1"] + activity.spikes["conv2"]
    layer = net.quantised(net.weighted[2], weights)
    current = F.linear(F.avg_pool2d(summed.flatten(0, 1), 2).flatten(1) * 4, layer.weights).view(STEPS, BATCH, 4)
    wanted = fire(current, Neuron(4 * layer.threshold, 4 * layer.floor))
    assert wanted.sum() > 0
    assert torch.equal(activity.output, wanted)


IDENTITY = NetworkSection.model_validate(
    {
        "input": (2, 4, 4),
        "layers": [
            conv(3),
            {"type": "spike", "name": "first"},
            conv(3),
            {"type": "spike"},
            conv(3),
            {"type": "add", "other": ["first"]},
            {"type": "spike"},
        ],
    }
)


def test_a_shortcut_is_tapped_behind_the_transformation_of_time():
    """Both ways come in the block's number of steps, as if the spikes before it had been summed to that first."""
    net = SpikingNetwork(IDENTITY, UNQUANTISED, spec(gain=3.0))
    weights = net.initial_weights(torch.Generator().manual_seed(0))
    mixed = net.run(weights, events(6, BATCH, 2, 4, 4), (6, 3, 3))
    before = mixed.spikes["conv1"].unflatten(0, (3, 2)).sum(1)
    second = fire(F.conv2d(before.flatten(0, 1), weights["conv2"], padding=1).view(3, BATCH, 3, 4, 4), Neuron(1, -1))
    third = F.conv2d(second.flatten(0, 1), weights["conv3"], padding=1).view(3, BATCH, 3, 4, 4)
    wanted = fire(third + before, Neuron(1, -1)).flatten(2)
    assert wanted.sum() > 0
    assert torch.equal(mixed.output, wanted)


def interpreted(graph: Graph, frames: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """({spike node: its spikes}, what reaches the output) of ``graph`` step by step, each bias once per step."""
    values: dict[str, Tensor] = {}
    before: Mapping[str, list[str]] = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
    steps, batch = frames.shape[:2]
    fired = {}
    for name, node in graph.nodes.items():
        first = values[before[name][0]] if before[name] else frames.flatten(0, 1)
        match node:
            case Conv():
                bias = None if node.bias is None else torch.tensor(node.bias)
                weight = torch.tensor(node.weight)
                first = F.conv2d(first, weight, bias, node.stride, node.padding, node.dilation, node.groups)
            case Linear():
                bias = None if node.bias is None else torch.tensor(node.bias)
                first = F.linear(first.flatten(1), torch.tensor(node.weight), bias)[..., None, None]
            case SumPool() | AvgPool():
                first = F.avg_pool2d(first, node.kernel) * (math.prod(node.kernel) if isinstance(node, SumPool) else 1)
            case Flatten():
                first = first.flatten(1)[..., None, None]
            case Add():
                first = sum(values[source] for source in before[name])
            case Spike():
                floor = -math.inf if node.floor is None else node.floor
                fired[name] = fire(first.unflatten(0, (steps, batch)), Neuron(float(node.threshold), floor, node.reset))
                first = fired[name].flatten(0, 1)
            case Input() | Output():
                pass
        values[name] = first
    return fired, values["output"].unflatten(0, (steps, batch)).flatten(2)


@pytest.mark.parametrize("bits", [8, 32])
def test_the_graph_is_the_trained_network(bits):
    """Batch norms folded with their bias: the graph's own clock-driven run equals the trained network's."""
    constraints = ConstraintsSection(weight_bits=bits)
    module = written_out(Neuron(1.0, -1.0))
    weights = {name: tensor.detach() for name, tensor in module.weights().items()}
    frames = events(STEPS, BATCH, 2, 6, 6)
    ours = SpikingNetwork(BLOCK, constraints, spec()).run(weights, frames)
    graph = to_graph({name: tensor.numpy() for name, tensor in weights.items()}, BLOCK, constraints)
    fired, output = interpreted(graph, frames)
    assert not any("bn" in name for name in graph.nodes)
    for block in SpikingNetwork(BLOCK, constraints, spec()).weighted:
        if block.spikes is not None:
            assert torch.equal(fired[block.spikes], ours.spikes[block.name]), block.name
    torch.testing.assert_close(output, ours.output, rtol=1e-5, atol=1e-5)


def test_added_spikes_in_the_graph():
    constraints = ConstraintsSection()
    net = SpikingNetwork(SEW, constraints, spec(gain=4.0))
    weights = net.initial_weights(torch.Generator().manual_seed(1))
    frames = events(STEPS, BATCH, 2, 4, 4)
    graph = to_graph({name: tensor.numpy() for name, tensor in weights.items()}, SEW, constraints)
    ours = net.run(weights, frames)
    assert ours.output.sum() > 0
    assert torch.equal(interpreted(graph, frames)[1], ours.output)


def test_a_leak_per_time_step_is_for_training_only():
    net = SpikingNetwork(SEW, ConstraintsSection(decay=0.5), spec())
    weights = net.initial_weights(torch.Generator().manual_seed(1))
    arrays = {name: np.asarray(tensor) for name, tensor in weights.items()}
    with pytest.raises(UnsupportedError, match=r"constraints\.decay: found 0\.5, a leak per time step"):
        to_graph(arrays, SEW, ConstraintsSection(decay=0.5))
