"""Progressive tandem learning as in its paper: currents instead of membranes and events, and its stages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import Sides, Still, spec
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.base.progress import Tick, no_progress
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import START, without_norms
from deploytool.train.loop.evaluate import evaluate
from deploytool.train.methods.ptl.network import NO_THETA, Tandem, activation, active
from deploytool.train.methods.ptl.restrictions import BIAS
from deploytool.train.methods.ptl.spiking import PtlNetwork, in_bits
from deploytool.train.methods.ptl.state import State
from deploytool.train.methods.ptl.training import train
from deploytool.train.methods.table import method_of
from deploytool.train.task import Task, Trained

FREE = ConstraintsSection(floor=None, weight_bits=32)
TRAINING, VALIDATION = Still(40, seed=1), Still(16, seed=2)
LAYERS: list[dict[str, Any]] = [
    {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
    {"type": "batchnorm"},
    {"type": "spike"},
    {"type": "conv", "out": 4, "kernel": 3, "padding": 1, "groups": 2},
    {"type": "spike"},
    {"type": "avgpool", "kernel": 2},
    {"type": "flatten"},
    {"type": "linear", "out": 4},
    {"type": "spike"},
    {"type": "linear", "out": 2},
]
WEIGHTED = ("conv1", "conv2", "fc1", "fc2")


def network(layers: list[dict[str, Any]] = LAYERS, shape: tuple[int, int, int] = (2, 6, 6)) -> NetworkSection:
    return NetworkSection.model_validate({"input": shape, "layers": layers})


def ptl(**keys: Any) -> TrainSection:
    section = {"stage_epochs": 3, "threshold_samples": 16, "patience": 2, **keys.pop("ptl", {})}
    return spec(method="ptl", ptl=section, **{"epochs": 3, **keys})


def run(
    folder: Path,
    tick: Tick = no_progress,
    constraints: ConstraintsSection = FREE,
    training: Sides = TRAINING,
    **keys: Any,
) -> Trained:
    return train(Task(network(), constraints, ptl(**keys), 0, training, VALIDATION, folder, tick))


def stages(found: Trained) -> list[int]:
    """The number of epochs of each stage."""
    which = [int(row["stage"]) for row in found.history]
    return [which.count(stage) for stage in range(max(which) + 1)]


ONE = network([{"type": "conv", "out": 1, "kernel": 1}, {"type": "spike"}], (1, 1, 1))


def one_neuron(weights: dict[str, float], steps: int, **keys: Any) -> int:
    """Spikes in ``steps`` of a neuron of threshold 1, whose input is an image of one pixel of 1."""
    arrays = {name: torch.tensor([value]) for name, value in weights.items()}
    arrays["conv1"] = arrays["conv1"].view(1, 1, 1, 1)
    net = PtlNetwork(ONE, FREE, ptl(spikes_per_step="one", ptl=keys))
    return int(net.run(arrays, torch.ones(1, 1, 1, 1, 1).expand(steps, -1, -1, -1, -1)).output.sum())


@given(st.integers(0, 16), st.integers(0, 40), st.sampled_from([1, 2, 4, 8, 16]))
def test_a_constant_bias_current_gives_the_floor_of_the_sum_and_at_most_one_spike_per_step(
    eighths: int, start: int, steps: int
) -> None:
    """c = min(N, floor((N I + V0) / theta)) for I = b / N in every step; eighths and these N are exact in float32."""
    current, initial = eighths / 8, start / 8
    found = one_neuron({"conv1": 0.0, f"conv1.{BIAS}": current * steps, f"conv1.{START}": initial}, steps)
    assert found == min(steps, math.floor(steps * current + initial))


@given(st.integers(-16, 160), st.integers(1, 16))
def test_an_analog_current_of_the_first_step_becomes_spikes_of_the_following_ones(eighths: int, steps: int) -> None:
    found = one_neuron({"conv1": eighths / 8}, steps, input="first")
    assert found == max(0, min(steps, math.floor(eighths / 8)))


def test_without_it_the_image_is_a_current_of_every_step() -> None:
    assert one_neuron({"conv1": 0.25}, 8) == 2
    assert one_neuron({"conv1": 0.25}, 8, input="first") == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_a_bias_as_current_and_one_on_the_membrane_give_the_same_free_potential(seed: int, steps: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    net = PtlNetwork(network([{"type": "linear", "out": 4}], (12, 1, 1)), FREE, ptl())
    weights, bias = torch.randn(4, 12, generator=rng), torch.randn(4, generator=rng)
    frames = torch.poisson(torch.ones(steps, 3, 12, 1, 1), generator=rng)
    found = [net.run({"fc1": weights, f"fc1.{kind}": bias}, frames).output.sum(0).flatten(1) for kind in (BIAS, START)]
    wanted = frames.sum(0).flatten(1) @ weights.T + bias
    torch.testing.assert_close(found[0], wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1], wanted, rtol=1e-5, atol=1e-5)


def test_biases_have_the_bits_of_weights_in_a_scale_of_their_own() -> None:
    assert in_bits(torch.tensor([-7.0, 3.4, 3.6, 0.4]), 4).tolist() == [-7, 3, 4, 0]
    assert in_bits(torch.tensor([0.1, 0.2]), 32).tolist() == torch.tensor([0.1, 0.2]).tolist()
    assert in_bits(torch.zeros(2), 4).tolist() == [0, 0]


def test_in_integers_a_current_is_added_in_their_scale() -> None:
    """At 8 bits a weight of 0.5 and b = 4 over 8 steps of an image of 1: V grows by 1 in every step."""
    net = PtlNetwork(ONE, ConstraintsSection(floor=None), ptl(spikes_per_step="one"))
    weights = {"conv1": torch.full((1, 1, 1, 1), 0.5), f"conv1.{BIAS}": torch.tensor([4.0])}
    assert int(net.run(weights, torch.ones(8, 1, 1, 1, 1)).output.sum()) == 8


def test_an_analog_input_costs_a_product_per_synapse_and_spikes_cost_their_synapses() -> None:
    layers = [{"type": "linear", "out": 3}, {"type": "spike"}, {"type": "linear", "out": 5}]
    net = PtlNetwork(network(layers, (2, 1, 1)), FREE, ptl(spikes_per_step="one", ptl={"input": "first"}))
    weights = {"fc1": torch.tensor([[2.0, 0], [1, 0], [0, 0]]), "fc2": torch.zeros(5, 3)}
    image = torch.tensor([1.0, 0.25]).view(1, 1, 2, 1, 1)
    activity = net.run(weights, image.expand(4, -1, -1, -1, -1))
    assert activity.synops.tolist() == [2 * 3 + (2 + 1) * 5]


def random_state(seed: int) -> tuple[Tandem, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The folded network with random weights, biases and a threshold for every feature."""
    rng = torch.Generator().manual_seed(seed)
    tandem = Tandem(without_norms(network()), FREE, ptl(ptl={"bias": "current"}))
    weights = {name: torch.randn(tensor.shape, generator=rng) for name, tensor in tandem.initial_weights(rng).items()}
    thetas = {
        layer.name: torch.rand(layer.block.weight_shape[0], generator=rng, dtype=torch.float64) + 0.3
        for layer in tandem.layers
        if layer.fires
    }
    return tandem, weights, {INPUT: NO_THETA, **thetas}


