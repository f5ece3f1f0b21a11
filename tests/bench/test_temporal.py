"""Gradients through time and their approximations, against plain autograd and the equations of their papers."""

from __future__ import annotations

import pytest
import torch
from helpers.tiny import spec

from deploytool.bench.temporal import cosine, online, through_time
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.train.network.spiking import SpikingNetwork

CHAIN = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
            {"type": "spike", "name": "first"},
            {"type": "avgpool", "kernel": 2},
            {"type": "conv", "out": 5, "kernel": 3, "padding": 1, "stride": 2},
            {"type": "spike", "name": "second"},
            {"type": "flatten"},
            {"type": "linear", "out": 3},
        ],
    }
)
LABELS = torch.tensor([0, 1, 2, 1])
LEAKY = ConstraintsSection(weight_bits=32, floor=None, decay=0.5)


def ready(steps: int = 5) -> tuple[SpikingNetwork, dict[str, torch.Tensor], torch.Tensor]:
    net = SpikingNetwork(CHAIN, LEAKY, spec(time_steps=steps, spikes_per_step="one", surrogate="triangle", gain=12.0))
    generator = torch.Generator().manual_seed(0)
    weights = {name: weight.double() for name, weight in net.initial_weights(generator).items()}
    frames = torch.poisson(torch.full((steps, 4, 2, 6, 6), 0.7, dtype=torch.float64), generator=generator)
    return net, weights, frames


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name, gradient in one.items():
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(other[name], gradient, rtol=1e-9, atol=1e-12)


def test_bptt_has_the_gradients_of_training():
    net, weights, frames = ready()
    needed = {name: weight.float().requires_grad_() for name, weight in weights.items()}
    output = net.run(needed, frames.float()).output
    loss = torch.nn.functional.cross_entropy(output.flatten(0, 1), LABELS.repeat(len(frames)))
    wanted = torch.autograd.grad(loss, list(needed.values()))
    found = through_time(net, weights, frames, LABELS)
    for gradient, own in zip(wanted, found.values(), strict=True):
        torch.testing.assert_close(own.float(), gradient, rtol=1e-3, atol=1e-6)


def test_sltt_is_bptt_with_all_layers_cut_and_differs_from_it():
    net, weights, frames = ready()
    whole = through_time(net, weights, frames, LABELS)
    spatial = online(net, weights, frames, LABELS, traced=False)
    close(through_time(net, weights, frames, LABELS, {"first", "second"}), spatial)
    assert 0 < cosine(whole, spatial) < 0.999
    assert cosine(whole, whole) == pytest.approx(1)


def test_a_layer_that_is_cut_alone_changes_only_what_comes_before_it():
    net, weights, frames = ready()
    whole, cut = (through_time(net, weights, frames, LABELS, names) for names in (set(), {"second"}))
    assert torch.equal(whole["fc1"], cut["fc1"])
    assert not torch.allclose(whole["conv2"], cut["conv2"])


def test_in_one_step_all_are_equal():
    net, weights, frames = ready(steps=1)
    whole = through_time(net, weights, frames, LABELS)
    close(whole, online(net, weights, frames, LABELS, traced=False))
    close(whole, online(net, weights, frames, LABELS, traced=True))


def test_ottt_is_the_gradient_of_traces():
    """dL/dW = sum_t delta[t] a[t], written out for the last layer, whose delta is (softmax - y) / (T B)."""
    net, weights, frames = ready()
    found = online(net, weights, frames, LABELS, traced=True)
    spikes, trace, total = [], None, torch.zeros_like(weights["fc1"])
    membranes = [torch.zeros(4, 4, 6, 6, dtype=torch.float64), torch.zeros(4, 5, 2, 2, dtype=torch.float64)]
    for frame in frames:
        maps = frame
        for number, (name, options) in enumerate((("conv1", {"padding": 1}), ("conv2", {"padding": 1, "stride": 2}))):
            membrane = 0.5 * membranes[number] + torch.nn.functional.conv2d(maps, weights[name], **options)
            maps = (membrane >= 1).double()
            membranes[number] = membrane - maps
            maps = torch.nn.functional.avg_pool2d(maps, 2) if number == 0 else maps
        spikes.append(maps.flatten(1))
        trace = spikes[-1] if trace is None else 0.5 * trace + spikes[-1]
        output = spikes[-1] @ weights["fc1"].T
        delta = (output.softmax(1) - torch.nn.functional.one_hot(LABELS, 3)) / (len(frames) * 4)
        total += delta.T @ trace
    torch.testing.assert_close(found["fc1"], total, rtol=1e-9, atol=1e-12)
    assert torch.stack(spikes).any()
