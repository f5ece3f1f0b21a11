"""Training on events: gradients along given spikes are those of plain autograd, and the spikes are never changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.errors import RecipeError
from deploytool.ir.recording import SPIKE
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.recipe.events import EventsSection
from deploytool.train.methods.events.network import Followed, Spikes, emitted
from deploytool.train.methods.table import train
from deploytool.train.network.neurons import SURROGATES, Neuron
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.task import Task

SURROGATE = ("exponential", "periodic", "triangle")
POOLED = NetworkSection.model_validate(
    {
        "input": (2, 9, 9),
        "layers": [
            {"type": "sumpool", "kernel": 2},
            {"type": "conv", "out": 3, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "avgpool", "kernel": 2},
            {"type": "conv", "out": 4, "kernel": 2},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 3},
            {"type": "spike"},
        ],
    }
)


def drawn(shape: tuple[int, ...], rate: float, seed: int) -> Tensor:
    return torch.poisson(torch.full(shape, rate), generator=torch.Generator().manual_seed(seed))


def followed_by_autograd(current: Tensor, fired: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """(spikes with a straight-through gradient, V at the end) of ``current`` and ``fired``, both (W, ...)."""
    state, out = torch.zeros_like(current[0]), []
    for given_current, n in zip(current, fired, strict=True):
        u = state + given_current
        slope = SURROGATES[neuron.surrogate](u.detach().clone() / neuron.threshold) / neuron.threshold
        spikes = n + slope * (u - u.detach())
        out.append(spikes)
        state = (u - neuron.threshold * spikes).clamp(min=-math.inf if neuron.floor is None else neuron.floor)
    return torch.stack(out), state


@pytest.mark.parametrize("surrogate", SURROGATE)
@given(
    windows=st.integers(1, 4),
    finer=st.integers(1, 3),
    floor=st.sampled_from([-math.inf, -40.5]),
    seed=st.integers(0, 99),
)
def test_the_gradient_is_that_of_autograd(surrogate: Any, windows: int, finer: int, floor: float, seed: int) -> None:
    neuron = Neuron(60.0, floor, surrogate=surrogate)
    generator = torch.Generator().manual_seed(seed)
    current = (180 * torch.rand((windows, 2, 4, 6, 3), generator=generator) - 70).requires_grad_()
    fine = drawn((windows * finer, 2, 4, 6, 3), 0.7, seed)
    fired = fine.view(windows, finer, *fine.shape[1:]).sum(1)
    pooled = F.avg_pool2d(fine.flatten(0, 1).movedim(-1, 1), 2, divisor_override=1).movedim(1, -1)
    passed = pooled.view(windows * finer, 2, 2, 3, 3)
    wanted = torch.randn(passed.shape, generator=generator)
    found = emitted(current, fired, passed, 2, neuron)
    assert torch.equal(found, passed)
    (gradient,) = torch.autograd.grad((found * wanted).sum(), current)
    along, _ = followed_by_autograd(current, fired, neuron)
    mean = wanted.view(windows, finer, 2, 2, 3, 3).mean(1)
    places = mean.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    (expected,) = torch.autograd.grad((along * places).sum(), current)
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_one_window_is_tandem_learning() -> None:
    """dL/dw = sum over samples of the input counts times dL/dn g(U), with U the charge of the whole sample."""
    net = SpikingNetwork(NETWORK, ConstraintsSection(floor=None), spec(method="events"))
    weights = {name: w.requires_grad_() for name, w in net.initial_weights(torch.Generator().manual_seed(0)).items()}
    counts, wanted = drawn((1, 5, 1, 1, 27), 3.0, 1), torch.randn(5, 2)
    taken = {"conv1": drawn((1, 5, 6, 6, 2), 1.0, 2), "fc1": counts.view(1, 5, 3, 3, 3)}
    fired = {"conv1": drawn((1, 5, 6, 6, 3), 0.5, 3), "fc1": drawn((1, 5, 1, 1, 2), 2.0, 4)}
    activity = Followed(net, (1, 1)).run(weights, Spikes(fired, taken))
    assert torch.equal(activity.output, fired["fc1"].view(1, 5, 2))
    (gradient,) = torch.autograd.grad((activity.output[0] * wanted).sum(), weights["fc1"])
    layer = net.quantised(net.weighted[1], weights)
    given = taken["fc1"][0].movedim(-1, 1).flatten(1)
    slope = SURROGATES["periodic"](given @ layer.weights.detach().T / layer.threshold) / layer.threshold
    assert torch.allclose(gradient, layer.scale * (wanted * slope).T @ given, rtol=1e-4)


def records(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.zeros(count, SPIKE)
    for field, most in (("sample", 3), ("t", 1000), ("c", 2), ("y", 9), ("x", 9)):
        found[field] = rng.integers(0, most, count)
    return found


def test_spikes_are_counted_in_windows_and_pooled() -> None:
    net = SpikingNetwork(POOLED, ConstraintsSection(floor=None), spec(method="events"))
    names = [block.name for block in net.weighted]
    spikes = {"input": records(400, 0), **{name: records(0, 0) for name in names}}
    spikes["conv1"] = records(300, 1)[:0]
    durations_us = np.array([1000, 1000, 2000])
    found = Followed(net, (2, 6, 6)).count(spikes, durations_us)
    assert {name: tuple(each.shape) for name, each in found.taken.items()} == {
        "conv1": (2, 3, 4, 4, 2),
        "conv2": (6, 3, 2, 2, 3),
        "fc1": (6, 3, 1, 1, 4),
    }
    expected = np.zeros((2, 3, 4, 4, 2))
    for sample, t, c, y, x in spikes["input"].tolist():
        if y < 8 and x < 8:
            expected[t * 2 // durations_us[sample], sample, y // 2, x // 2, c] += 1
    assert np.array_equal(found.taken["conv1"].numpy(), expected)
    assert expected.sum() > 200


def test_synaptic_updates_have_a_gradient() -> None:
    net = SpikingNetwork(POOLED, ConstraintsSection(floor=None), spec(method="events"))
    weights = {name: w.requires_grad_() for name, w in net.initial_weights(torch.Generator().manual_seed(0)).items()}
    fired = {block.name: drawn((2, 3, *block.out_shape[1:], block.out_shape[0]), 0.5, 1) for block in net.weighted}
    taken = {"conv1": drawn((2, 3, 4, 4, 2), 1.0, 2), "conv2": drawn((2, 3, 2, 2, 3), 1.0, 3)}
    taken["fc1"] = drawn((2, 3, 1, 1, 4), 1.0, 4)
    activity = Followed(net, (2, 2, 2)).run(weights, Spikes(fired, taken))
    per_map = {name: each.sum((0, 2, 3, 4)) for name, each in taken.items()}
    places = taken["conv1"].sum((0, 4)).double()
    reach = torch.tensor([2, 3, 3, 2]).double()
    expected = 3 * torch.einsum("byx,y,x->b", places, reach, reach) + 4 * per_map["conv2"] + 3 * per_map["fc1"]
    assert torch.allclose(activity.synops.detach(), expected.double())
    gradients = torch.autograd.grad(activity.synops.sum(), [weights["conv1"], weights["conv2"]])
    assert all(gradient.any() for gradient in gradients)


def test_the_last_number_of_windows_counts_for_all_further_layers() -> None:
    assert EventsSection(windows=(2, 4)).of_layers(4) == (2, 4, 4, 4)
    assert EventsSection(windows=(2, 4, 8)).of_layers(1) == (2,)
    with pytest.raises(ValueError, match="a multiple of the one before"):
        EventsSection(windows=(4, 6))


def test_what_it_cannot_do_is_refused_at_once(tmp_path: Path) -> None:
    samples = Sides(8, seed=1)
    constraints = ConstraintsSection(reset="zero", weight_bits=32)
    asked = spec(method="events", loss="tet", spikes_per_step="one")
    with pytest.raises(RecipeError) as caught:
        train(Task(NETWORK, constraints, asked, 0, samples, samples, tmp_path))
    for said in (
        "train.loss: found tet; need ce with train.method events",
        "train.spikes_per_step: found one",
        "constraints.reset: found zero; need subtract",
        "constraints.weight_bits: found 32; need 2 to 8",
        "train.method: found events, but no emulator was supplied",
    ):
        assert said in str(caught.value)


def test_a_network_that_is_no_chain_is_refused(tmp_path: Path) -> None:
    layers = [*({"type": "conv", "out": 3, "kernel": 3}, {"type": "batchnorm"}, {"type": "spike"})]
    network = NetworkSection.model_validate({"input": (2, 6, 6), "layers": layers})
    samples = Sides(8, seed=1)
    with pytest.raises(RecipeError, match=r"'bn1' \(batchnorm\); need one chain without batchnorm"):
        train(Task(network, CONSTRAINTS, spec(method="events"), 0, samples, samples, tmp_path))