@pytest.mark.parametrize("name", WEIGHTED[1:])
def test_a_threshold_of_every_feature_scales_the_weights_that_take_and_make_it(name: str) -> None:
    """W c theta + b of the ANN branch, over the layer's own theta, is what the stored weights make of the counts c."""
    tandem, weights, thetas = random_state(0)
    number = WEIGHTED.index(name)
    layer, before = tandem.layers[number], tandem.before(number)
    shape = tandem.layers[number - 1].block.out_shape
    counts = {before: torch.poisson(torch.ones(5, *shape))}
    own = thetas.get(name, NO_THETA).float().view(-1, 1, 1)
    wanted = layer.potential(activation(before, thetas, counts), weights) / own
    torch.testing.assert_close(layer.potential(counts[before], tandem.stored(number, weights, thetas)), wanted)


def test_percentiles_of_features_are_their_own_unless_they_are_0() -> None:
    activations = torch.stack([torch.arange(101.0), 2 * torch.arange(101.0), torch.zeros(101)]).view(1, 3, 101, 1)
    assert active(activations, 50, by_feature=True).tolist() == [50, 100, np.percentile(activations, 50)]


def test_the_gradient_of_all_layers_at_once_goes_through_every_twin() -> None:
    """With counts that equal the twins' activations, the coupled network is the ANN, backward as well."""
    tandem, weights, _ = random_state(1)
    thetas = {INPUT: NO_THETA, **dict.fromkeys(WEIGHTED[:-1], NO_THETA)}
    given = torch.rand(5, 2, 6, 6)
    counts, current = {INPUT: given}, given
    for layer in tandem.layers[:-1]:
        current = layer.potential(current, weights).relu()
        counts[layer.name] = current.detach()
    for tensor in weights.values():
        tensor.requires_grad_()
    found = tandem.coupled(range(4), weights, thetas, counts)
    wanted = tandem.ann(weights, given)
    torch.testing.assert_close(found, wanted)
    names = list(weights)
    slopes = [
        torch.autograd.grad(logits.square().sum(), [weights[name] for name in names]) for logits in (found, wanted)
    ]
    for name, one, other in zip(names, *slopes, strict=True):
        torch.testing.assert_close(one, other, msg=lambda said, name=name: f"{name}: {said}")
        assert one.any()


