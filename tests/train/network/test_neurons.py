"""The neurons against sinabs's own, and against their equations."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploytool.train.network import neurons
from deploytool.train.network.neurons import Neuron, fire
from deploytool.train.network.pooling import sum_pool

CURRENTS = arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 5)), elements=st.integers(-300, 500)
)


REFERENCE: Final = {"subtract": "full", "zero": "detached"}
"""The gradients of sinabs's resets."""


def gradient(current: torch.Tensor, neuron: Neuron, towards: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    current = current.clone().requires_grad_()
    spikes = fire(current, neuron)
    spikes.backward(towards)
    assert current.grad is not None
    return spikes.detach(), current.grad


def towards_like(current: torch.Tensor) -> torch.Tensor:
    return torch.linspace(-1, 1, current.numel()).view_as(current)


@pytest.mark.parametrize("surrogate", ["exponential", "periodic"])
@pytest.mark.parametrize("spikes_per_step", ["many", "one"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@given(counts=CURRENTS, threshold=st.sampled_from([1.0, 2.0]), floor=st.sampled_from([None, -1.0, -0.5]))
@settings(max_examples=15, deadline=None)
def test_equals_sinabs(surrogate, spikes_per_step, reset, counts, threshold, floor):
    sinabs = pytest.importorskip("sinabs.layers")
    activation = pytest.importorskip("sinabs.activation")
    shapes = {
        "exponential": activation.SingleExponential(),
        "periodic": activation.PeriodicExponential(grad_width=0.5 * threshold, grad_scale=1 / threshold),
    }
    layer = sinabs.IAF(
        spike_threshold=torch.tensor(threshold),
        spike_fn={"many": activation.MultiSpike, "one": activation.SingleSpike}[spikes_per_step],
        reset_fn={"subtract": activation.MembraneSubtract, "zero": activation.MembraneReset}[reset](),
        surrogate_grad_fn=shapes[surrogate],
        min_v_mem=floor,
    )
    current = torch.from_numpy(counts) / 128
    neuron = Neuron(threshold, floor, reset, spikes_per_step, REFERENCE[reset], surrogate)
    spikes, ours = gradient(current, neuron, towards_like(current))

    theirs_in = current.clone().requires_grad_()
    theirs = layer(theirs_in.transpose(0, 1)).transpose(0, 1)
    theirs.backward(towards_like(current))
    assert torch.equal(spikes, theirs.detach())
    torch.testing.assert_close(ours, theirs_in.grad, rtol=1e-4, atol=1e-5)


@given(counts=CURRENTS, reset=st.sampled_from(["subtract", "zero"]), many=st.booleans())
@settings(deadline=None)
def test_forward_follows_the_equations(counts, reset, many):
    neuron = Neuron(100, -80, reset, "many" if many else "one")
    spikes = fire(torch.from_numpy(counts), neuron).numpy()
    v = np.zeros_like(counts[0])
    for current, n in zip(counts, spikes, strict=True):
        u = v + current
        expected = np.maximum(np.trunc(u / 100), 0) if many else (u >= 100).astype(np.float32)
        np.testing.assert_array_equal(n, expected)
        left = u - 100 * n if reset == "subtract" else np.where(n == 0, u, 0)
        v = np.maximum(left, -80)


@given(counts=CURRENTS)
@settings(deadline=None)
def test_many_spikes_leave_less_than_a_threshold(counts):
    """With no floor, what came in is what went out and what is left: sum I = theta sum n + V."""
    counts = np.abs(counts)
    spikes = fire(torch.from_numpy(counts), Neuron(100)).numpy()
    left = counts.sum(0) - 100 * spikes.sum(0)
    assert ((left >= 0) & (left < 100)).all()


@pytest.mark.parametrize("surrogate", list(neurons.SURROGATES))
def test_scale_does_not_matter(surrogate):
    """In units k times as fine, the same spikes and 1 / k of the gradient."""
    current = torch.randint(-60, 80, (6, 2, 9), generator=torch.Generator().manual_seed(1)).float()
    neuron = Neuron(32, -16, surrogate=surrogate)
    spikes, slope = gradient(current, neuron, towards_like(current))
    finer, finer_slope = gradient(current * 4, replace(neuron, threshold=128, floor=-64), towards_like(current))
    assert torch.equal(spikes, finer)
    assert torch.equal(slope, finer_slope * 4)


def written_out(current: torch.Tensor, neuron: Neuron) -> torch.Tensor:
    """The spikes (T, n) of `neurons`'s equations for ``current``, for autograd: n is a straight-through function of U,
    and V of both."""
    v, fired = torch.zeros_like(current[0]), []
    for step in current:
        u = neuron.decay * v + step
        held = u.detach()
        wanted = (held / neuron.threshold).trunc().clamp(min=0)
        wanted = wanted if neuron.spikes_per_step == "many" else wanted.clamp(max=1)
        slope = (1 - (held / neuron.threshold - 1).abs()).clamp(min=0) / neuron.threshold
        n = wanted + slope * (u - held)
        fired.append(n)
        reset = n if neuron.reset_gradient == "full" else n.detach()
        v = u - neuron.threshold * reset if neuron.reset == "subtract" else u * torch.where(wanted <= 1, 1 - reset, 0)
        if neuron.floor is not None:
            v = torch.where(u > neuron.floor, v, neuron.floor)
    return torch.stack(fired)


@pytest.mark.parametrize("reset_gradient", ["full", "detached"])
@pytest.mark.parametrize("spikes_per_step", ["many", "one"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@given(decay=st.sampled_from([1.0, 0.5]), floor=st.sampled_from([None, -0.5]), seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_gradients_are_those_of_autograd(reset, spikes_per_step, reset_gradient, decay, floor, seed):
    """Of the equations in float64, so that only the rounding of float32 is left."""
    generator = torch.Generator().manual_seed(seed)
    current = torch.randn(6, 40, generator=generator).round(decimals=3)
    neuron = Neuron(1.0, floor, reset, spikes_per_step, reset_gradient, "triangle", decay)
    ours, slope = gradient(current, neuron, towards_like(current))
    leaf = current.double().requires_grad_()
    wanted = written_out(leaf, neuron)
    assume(torch.equal(ours.double(), wanted.detach()))  # on the threshold, the rounding decides
    wanted.backward(towards_like(current).double())
    assert leaf.grad is not None
    torch.testing.assert_close(slope.double(), leaf.grad, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_hard_reset_is_that_of_one_minus_the_spike():
    """Two steps of a leaky neuron, by hand: V[1] = (1 - s[1]) U[1], as in TET and MTT."""
    current = torch.tensor([0.8, 0.5]).view(2, 1)
    slopes = [0.8, 1 - abs(0.4 + 0.5 - 1)]
    for reset_gradient, through in (("full", 1 - 0.8 * slopes[0]), ("detached", 1.0)):
        neuron = Neuron(1.0, None, "zero", "one", reset_gradient, "triangle", 0.5)
        _, found = gradient(current, neuron, torch.tensor([[0.0], [1.0]]))
        assert found.flatten().tolist() == pytest.approx([0.5 * through * slopes[1], slopes[1]], rel=1e-6)


def in_chunks(current: torch.Tensor, chunk: int) -> tuple[torch.Tensor, ...]:
    """(membrane, spikes, dL/dI) of neurons that get ``current`` (T, n), ``chunk`` neurons at a time."""
    membrane, spikes, to_current = (torch.empty_like(current) for _ in range(3))
    neurons.integrate_compiled(current, membrane, spikes, Neuron(1, -1), chunk)
    neurons.back_compiled(towards_like(current), membrane, spikes, to_current, Neuron(1, -1), chunk)
    return membrane, spikes, to_current


def test_chunks_do_not_matter():
    current = torch.randn(5, 42, generator=torch.Generator().manual_seed(1))
    whole, parts = in_chunks(current, 42), in_chunks(current, 5)
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_the_input_is_left_alone():
    current = torch.ones(3, 2, 4)
    fire(current, Neuron(0.5, -1))
    assert torch.equal(current, torch.ones(3, 2, 4))


def test_surrogates_peak_at_the_threshold():
    u = torch.linspace(-1, 1, 41)
    for name, surrogate in neurons.SURROGATES.items():
        values = surrogate(u.clone())
        assert values.argmax() == 40, name
        assert (values.diff() >= 0).all(), name
    above = torch.tensor([1.0, 1.5, 2.0, 2.5])
    torch.testing.assert_close(neurons.periodic(above.clone()), torch.tensor([1, np.exp(-2), 1, np.exp(-2)]).float())


KINDS = st.builds(
    Neuron,
    threshold=st.sampled_from([1.0, 32.0, 101.0, 0.7]),
    floor=st.sampled_from([None, 0.0, -50.0]),
    reset=st.sampled_from(["subtract", "zero"]),
    spikes_per_step=st.sampled_from(["many", "one"]),
    reset_gradient=st.sampled_from(["full", "detached"]),
    surrogate=st.sampled_from(list(neurons.SURROGATES)),
    decay=st.sampled_from([1.0, 0.5, 0.3]),
    ceiling=st.sampled_from([np.inf, 200.0]),
)


@given(neuron=KINDS, steps=st.integers(1, 7), count=st.integers(0, 70), seed=st.integers(0, 999), real=st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_compiled_loops_are_the_same_to_the_bit(neuron, steps, count, seed, real):
    generator = torch.Generator().manual_seed(seed)
    current = 100 * torch.randn(steps, count, generator=generator)
    current = current if real else current.round()
    towards = torch.randn(steps, count, generator=generator)
    found = []
    for forward, backward in ((neurons.integrate, neurons.back), (neurons.integrate_compiled, neurons.back_compiled)):
        membrane, spikes, to_current = (torch.empty_like(current) for _ in range(3))
        forward(current, membrane, spikes, neuron)
        backward(towards, membrane, spikes, to_current, neuron)
        found.append((membrane, spikes, to_current))
    for reference, compiled in zip(*found, strict=True):
        assert torch.equal(reference, compiled)


def test_threads_do_not_matter():
    current = torch.randn(5, 600, generator=torch.Generator().manual_seed(1))
    one = in_chunks(current, 64)
    torch.set_num_threads(3)
    several = in_chunks(current, 64)
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(one, several, strict=True))


@pytest.mark.parametrize("spikes_per_step", ["many", "one"])
def test_what_is_no_number_is_not_lost(spikes_per_step):
    """A loss that is none stops training; neurons that made it a number would hide it."""
    current = torch.tensor([1.0, torch.nan, 1.0]).view(3, 1, 1)
    compiled = fire(current, Neuron(1.0, -1.0, spikes_per_step=spikes_per_step)).flatten()
    membrane, spikes = torch.empty(3, 1), torch.empty(3, 1)
    neurons.integrate(current.view(3, 1), membrane, spikes, Neuron(1.0, -1.0, spikes_per_step=spikes_per_step))
    torch.testing.assert_close(compiled, spikes.flatten(), equal_nan=True)


@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 7), st.integers(2, 7)),
    kernel=st.integers(1, 2),
    last=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_sum_pooling_is_torchs(size, kernel, last, seed):
    maps = torch.randn(*size, generator=torch.Generator().manual_seed(seed))
    maps = maps.to(memory_format=torch.channels_last) if last else maps
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    pooled, wanted = sum_pool(ours, kernel), torch.nn.functional.avg_pool2d(theirs, kernel, divisor_override=1)
    assert torch.equal(pooled, wanted)
    towards = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(seed))
    pooled.backward(towards)
    wanted.backward(towards)
    assert ours.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


def test_whole_currents_are_rounded_where_sums_are_not_exact():
    current = torch.tensor([99.9999, -0.2, 100.2]).view(3, 1, 1)
    assert fire(current, Neuron(100.0, whole=True)).flatten().tolist() == [1, 0, 1]
    assert fire(current, Neuron(100.0)).flatten().tolist() == [0, 0, 1]
