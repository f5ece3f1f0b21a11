"""Fused layers against the layers in turn: the same spikes to the bit, and the same gradients to float rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import CONSTRAINTS, spec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from deploytool.recipe import ConstraintsSection, ConvLayer, LinearLayer, NetworkSection
from deploytool.train.network import spiking
from deploytool.train.network.fused import layer as fused
from deploytool.train.network.fused.layer import Fusion, fusion_of
from deploytool.train.network.fused.shape import Side
from deploytool.train.network.neurons import SURROGATES, Neuron, fire
from deploytool.train.network.pooling import sum_pool
from deploytool.train.network.spiking import SpikingNetwork

NEURON = Neuron(100.0, -100.0)
KINDS = st.builds(
    Neuron,
    threshold=st.sampled_from([32.0, 101.0]),
    floor=st.sampled_from([None, 0.0, -50.0]),
    reset=st.sampled_from(["subtract", "zero"]),
    spikes_per_step=st.sampled_from(["many", "one"]),
    reset_gradient=st.sampled_from(["full", "detached"]),
    surrogate=st.sampled_from(list(SURROGATES)),
    decay=st.sampled_from([1.0, 0.5, 0.3]),
    ceiling=st.sampled_from([np.inf, 200.0]),
)


def drawn(shape: tuple[int, ...], convolution: ConvLayer, rate: float, seed: int) -> tuple[Tensor, Tensor]:
    """(spikes (T, B, C, H, W), weights) of whole numbers."""
    generator = torch.Generator().manual_seed(seed)
    spikes = torch.poisson(torch.full(shape, rate), generator=generator)
    weights = torch.randint(-60, 70, (convolution.out, shape[2], *convolution.kernel), generator=generator)
    return spikes, weights.float()


def fusion(shape: tuple[int, ...], convolution: ConvLayer, pool: int) -> Fusion | None:
    made = F.conv2d(
        torch.zeros(shape[1:]),
        torch.zeros(convolution.out, shape[2], *convolution.kernel),
        None,
        convolution.stride,
        convolution.padding,
    )
    return fusion_of(convolution, (shape[2:], tuple(made.shape[1:])), pool, torch.ones(shape[2:]))


def in_turn(spikes: Tensor, weights: Tensor, neuron: Neuron, convolution: ConvLayer, pool: int) -> Tensor:
    current = F.conv2d(spikes.flatten(0, 1), weights, None, convolution.stride, convolution.padding)
    fired = fire(current.unflatten(0, spikes.shape[:2]), neuron)
    return sum_pool(fired.flatten(0, 1), pool).unflatten(0, spikes.shape[:2])


def with_gradients(run: Any, spikes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    leaves = spikes.clone().requires_grad_(), weights.clone().requires_grad_()
    out = run(*leaves)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(3)))
    assert leaves[0].grad is not None
    assert leaves[1].grad is not None
    return out.detach(), leaves[0].grad, leaves[1].grad


def assert_same(ours: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    """The same spikes; gradients within 10^-5 of the largest, which is what other orders of float32 sums make."""
    assert torch.equal(ours[0], wanted[0])
    for slope, other in zip(ours[1:], wanted[1:], strict=True):
        assert (slope - other).abs().max() <= 1e-5 * other.abs().max()


@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 20), st.integers(1, 9), st.integers(1, 9)),
    features=st.integers(1, 35),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    pool=st.integers(1, 3),
    neuron=KINDS,
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_equals_the_layers_in_turn(size, features, kernel, stride, padding, pool, neuron, seed):
    convolution = ConvLayer(type="conv", out=features, kernel=kernel, stride=stride, padding=padding)
    sizes = [
        (side + 2 * more - k) // step + 1 for side, more, k, step in zip(size[3:], padding, kernel, stride, strict=True)
    ]
    assume(
        min(sizes) >= pool
        and all(side + 2 * more >= k for side, more, k in zip(size[3:], padding, kernel, strict=True))
    )
    layer = fusion(size, convolution, pool)
    assume(layer is not None)
    spikes, weights = drawn(size, convolution, 0.2, seed)
    ours = with_gradients(lambda x, w: layer.run(x, w, neuron)[0], spikes, weights)
    wanted = with_gradients(lambda x, w: in_turn(x, w, neuron, convolution, pool), spikes, weights)
    assert_same(ours, wanted)


@pytest.mark.parametrize("inputs", [2, 5, 8, 24, 40])
@pytest.mark.parametrize("features", [3, 8, 16, 33])
@pytest.mark.parametrize("columns", [5, 34])
def test_every_width_of_vectors(inputs, features, columns):
    convolution = ConvLayer(type="conv", out=features, kernel=3, padding=1)
    size = (3, 2, inputs, 5, columns)
    layer, (spikes, weights) = fusion(size, convolution, 2), drawn(size, convolution, 0.1, 1)
    assert layer is not None
    ours = with_gradients(lambda x, w: layer.run(x, w, NEURON)[0], spikes, weights)
    assert_same(ours, with_gradients(lambda x, w: in_turn(x, w, NEURON, convolution, 2), spikes, weights))
    assert ours[0].sum() > 0


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("fused_layer", ["conv", "linear"])
def test_the_order_of_spikes_in_memory_does_not_matter(stride, fused_layer):
    """Spikes with a gradient go in the order (H, W, C), others in that in which they are, all to the same bits."""
    convolution = ConvLayer(type="conv", out=8, kernel=3, padding=1, stride=stride)
    size, shape = (5, 11, 4, 6, 7), (4, 6, 7)
    spikes, weights = drawn(size, convolution, 0.3, 2)
    fan_out = torch.arange(4.0 * 6 * 7).view(shape)
    if fused_layer == "linear":
        linear, fan_out = LinearLayer(type="linear", out=8), torch.full((168, 1, 1), 8.0)
        layer = fusion_of(linear, ((168, 1, 1), (8, 1, 1)), 1, fan_out)
        weights = torch.randint(-60, 70, (8, 168), generator=torch.Generator().manual_seed(1)).float()
    else:
        made = F.conv2d(spikes[0], weights, None, convolution.stride, convolution.padding)
        layer = fusion_of(convolution, (shape, tuple(made.shape[1:])), 2, fan_out)
    found = []
    for ordered in (spikes, spikes.movedim(2, -1).contiguous().movedim(-1, 2), spikes.clone().requires_grad_()):
        learnt = weights.clone().requires_grad_()
        out, updates = layer.run(ordered, learnt, NEURON)
        out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(3)))
        found.append((out.detach(), updates.detach(), learnt.grad))
    assert found[0][0].sum() > 0
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


CONVOLUTION = ConvLayer(type="conv", out=8, kernel=3, padding=1)
SIZE = (5, 11, 4, 8, 8)


def test_updates_are_those_of_all_events_and_have_a_gradient():
    fan_out = torch.arange(4.0 * 8 * 8).view(4, 8, 8)
    layer = fusion_of(CONVOLUTION, (SIZE[2:], (8, 8, 8)), 2, fan_out)
    assert layer is not None
    spikes, weights = drawn(SIZE, CONVOLUTION, 0.2, 0)
    spikes.requires_grad_()
    _, updates = layer.run(spikes, weights, NEURON)
    wanted = (spikes.detach().sum(0) * fan_out).flatten(1).sum(1, dtype=torch.float64)
    assert torch.equal(updates, wanted)
    (updates * torch.arange(11)).sum().backward()
    assert torch.equal(spikes.grad, (torch.arange(11).view(-1, 1, 1, 1) * fan_out).expand_as(spikes))


@pytest.mark.parametrize("odd", [0.5, torch.nan, torch.inf, -1.25])
def test_takes_whole_numbers_only(odd):
    layer = fusion(SIZE, CONVOLUTION, 2)
    assert layer is not None
    spikes, weights = drawn(SIZE, CONVOLUTION, 0.2, 0)
    spikes[3, 7, 1, 2, 2] = odd
    assert layer.run(spikes, weights, NEURON) is None
    spikes[3, 7, 1, 2, 2] = -2
    assert layer.run(spikes, weights, NEURON) is not None


def test_membranes_that_do_not_fit_into_16_bits_are_kept_in_32(monkeypatch):
    layer, stored = fusion(SIZE, CONVOLUTION, 1), []
    assert layer is not None
    monkeypatch.setattr(fused, "_run", lambda shape, *given: stored.append(shape.stored) or run(shape, *given))
    spikes, weights = drawn(SIZE, CONVOLUTION, 0.2, 0)
    neuron = Neuron(100.0, -100.0, spikes_per_step="one")
    for factor, kinds in ((1, ["int16"]), (600, ["int16", "float32"])):
        stored.clear()
        ours = with_gradients(lambda x, w: layer.run(x, w, neuron)[0], spikes * factor, weights)
        assert stored == kinds
        assert_same(ours, with_gradients(lambda x, w: in_turn(x, w, neuron, CONVOLUTION, 1), spikes * factor, weights))


run = fused._run


def test_threads_do_not_matter():
    layer = fusion(SIZE, CONVOLUTION, 2)
    assert layer is not None
    spikes, weights = drawn(SIZE, CONVOLUTION, 0.2, 0)
    found = []
    for threads in (1, 3, 2):
        torch.set_num_threads(threads)
        found.append(with_gradients(lambda x, w: layer.run(x, w, NEURON)[0], spikes, weights))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for others in found[1:] for a, b in zip(found[0], others, strict=True))


def test_a_gradient_that_is_no_number_is_not_lost():
    layer = fusion(SIZE, CONVOLUTION, 2)
    assert layer is not None
    spikes, weights = drawn(SIZE, CONVOLUTION, 0.2, 0)
    weights.requires_grad_()
    layer.run(spikes, weights, NEURON)[0].mul(torch.nan).sum().backward()
    assert weights.grad.isnan().any()


def test_suits_dense_layers_that_are_not_too_large():
    assert fusion(SIZE, CONVOLUTION, 2) is not None
    for keys in ({"dilation": (1, 2)}, {"groups": 2}, {"padding": (3, 1)}):
        assert fusion(SIZE, CONVOLUTION.model_copy(update=keys), 1) is None
    for inputs, suits in ((1 << 14, True), (1 << 15, False)):
        linear = LinearLayer(type="linear", out=16)
        shapes = (inputs, 1, 1), (16, 1, 1)
        assert (fusion_of(linear, shapes, 1, torch.ones(inputs, 1, 1)) is not None) == suits


def network(*layers: dict[str, Any]) -> NetworkSection:
    last = ({"type": "flatten"}, {"type": "linear", "out": 3}, {"type": "spike"})
    return NetworkSection.model_validate({"input": (2, 9, 9), "layers": [*layers, *last]})


CONV, SPIKE = {"type": "conv", "out": 4, "kernel": 3, "padding": 1}, {"type": "spike"}


@pytest.mark.parametrize(
    "layers",
    [
        (CONV, SPIKE, {"type": "sumpool", "kernel": 2}, {**CONV, "stride": 2}, SPIKE),
        (CONV, SPIKE, {"type": "avgpool", "kernel": 2}, CONV, SPIKE, {"type": "avgpool", "kernel": 2}),
        ({**CONV, "dilation": 2}, SPIKE, {"type": "sumpool", "kernel": 2}),
        (CONV, {"type": "batchnorm"}, SPIKE, CONV, SPIKE),
        (CONV, SPIKE, {"type": "flatten"}, {"type": "conv", "out": 5, "kernel": 1}, SPIKE),
        ({"type": "flatten"}, {"type": "linear", "out": 9}, SPIKE),
    ],
)
@pytest.mark.parametrize("keys", [{}, {"rate_penalty": 3.0}, {"reset": "zero", "decay": 0.7}])
def test_a_network_in_training_gives_the_same_output_and_gradients(layers, keys, monkeypatch):
    """As one that runs its layers in turn."""
    constraints = {key: keys[key] for key in keys if key in ConstraintsSection.model_fields}
    training = {key: keys[key] for key in keys if key not in constraints}
    net = SpikingNetwork(network(*layers), CONSTRAINTS.model_copy(update=constraints), spec(gain=6.0, **training))
    drawn_weights = net.initial_weights(torch.Generator().manual_seed(0))
    frames = torch.poisson(torch.full((6, 3, 2, 9, 9), 0.2), generator=torch.Generator().manual_seed(1))
    found, used = [], []
    monkeypatch.setattr(Fusion, "run", lambda self, *given: used.append(1) or fused_run(self, *given))
    for fusions in (net._fusions, {}):
        monkeypatch.setattr(net, "_fusions", fusions)
        weights = {name: tensor.clone().requires_grad_() for name, tensor in drawn_weights.items()}
        activity = net.run(weights, frames, measure=True)
        (activity.output.square().sum() + net.spec.rate_penalty * activity.synops.sum() / 1e3).backward()
        learnt = [tensor.grad for name, tensor in weights.items() if spiking.learnt(name)]
        found.append((activity.output.detach(), *learnt))
    assert used
    assert_same(*found)
    assert found[0][0].sum() > 0


fused_run = Fusion.run


def test_images_are_convolved_as_before():
    net = SpikingNetwork(network(CONV, SPIKE), CONSTRAINTS, spec())
    weights = net.initial_weights(torch.Generator().manual_seed(0))
    frames = torch.rand(1, 3, 2, 9, 9).expand(6, -1, -1, -1, -1)
    assert torch.equal(net.run(weights, frames, measure=True).output, net.run(weights, frames).output)


def test_margins_hold_every_window():
    for side in (Side(34, 34, 3, 1, 1), Side(8, 4, 3, 2, 1), Side(9, 2, 4, 3, 0), Side(5, 9, 3, 1, 3)):
        for place in range(side.given):
            assert 0 <= side.first(place) <= side.length - side.reach
        assert side.before + side.made <= side.length