def test_all_layers_at_once_are_one_stage_in_which_all_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: dict[int, dict[str, torch.Tensor]] = {}
    next_stage = State.next_stage

    def watched(state: State) -> None:
        stage = state.stage
        next_stage(state)
        ended[stage] = dict(state.weights)

    monkeypatch.setattr(State, "next_stage", watched)
    found = run(
        tmp_path, ptl={"coupling": "whole", "last_stage": "full", "stage_epochs": 5, "stage_learning_rate": 0.01}
    )
    assert stages(found) == [3, 5]
    tandem = Tandem(network(), FREE, ptl())
    _, before = tandem.folded(ended[0])
    assert all(not torch.equal(before[name], ended[1][name]) for name in WEIGHTED)


def test_the_last_stage_trains_all_its_epochs_and_others_end_by_patience(tmp_path: Path) -> None:
    """At a rate of 0 no epoch is better than the first, so patience ends every stage after 1 + patience epochs."""
    still = {"stage_learning_rate": 0, "stage_epochs": 9}
    assert stages(run(tmp_path / "early", ptl=still)) == [3, 3, 3, 3, 3]
    assert stages(run(tmp_path / "full", ptl={**still, "last_stage": "full"})) == [3, 3, 3, 3, 9]
    assert stages(run(tmp_path / "one", ptl={**still, "patience": 1})) == [3, 2, 2, 2, 2]
    assert stages(run(tmp_path / "train", patience=4, ptl={**still, "patience": None})) == [3, 5, 5, 5, 5]


def test_the_rate_is_a_tenth_behind_the_milestone_of_all_stages_together(tmp_path: Path) -> None:
    found = run(tmp_path, ptl={"stage_milestone": 5, "patience": 3})
    rates = [row["learning_rate"] for row in found.history if row["stage"]]
    assert len(rates) > 6
    assert rates == [1e-3] * 5 + [1e-3 * 0.1] * (len(rates) - 5)


PAPER: dict[str, Any] = {"arm": "paper", "stage_epochs": 6, "stage_milestone": 20}


def test_the_papers_arm_learns_and_is_what_its_network_runs(tmp_path: Path) -> None:
    found = run(tmp_path, epochs=8, learning_rate=0.02, ptl=PAPER, time_steps=6)
    chosen = found.history[found.chosen_epoch - 1]
    assert chosen["validation_accuracy"] >= 80
    assert set(found.weights) == {f"{name}{end}" for name in WEIGHTED for end in ("", f".{BIAS}")}
    net = method_of(ptl(ptl=PAPER)).training().build(without_norms(network()), FREE, ptl(ptl=PAPER, time_steps=6))
    recording = evaluate(net, found.weights, VALIDATION, tuple(map(str, range(16))))
    right = (recording.potentials.argmax(1) == recording.labels).mean()
    assert 100 * right == chosen["validation_accuracy"]
    assert all(counts.max() <= 6 for counts in recording.counts.values())


@pytest.mark.parametrize("choice", [PAPER, {"thresholds": "channel"}, {"coupling": "whole"}])
@pytest.mark.parametrize("stops", [7, 22, 37])
def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path, choice: dict[str, Any], stops: int) -> None:
    """Five steps make an epoch."""

    def tick(done: int, _total: int, _note: str) -> None:
        if done >= stops:
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole", ptl={**choice, "stage_epochs": 6})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", tick, ptl={**choice, "stage_epochs": 6})
    found = run(tmp_path / "parts", ptl={**choice, "stage_epochs": 6})
    assert found.history == whole.history
    assert all(found.weights[name].tobytes() == whole.weights[name].tobytes() for name in whole.weights)


def test_what_no_chip_can_run_is_named() -> None:
    method = method_of(ptl())
    method.require_deployable(ptl())
    method.require_deployable(ptl(ptl={"thresholds": "channel", "coupling": "whole", "last_stage": "full"}))
    with pytest.raises(UnsupportedError, match=r"^train\.ptl\.bias: found current, b / time_steps in every time step"):
        method.require_deployable(ptl(ptl={"bias": "current"}))
    with pytest.raises(UnsupportedError) as caught:
        method.require_deployable(ptl(ptl={"arm": "paper"}))
    assert [says.split(":")[0] for says in caught.value.problems] == ["train.ptl.input", "train.ptl.bias"]
