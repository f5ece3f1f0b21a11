"""Progressive tandem learning: what its neurons count, what flows back, what is frozen, and what the exporter gets."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import Sides, in_batches, spec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import RecipeError
from deploytool.base.progress import Tick, no_progress
from deploytool.chip.chips import CHIPS
from deploytool.convert.model import to_graph
from deploytool.map.group import group
from deploytool.map.quantise import quantise
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import START, without_norms
from deploytool.train.methods.ptl.network import NO_THETA, Tandem, activation, active
from deploytool.train.methods.ptl.restrictions import BIAS
from deploytool.train.methods.ptl.state import State
from deploytool.train.methods.ptl.training import train
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.outside import NOTHING, Emulated, Outside
from deploytool.train.task import Task, Trained

FREE = ConstraintsSection(floor=None, weight_bits=32)
CHIP = ConstraintsSection(floor=None)
TRAINING, VALIDATION = Sides(40, seed=1), Sides(16, seed=2)
LAYERS: list[dict[str, Any]] = [
    {"type": "conv", "out": 3, "kernel": 3, "padding": 1},
    {"type": "batchnorm"},
    {"type": "spike"},
    {"type": "avgpool", "kernel": 2},
    {"type": "flatten"},
    {"type": "linear", "out": 4},
    {"type": "spike"},
    {"type": "linear", "out": 2},
    {"type": "spike"},
]


def network(layers: list[dict[str, Any]] = LAYERS, shape: tuple[int, int, int] = (2, 6, 6)) -> NetworkSection:
    return NetworkSection.model_validate({"input": shape, "layers": layers})


NETWORK = network()
FOLDED = without_norms(NETWORK)


def ptl(**keys: Any) -> TrainSection:
    section = {"stage_epochs": 3, "threshold_samples": 16, **keys.pop("ptl", {})}
    return spec(method="ptl", patience=2, ptl=section, **{"epochs": 3, **keys})


def run(
    folder: Path,
    tick: Tick = no_progress,
    seed: int = 0,
    constraints: ConstraintsSection = CHIP,
    outside: Outside = NOTHING,
    net: NetworkSection = NETWORK,
    **keys: Any,
) -> Trained:
    return train(Task(net, constraints, ptl(**keys), seed, TRAINING, VALIDATION, folder, tick, outside=outside))


def one_neuron(current: float, start: float, steps: int, per_step: str) -> int:
    """Spikes of a neuron with threshold 1 that gets ``current`` in each of ``steps``, and starts at ``start``."""
    net = network([{"type": "conv", "out": 1, "kernel": 1}, {"type": "spike"}], (1, 1, 1))
    weights = {"conv1": torch.full((1, 1, 1, 1), current), f"conv1.{START}": torch.tensor([start])}
    neuron = SpikingNetwork(net, FREE, spec(spikes_per_step=per_step))
    return int(neuron.run(weights, torch.ones(steps, 1, 1, 1, 1)).output.sum())


@given(st.integers(0, 40), st.integers(-8, 40), st.integers(1, 20), st.sampled_from(["one", "many"]))
@example(9, -2, 2, "one")
@settings(max_examples=60)
def test_a_constant_current_gives_the_floor_of_the_sum(eighths: int, start: int, steps: int, per_step: str) -> None:
    """c = floor((N I + V0) / theta); with one spike per step what is due by step n has had that and the later steps.

    Eighths are exact in float32.
    """
    due = [max(0, (step * eighths + start) // 8) for step in range(1, steps + 1)]
    queued = min(steps, *(spikes + steps - step for step, spikes in enumerate(due, start=1)))
    assert one_neuron(eighths / 8, start / 8, steps, per_step) == (queued if per_step == "one" else due[-1])


@given(st.integers(0, 100), st.integers(1, 16))
def test_half_a_threshold_at_the_start_rounds(eighths: int, steps: int) -> None:
    assert one_neuron(eighths / 8 / 16, 0.5, steps, "many") == math.floor(steps * eighths / 8 / 16 + 0.5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
@settings(max_examples=20)
def test_a_bias_per_step_and_one_at_the_start_give_the_same_free_potential(seed: int, steps: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    free = SpikingNetwork(network(LAYERS[5:6], (12, 1, 1)), FREE, spec(time_steps=steps))
    weights = {"fc1": torch.randn(4, 12, generator=rng), f"fc1.{START}": torch.randn(4, generator=rng)}
    frames = torch.poisson(torch.ones(steps, 3, 12, 1, 1), generator=rng)
    at_the_start = free.run(weights, frames).output.sum(0)
    per_step = free.run({"fc1": weights["fc1"]}, frames).output + weights[f"fc1.{START}"] / steps
    torch.testing.assert_close(at_the_start, per_step.sum(0), rtol=1e-5, atol=1e-5)


def random_state(
    seed: int, constraints: ConstraintsSection = CHIP, by_feature: bool = False, **keys: Any
) -> tuple[Tandem, dict[str, Any], dict[str, torch.Tensor]]:
    """The folded tiny network with random weights, biases and thresholds."""
    rng = torch.Generator().manual_seed(seed)
    tandem = Tandem(FOLDED, constraints, ptl(**keys))
    weights = {name: torch.randn(tensor.shape, generator=rng) for name, tensor in tandem.initial_weights(rng).items()}
    features = [layer.block.weight_shape[0] if by_feature else 1 for layer in tandem.layers]
    thetas = {
        layer.name: torch.rand(count, generator=rng, dtype=torch.float64) + 0.3
        for layer, count in zip(tandem.layers, features, strict=True)
    }
    return tandem, weights, {INPUT: NO_THETA, **thetas}


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.sampled_from(["zero", "half"]))
@settings(max_examples=25)
def test_the_spiking_branch_computes_in_the_exporters_integers(seed: int, bits: int, start: str) -> None:
    constraints = ConstraintsSection(floor=None, weight_bits=bits)
    tandem, weights, thetas = random_state(seed, constraints, ptl={"start": start})
    stored = tandem.stored(2, weights, thetas)
    arrays = {name: tensor.numpy() for name, tensor in stored.items()}
    integers = replace(CHIPS["speck2e"].integers, weight_bits=bits)
    program = quantise(group(to_graph(arrays, FOLDED, constraints)), integers)
    net = tandem.spiking[2]
    for block in net.weighted:
        layer, seen = program.layers[block.name], net.quantised(block, stored)
        assert np.array_equal(layer.single.weights.reshape(block.weight_shape), seen.weights.numpy())
        factor = layer.neurons.threshold / seen.threshold
        wanted = np.rint(stored[f"{block.name}.{START}"].numpy().astype(np.float64) * seen.scale)
        found = np.broadcast_to(layer.neurons.v_init, layer.out_shape)[:, 0, 0]
        assert np.array_equal(found, np.clip(wanted * factor, -32768, 32767))


def test_the_hybrid_network_passes_counts_forward_and_what_its_twin_has_back() -> None:
    tandem, weights, thetas = random_state(0)
    counts = {INPUT: torch.poisson(torch.ones(5, 2, 6, 6)), "conv1": torch.poisson(torch.ones(5, 3, 6, 6))}
    for tensor in weights.values():
        tensor.requires_grad_()
    first = tandem.layers[0]
    logits = tandem.coupled(range(1), weights, thetas, counts)
    torch.testing.assert_close(logits, tandem.ann(weights, activation("conv1", thetas, counts), 1))
    (found,) = torch.autograd.grad(logits.sum(), weights["conv1"])

    represented = activation("conv1", thetas, counts).requires_grad_()
    (at_counts,) = torch.autograd.grad(tandem.ann(weights, represented, 1).sum(), represented)
    (wanted,) = torch.autograd.grad(first.potential(counts[INPUT], weights).relu(), weights["conv1"], at_counts)
    torch.testing.assert_close(found, wanted)


def test_folding_changes_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    tandem = Tandem(NETWORK, CHIP, ptl())
    weights = {name: torch.rand(tensor.shape, generator=rng) for name, tensor in tandem.initial_weights(rng).items()}
    images = torch.poisson(torch.ones(5, 2, 6, 6), generator=rng)
    folded, changed = tandem.folded(weights)
    torch.testing.assert_close(folded.ann(changed, images), tandem.ann(weights, images), rtol=1e-4, atol=1e-4)
    assert set(changed) == {f"{name}{end}" for name in ("conv1", "fc1", "fc2") for end in ("", f".{BIAS}")}


def test_percentiles_count_zeros() -> None:
    activations = torch.tensor([0.0] * 99 + [5.0]).view(100, 1, 1, 1)
    assert active(activations, 100).tolist() == [5]
    assert active(activations, 50).tolist() == [0]


class Watched:
    """Every stage's end and every epoch, as `State` saw them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.after_epoch: dict[float, dict[str, torch.Tensor]] = {}
        self.after_stage: dict[int, dict[str, torch.Tensor]] = {}
        complete, next_stage = State.complete, State.next_stage

        def completed(state: State, entry: Any) -> None:
            complete(state, entry)
            self.after_epoch[entry["epoch"]] = {name: t.detach().clone() for name, t in state.weights.items()}

        def ended(state: State) -> None:
            stage = state.stage
            next_stage(state)
            self.after_stage[stage] = {name: t.clone() for name, t in state.weights.items()}

        monkeypatch.setattr(State, "complete", completed)
        monkeypatch.setattr(State, "next_stage", ended)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.numpy().tobytes() == b.numpy().tobytes()


