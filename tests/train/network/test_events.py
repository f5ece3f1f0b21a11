"""Convolution event by event against torch's, with its gradients."""

from __future__ import annotations

import torch
from helpers.tiny import CONSTRAINTS, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from deploytool.recipe import ConvLayer, NetworkSection
from deploytool.train.network import spiking
from deploytool.train.network.events import DENSEST, convolve, possible, sparse
from deploytool.train.network.spiking import SpikingNetwork


@given(
    size=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(4, 7), st.integers(4, 6)),
    kernel=st.sampled_from([(3, 3), (1, 1), (2, 3), (4, 2)]),
    features=st.sampled_from([1, 3, 8, 16]),
    padding=st.sampled_from([(0, 0), (1, 0), (0, 1), (1, 1)]),
    seed=st.integers(0, 999),
)
@settings(max_examples=120, deadline=None)
def test_equals_torchs_convolution_of_whole_numbers_to_the_bit(size, kernel, features, padding, seed):
    generator = torch.Generator().manual_seed(seed)
    padding = tuple(min(more, side - 1) for more, side in zip(padding, kernel, strict=True))
    maps = torch.poisson(torch.full(size, 0.2), generator=generator).to(memory_format=torch.channels_last)
    weights = torch.randint(-128, 128, (features, size[1], *kernel), generator=generator).float()
    found = []
    for run in (lambda x, w: convolve(x, w, padding), lambda x, w: F.conv2d(x, w, None, 1, padding)):
        leaves = maps.clone().requires_grad_(), weights.clone().requires_grad_()
        summed = run(*leaves)
        (summed * torch.sin(torch.arange(summed.numel())).view_as(summed)).sum().backward()
        found.append((summed.detach(), *(leaf.grad for leaf in leaves)))
    (ours, *slopes), (theirs, *wanted) = found
    assert torch.equal(ours, theirs)
    for slope, other in zip(slopes, wanted, strict=True):
        torch.testing.assert_close(slope, other, rtol=1e-5, atol=1e-3)


def test_suits_layers_with_dense_steps_only():
    layer = ConvLayer(type="conv", out=8, kernel=(3, 3), padding=(1, 1))
    assert possible(layer)
    for keys in ({"stride": (2, 1)}, {"dilation": (1, 2)}, {"groups": 2}, {"padding": (3, 1)}):
        assert not possible(layer.model_copy(update=keys))


def test_suits_few_whole_events_only():
    few = torch.zeros(2, 1, 3, 3)
    few[1, 0, 2, 2] = 2
    assert sparse(few, steps=4)
    assert not sparse(few / 4, steps=4)
    assert not sparse(-few, steps=4)
    assert not sparse(few * torch.nan, steps=4)
    assert not sparse(torch.ones_like(few), steps=int(1 / DENSEST) - 1)
    assert not sparse(few[:0], steps=4)


def test_a_network_in_training_gives_the_same_gradients(monkeypatch):
    layers = [{"type": "conv", "out": 8, "kernel": 3, "padding": 1}, {"type": "spike"}, {"type": "flatten"}]
    layers += [{"type": "linear", "out": 2}, {"type": "spike"}]
    net = SpikingNetwork(
        NetworkSection.model_validate({"input": (2, 6, 6), "layers": layers}), CONSTRAINTS, spec(gain=8.0)
    )
    drawn = net.initial_weights(torch.Generator().manual_seed(0))
    frames = torch.poisson(torch.full((6, 3, 2, 6, 6), 0.1), generator=torch.Generator().manual_seed(1))
    found, used = [], []
    monkeypatch.setattr(spiking, "convolve", lambda *given: used.append(1) or convolve(*given))
    for measure in (False, True):
        weights = {name: tensor.clone().requires_grad_() for name, tensor in drawn.items()}
        output = net.run(weights, frames, measure=measure).output
        output.square().sum().backward()
        found.append([output, *(tensor.grad for tensor in weights.values())])
    assert used == [1]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert found[0][0].sum() > 0
