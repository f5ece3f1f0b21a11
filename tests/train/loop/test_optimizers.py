"""Optimizers and clipping, against their papers' equations."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deploytool.recipe import TrainSection  # noqa: E402
from deploytool.train.loop.optimizers import Lamb, make_optimizer, shorten  # noqa: E402


def spec(**keys) -> TrainSection:
    return TrainSection(**{"time_steps": 6, "epochs": 1, "batch": 1, "learning_rate": 0.1, **keys})


def with_gradients(*gradients: np.ndarray, weights: tuple[np.ndarray, ...]) -> list[torch.Tensor]:
    found = [torch.tensor(array, requires_grad=True) for array in weights]
    for tensor, gradient in zip(found, gradients, strict=True):
        tensor.grad = torch.tensor(gradient)
    return found


def test_lamb_follows_its_algorithm() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 4))
    zero = np.zeros(5)
    tensors = [torch.tensor(w.copy(), requires_grad=True), torch.tensor(zero.copy(), requires_grad=True)]
    optimizer = make_optimizer(tensors, spec(optimizer="lamb", learning_rate=0.05, weight_decay=0.02))
    assert isinstance(optimizer, Lamb)
    first, second = [np.zeros((3, 4)), np.zeros(5)], [np.zeros((3, 4)), np.zeros(5)]
    wanted = [w, zero]
    for step in range(1, 5):
        gradients = [rng.normal(size=(3, 4)), rng.normal(size=5)]
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = torch.tensor(gradient)
        optimizer.step()
        for i, g in enumerate(gradients):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            m, v = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            r = m / (np.sqrt(v) + 1e-6) + 0.02 * wanted[i]
            size = np.linalg.norm(wanted[i])
            wanted[i] = wanted[i] - 0.05 * (size / np.linalg.norm(r) if size else 1.0) * r
        for tensor, value in zip(tensors, wanted, strict=True):
            np.testing.assert_allclose(tensor.detach().numpy(), value, rtol=1e-6)


def test_lamb_continues_from_its_state_as_if_it_had_not_stopped() -> None:
    def gradient(step: int) -> torch.Tensor:
        return torch.randn(3, 2, generator=torch.Generator().manual_seed(step))

    weights = torch.ones(3, 2, requires_grad=True)
    whole = Lamb([weights], 0.1)
    for step in range(6):
        if step == 3:
            other = weights.detach().clone().requires_grad_()
            continued = Lamb([other], 0.1)
            continued.load_state_dict(copy.deepcopy(whole.state_dict()))
        weights.grad = gradient(step)
        whole.step()
        if step >= 3:
            other.grad = gradient(step)
            continued.step()
    assert torch.equal(weights, other)


def test_gradients_are_clipped_together() -> None:
    weights = (np.ones((2, 2)), np.ones(3))
    gradients = (np.full((2, 2), 3.0), np.full(3, 4.0))
    found = with_gradients(*gradients, weights=weights)
    length = np.sqrt(36 + 48)
    shorten(found, spec(clip_norm=2.0))
    for tensor, gradient in zip(found, gradients, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), gradient * 2 / length, rtol=1e-5)
    within = with_gradients(*gradients, weights=weights)
    shorten(within, spec(clip_norm=10.0))
    shorten(within, spec())
    assert all(np.array_equal(a.grad.numpy(), b) for a, b in zip(within, gradients, strict=True))


def test_gradients_are_clipped_relative_to_the_weights_of_each_output_feature() -> None:
    weights = np.array([[3.0, 4.0], [0.0, 0.0], [30.0, 40.0]])
    gradient = np.array([[0.6, 0.8], [1.0, 0.0], [0.6, 0.8]])
    (found,) = with_gradients(gradient, weights=(weights,))
    shorten([found], spec(clip_relative=0.1))
    wanted = [[0.3, 0.4], [1e-4, 0.0], [0.6, 0.8]]  # lengths of at most 0.1 times 5, 1e-3 (the least) and 50
    np.testing.assert_allclose(found.grad.numpy(), wanted, rtol=1e-6)
    (vector,) = with_gradients(np.array([1.0, -1.0]), weights=(np.array([2.0, 20.0]),))
    shorten([vector], spec(clip_relative=0.1))
    np.testing.assert_allclose(vector.grad.numpy(), [0.2, -1.0], rtol=1e-6)