def test_a_frozen_layer_keeps_its_bits_and_the_best_epoch_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    found = run(tmp_path)
    layers = ("conv1", "fc1", "fc2")
    for stage, name in enumerate(layers, start=1):
        for after in range(stage, 4):
            for array in (name, f"{name}.{BIAS}"):
                assert same_bits(watched.after_stage[stage][array], watched.after_stage[after][array])
        later = [row for row in found.history if row["stage"] == stage]
        assert not same_bits(watched.after_stage[stage - 1][name], watched.after_epoch[later[-1]["epoch"]][name])
    for stage, weights in watched.after_stage.items():
        rows = [row for row in found.history if row["stage"] == stage]
        best = min(rows, key=lambda row: row["validation_loss"])
        assert all(same_bits(weights[name], watched.after_epoch[best["epoch"]][name]) for name in weights)
        assert len(rows) <= 3
    assert found.history[found.chosen_epoch - 1]["chosen"] == 1
    assert sum("chosen" in row for row in found.history) == 1


def test_it_learns_and_tells_its_thresholds(tmp_path: Path) -> None:
    found = run(tmp_path, epochs=6, ptl={"stage_epochs": 6}, learning_rate=0.02)
    assert found.history[found.chosen_epoch - 1]["validation_accuracy"] >= 80
    assert set(found.weights) == {f"{name}{end}" for name in ("conv1", "fc1", "fc2") for end in ("", f".{START}")}
    last = found.history[-1]
    assert last["stage"] == 3
    assert last["theta"] > 0
    chosen = found.history[found.chosen_epoch - 1]
    assert chosen["weight_max"] == pytest.approx(found.weights["fc2"].max())
    assert {row["stage"] for row in found.history} == {0, 1, 2, 3}


