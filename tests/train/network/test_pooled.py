"""Neurons with the pooling after them against the two in turn, and against autograd of the plain equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.train.network import pooled
from deploytool.train.network.neurons import SURROGATES, Neuron, fire
from deploytool.train.network.pooled import fire_pooled
from deploytool.train.network.pooling import sum_pool

KINDS = st.builds(
    Neuron,
    threshold=st.sampled_from([1.0, 32.0, 101.0, 0.7]),
    floor=st.sampled_from([None, 0.0, -50.0]),
    reset=st.sampled_from(["subtract", "zero"]),
    spikes_per_step=st.sampled_from(["many", "one"]),
    reset_gradient=st.sampled_from(["full", "detached"]),
    surrogate=st.sampled_from(list(SURROGATES)),
    decay=st.sampled_from([1.0, 0.5, 0.3]),
    ceiling=st.sampled_from([np.inf, 200.0]),
)
SIZES = st.tuples(
    st.integers(1, 6), st.integers(0, 3), st.integers(1, 7), st.integers(1, 6), st.sampled_from([1, 3, 5, 8, 16])
)


def in_turn(current: torch.Tensor, neuron: Neuron, kernel: int) -> torch.Tensor:
    spikes = fire(current, neuron)
    summed = sum_pool(spikes.movedim(-1, 2).flatten(0, 1), kernel)
    return summed.unflatten(0, current.shape[:2]).movedim(2, -1)


def with_gradient(run: Any, current: torch.Tensor, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = current.clone().requires_grad_()
    found = run(leaf, *arguments)
    found.backward(torch.randn(found.shape, generator=torch.Generator().manual_seed(3)))
    assert leaf.grad is not None
    return found.detach(), leaf.grad


@given(neuron=KINDS, size=SIZES, kernel=st.integers(2, 3), seed=st.integers(0, 999), real=st.booleans())
@settings(max_examples=150, deadline=None)
def test_equals_neurons_and_pooling_in_turn_to_the_bit(neuron, size, kernel, seed, real):
    steps, count, rows, columns, features = size
    shape = (steps, count, rows + kernel - 1, columns + kernel - 1, features)
    current = 100 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    current = current if real else current.round()
    ours, wanted = with_gradient(fire_pooled, current, neuron, kernel), with_gradient(in_turn, current, neuron, kernel)
    assert torch.equal(ours[0], wanted[0])
    assert torch.equal(ours[1], wanted[1])
    assert ours[1].isfinite().all()


class Plain(torch.autograd.Function):
    """max(trunc(u), 0) or u >= 1 of u = U / theta, with the surrogate theta g(U) as its derivative."""

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, neuron: Neuron) -> torch.Tensor:
        ctx.save_for_backward(u)
        ctx.surrogate = SURROGATES[neuron.surrogate]
        return u.trunc().clamp(min=0) if neuron.spikes_per_step == "many" else (u >= 1).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.surrogate(ctx.saved_tensors[0].clone()), None


def plain(current: torch.Tensor, neuron: Neuron, kernel: int) -> torch.Tensor:
    """The equations of `neurons`, differentiated by autograd."""
    v, pooled_spikes = torch.zeros_like(current[0]), []
    for step in current:
        u = neuron.decay * v + step
        n: torch.Tensor = Plain.apply(u / neuron.threshold, neuron)  # type: ignore[no-untyped-call]
        removed = n if neuron.reset_gradient == "full" else n.detach()
        if neuron.reset == "subtract":
            v = u - neuron.threshold * removed
        else:
            v = u * torch.where(n.detach() <= 1, 1 - removed, 0.0)
        if neuron.floor is not None:
            v = torch.where(u > neuron.floor, v, neuron.floor)
        windows = n.unfold(1, kernel, kernel).unfold(2, kernel, kernel)
        pooled_spikes.append(windows.sum((-1, -2)))
    return torch.stack(pooled_spikes)


@pytest.mark.parametrize("surrogate", list(SURROGATES))
@pytest.mark.parametrize("spikes_per_step", ["many", "one"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("reset_gradient", ["full", "detached"])
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_gradients_are_those_of_autograd(surrogate, spikes_per_step, reset, reset_gradient, decay):
    """In float64, so that only the rounding of float32 is left: 10^-5 of the largest gradient."""
    neuron = Neuron(64.0, -64.0, reset, spikes_per_step, reset_gradient, surrogate, decay)
    current = (60 * torch.randn(12, 2, 5, 4, 3, generator=torch.Generator().manual_seed(1))).round()
    ours, slope = with_gradient(fire_pooled, current, neuron, 2)
    leaf = current.double().requires_grad_()
    wanted = plain(leaf, neuron, 2)
    wanted.backward(torch.randn(ours.shape, generator=torch.Generator().manual_seed(3)).double())
    assert leaf.grad is not None
    assert torch.equal(ours, wanted.detach().float())
    assert (slope - leaf.grad).abs().max() < 1e-5 * leaf.grad.abs().max()


@pytest.mark.parametrize("odd", [torch.nan, torch.inf, -torch.inf, 1e30])
@pytest.mark.parametrize("spikes_per_step", ["many", "one"])
def test_what_is_no_whole_number_needs_no_table(odd, spikes_per_step):
    current = torch.ones(4, 2, 4, 4, 3)
    current[1, 1, 2, 3, 0] = odd
    neuron = Neuron(3.0, -1.0, spikes_per_step=spikes_per_step)
    for ours, wanted in zip(
        with_gradient(fire_pooled, current, neuron, 2), with_gradient(in_turn, current, neuron, 2), strict=True
    ):
        assert torch.equal(ours.nan_to_num(7.0), wanted.nan_to_num(7.0))


def test_a_table_is_only_for_whole_numbers_that_fit():
    def bounds(*values: float) -> Any:
        return np.array([values, (0.0, 0.0, 0.0)], np.float32)

    neuron = Neuron(10.0)
    table = pooled._table(bounds(-3.0, 12.0, 0.0), neuron)
    u = torch.arange(-3.0, 13.0)
    assert table.least == -3
    assert torch.equal(torch.from_numpy(table.values), SURROGATES["periodic"](u * (1 / 10)))
    for other in (bounds(-3.0, 12.0, 0.25), bounds(0.0, pooled.TABLE, 0.0), bounds(0.0, 1.0, np.nan)):
        assert not len(pooled._table(other, neuron).values)


def test_threads_do_not_matter():
    current = torch.randn(5, 7, 6, 6, 4, generator=torch.Generator().manual_seed(1)).mul(100).round()
    one = with_gradient(fire_pooled, current, Neuron(90.0, -90.0), 2)
    torch.set_num_threads(3)
    several = with_gradient(fire_pooled, current, Neuron(90.0, -90.0), 2)
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(one, several, strict=True))