def same(a: Trained, b: Trained) -> bool:
    weights = all(a.weights[name].tobytes() == b.weights[name].tobytes() for name in a.weights)
    return weights and a.history == b.history and a.chosen_epoch == b.chosen_epoch


@pytest.mark.parametrize("stops", [1, 8, 17, 28, 43, 56])
def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path, stops: int) -> None:
    """Five steps make an epoch; these stop in each stage."""
    constraints = CHIP.model_copy(update={"fan_in": 2})
    whole = run(tmp_path / "whole", constraints=constraints)

    def tick(done: int, _total: int, _note: str) -> None:
        if done >= stops:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", tick, constraints=constraints)
    assert same(whole, run(tmp_path / "parts", constraints=constraints))


def test_same_seed_same_weights_and_others_differ(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    assert same(first, run(tmp_path / "b"))
    assert not same(first, run(tmp_path / "c", seed=1))


def test_each_stage_limits_the_inputs_of_its_layer(tmp_path: Path) -> None:
    found = run(tmp_path, constraints=CHIP.model_copy(update={"fan_in": 5}))
    for name in ("conv1", "fc1", "fc2"):
        inputs = (found.weights[name] != 0).reshape(len(found.weights[name]), -1).sum(1)
        assert inputs.max() == min(5, found.weights[name][0].size)


def test_without_biases_there_is_nothing_on_the_membrane(tmp_path: Path) -> None:
    plain = network([layer for layer in LAYERS if layer["type"] != "batchnorm"])
    found = run(tmp_path / "none", net=plain, ptl={"bias": "none"})
    assert set(found.weights) == {"conv1", "fc1", "fc2"}
    half = run(tmp_path / "half", net=plain, ptl={"bias": "none", "start": "half"})
    assert all(np.all(half.weights[f"{name}.{START}"] == 0.5) for name in ("conv1", "fc1", "fc2"))


def test_a_given_ann_is_where_it_starts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tandem = Tandem(FOLDED, CHIP, ptl())
    shapes = {name: tuple(t.shape) for name, t in tandem.initial_weights(torch.Generator()).items()}
    ann = {name: rng.normal(0.2, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    found = run(tmp_path, outside=Outside(ann), net=FOLDED, ptl={"ann": "net.onnx", "stage_learning_rate": 1e-30})
    assert {row["stage"] for row in found.history} == {1, 2, 3}
    thetas = {row["stage"]: row["theta"] for row in found.history}
    for stage, name in enumerate(("conv1", "fc1", "fc2"), start=1):
        np.testing.assert_allclose(
            found.weights[name], ann[name] * thetas.get(stage - 1, 1.0) / thetas[stage], rtol=1e-5
        )
        np.testing.assert_allclose(found.weights[f"{name}.{START}"], ann[f"{name}.{BIAS}"] / thetas[stage], rtol=1e-5)


def test_the_potential_of_a_last_layer_without_spikes_is_the_answer(tmp_path: Path) -> None:
    free = network(LAYERS[:-1])
    found = run(tmp_path, net=free, epochs=6, learning_rate=0.02)
    chosen = found.history[found.chosen_epoch - 1]
    net = SpikingNetwork(without_norms(free), CHIP, ptl())
    weights = {name: torch.tensor(array) for name, array in found.weights.items()}
    right = 0
    for frames, labels in VALIDATION(4, 16, None):
        right += int((net.run(weights, frames).output.sum(0).argmax(1) == labels).sum())
    assert 100 * right / len(VALIDATION) == chosen["validation_accuracy"]


def test_spikes_may_be_counted_elsewhere(tmp_path: Path) -> None:
    """``counts`` gets the model so far, and what it returns is what the next layer takes."""
    asked = []

    def counts(model: Any, layers: int, streams: Any) -> dict[str, np.ndarray]:
        asked.append((layers, len(model), len(streams)))
        shapes = {"conv1": (3, 6, 6), "fc1": (4, 1, 1), "fc2": (2, 1, 1)}
        sides = np.array([stream.events["x"].mean() > 2.5 for stream in streams])
        found = {name: np.ones((len(streams), *shape)) for name, shape in list(shapes.items())[:layers]}
        for name, features in (("fc1", 4), ("fc2", 2)):
            if name in found:
                found[name] = 3 * np.stack([~sides, sides] * (features // 2), axis=1).reshape(-1, features, 1, 1)
        return found

    outside = Outside(emulated=Emulated(in_batches(TRAINING), in_batches(VALIDATION), counts))
    found = run(tmp_path, outside=outside, ptl={"forward": "emulator"})
    assert {(layers, arrays) for layers, arrays, _ in asked} == {(1, 2), (2, 4), (3, 6)}
    assert [row["validation_accuracy"] for row in found.history if row["stage"] == 3] == [100.0] * 3


def test_what_it_cannot_do_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        run(
            tmp_path,
            constraints=ConstraintsSection(reset="zero"),
            loss="tet",
            rate_penalty=1.0,
            ptl={"bias": "none", "ann": "net.onnx", "forward": "emulator"},
        )
    for said in (
        "constraints.floor: found -1; need -inf",
        "constraints.reset: found zero",
        "train.loss: found tet",
        "train.rate_penalty",
        "train.ptl.bias: found none",
        "train.ptl.ann",
        "train.ptl.forward",
    ):
        assert said in str(caught.value)


def test_what_is_no_chain_is_refused(tmp_path: Path) -> None:
    shortcut = {"type": "add", "other": ["input"]}
    conv = {"type": "conv", "out": 2, "kernel": 3, "padding": 1}
    layers = [conv, {"type": "spike"}, shortcut, {"type": "flatten"}, {"type": "linear", "out": 2}, {"type": "spike"}]
    with pytest.raises(RecipeError, match="'add1': takes spike1, input after 'spike1'; need a chain"):
        run(tmp_path, net=network(layers))


def test_a_silent_layer_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="at which 'conv1' is silent"):
        run(tmp_path, ptl={"percentile": 0.01})
