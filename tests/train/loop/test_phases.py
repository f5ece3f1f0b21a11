"""Phases: a base with batch norms whose bias is removed, time inheritance, and statistics measured anew."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec

from deploytool.base.errors import RecipeError
from deploytool.base.progress import Tick, no_progress
from deploytool.convert.model import to_graph
from deploytool.ir.nodes import Conv, Linear
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.recipe.nodes import without_norms
from deploytool.recipe.train import ignored_keys
from deploytool.train.loop import phases
from deploytool.train.loop.calibration import CALIBRATION_BATCHES, calibrated
from deploytool.train.loop.descent import Descent
from deploytool.train.loop.evaluate import as_tensors, evaluate
from deploytool.train.loop.schedule import Schedule
from deploytool.train.loop.state import State
from deploytool.train.methods.table import train
from deploytool.train.network.norms import merged
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.task import Task, Trained

NORMED = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3, "padding": 1},
            {"type": "batchnorm"},
            {"type": "spike", "name": "in"},
            {"type": "conv", "out": 3, "kernel": 1},
            {"type": "batchnorm", "name": "norm"},
            {"type": "add", "other": ["in"]},
            {"type": "spike"},
            {"type": "sumpool", "kernel": 2},
            {"type": "flatten"},
            {"type": "linear", "out": 2},
            {"type": "spike"},
        ],
    }
)
TRAINING, VALIDATION = Sides(40, seed=1), Sides(16, seed=2)
BASE = {"epochs": 2, "learning_rate": 0.02, "time_steps": 3}
SIMULATED = ConstraintsSection(weight_bits=32)


def run(folder, tick: Tick = no_progress, network: NetworkSection = NORMED, limits=CONSTRAINTS, **keys: Any) -> Trained:
    return train(Task(network, limits, spec(**keys), 0, TRAINING, VALIDATION, folder, tick))


def random_norms(seed: int = 0) -> dict[str, np.ndarray]:
    net = SpikingNetwork(NORMED, SIMULATED, spec())
    rng = np.random.default_rng(seed)
    drawn = {name: tensor.numpy() for name, tensor in net.initial_weights(torch.Generator().manual_seed(seed)).items()}
    return {
        name: rng.uniform(0.5, 2, array.shape).astype(np.float32) if "." in name else array
        for name, array in drawn.items()
    }


def test_the_network_without_norms_has_the_same_names():
    bare = without_norms(NORMED)
    assert [name for name, _ in bare.named_layers()] == [
        name for name, _ in NORMED.named_layers() if name not in ("bn1", "norm")
    ]
    assert bare.sources()["in"] == ("conv1",)
    assert bare.sources()["add1"] == ("conv2", "in")
    assert NetworkSection.model_validate(bare.model_dump(by_alias=True)) == bare


def test_merged_weights_are_the_batch_norm_without_its_bias():
    weights = random_norms()
    unbiased = {name: array * 0 if name.endswith((".mean", ".beta")) else array for name, array in weights.items()}
    frames = next(iter(TRAINING(4, 8, None)))[0]
    normed = SpikingNetwork(NORMED, SIMULATED, spec()).run(as_tensors(unbiased), frames)
    bare = SpikingNetwork(without_norms(NORMED), SIMULATED, spec()).run(as_tensors(merged(weights, NORMED)), frames)
    assert normed.output.sum() > 0
    for name in normed.spikes:
        assert torch.equal(normed.spikes[name], bare.spikes[name]), name


def test_a_base_may_have_an_optimizer_of_its_own() -> None:
    own = {**BASE, "optimizer": "adamw", "weight_decay": 0.02}
    sgd = {"optimizer": "sgd", "weight_decay": 5e-4, "method": "mtt"}
    for base, expected in ((own, ("adamw", 0.02)), (BASE, ("sgd", 5e-4))):
        first, second = phases.phases_of(Descent(), NORMED, CONSTRAINTS, spec(base=base, **sgd))
        assert (first.spec.optimizer, first.spec.weight_decay) == expected
        assert (second.spec.optimizer, second.spec.weight_decay) == ("sgd", 5e-4)


def test_a_base_ends_without_norms_and_without_bias_in_the_chips_integers(tmp_path):
    trained = run(tmp_path, base=BASE)
    assert set(trained.weights) == {"conv1", "conv2", "fc1"}
    graph = to_graph(trained.weights, without_norms(NORMED), CONSTRAINTS)
    assert all(node.bias is None for node in graph.nodes.values() if isinstance(node, Conv | Linear))
    assert [row["phase"] for row in trained.history] == [1, 1, 2, 2, 2, 2]
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4, 5, 6]
    assert [row["step_epochs"] for row in trained.history] == [3, 6, 10, 14, 18, 22]
    assert trained.chosen_epoch > 2
    assert [row["epoch"] for row in trained.history if row.get("chosen")] == [trained.chosen_epoch]
    recording = evaluate(
        SpikingNetwork(without_norms(NORMED), CONSTRAINTS, spec()),
        trained.weights,
        VALIDATION,
        [str(i) for i in range(16)],
    )
    row = trained.history[trained.chosen_epoch - 1]
    assert 100 * (recording.predictions == recording.labels).mean() == row["validation_accuracy"]


def test_learnt_scales_start_at_one_and_end_in_the_weights(tmp_path, descents) -> None:
    trained = run(tmp_path, base={**BASE, "scales": "learnt"}, method="mtt", draws=2)
    _, (_, initial, second) = descents
    names = ["conv1", "conv2", "fc1"]
    assert sorted(initial) == sorted([*names, *(f"{name}.scale" for name in names)])
    assert all((initial[f"{name}.scale"] == 1).all() for name in names)
    assert sorted(trained.weights) == names
    assert any((second.weights[f"{name}.scale"] != 1).any() for name in names)
    for name in names:
        scale = second.weights[f"{name}.scale"]
        wanted = second.weights[name] * scale.reshape(-1, *[1] * (second.weights[name].ndim - 1))
        assert np.array_equal(trained.weights[name], wanted)
    bare = without_norms(NORMED)
    frames = next(iter(VALIDATION(4, 8, None)))[0]
    net = SpikingNetwork(bare, CONSTRAINTS, spec())
    before, after = (net.run(as_tensors(weights), frames) for weights in (second.weights, trained.weights))
    assert torch.equal(before.output, after.output)


@pytest.mark.parametrize(("statistics", "measured"), [("measured", True), ("running", False)])
def test_statistics_of_norms_are_measured_again_unless_the_recipe_keeps_the_running_ones(
    tmp_path, monkeypatch, statistics, measured
) -> None:
    from deploytool.train.loop import descent

    seen = []
    plain = descent.calibrated
    monkeypatch.setattr(descent, "calibrated", lambda *given: seen.append(1) or plain(*given))
    run(tmp_path, limits=SIMULATED, method="mtt", draws=2, norm_statistics=statistics)
    assert bool(seen) == measured


@pytest.fixture
def descents(monkeypatch) -> list[tuple[Any, Any, Trained]]:
    """(task, initial weights, result) of every phase from here on."""
    seen = []
    plain = phases.descend

    def descend(descent, task, initial):
        trained = plain(descent, task, initial)
        seen.append((task, initial, trained))
        return trained

    monkeypatch.setattr(phases, "descend", descend)
    return seen


def test_the_method_begins_with_the_merged_base(tmp_path, descents):
    run(tmp_path, base=BASE, method="mtt", draws=2)
    (base, before, first), (method, initial, _) = descents
    assert (base.spec.method, base.spec.time_steps, base.spec.epochs, base.spec.learning_rate) == ("sdt", 3, 2, 0.02)
    assert (method.spec.method, method.spec.time_steps, method.spec.epochs) == ("mtt", 4, 4)
    assert before is None
    wanted = merged(first.weights, NORMED)
    assert all(initial[name].tobytes() == wanted[name].tobytes() for name in wanted)


def test_a_base_trains_in_real_numbers_and_the_method_in_the_chips(tmp_path, descents):
    run(tmp_path, base=BASE, limits=ConstraintsSection(weight_bits=4, fan_in=6, floor=-0.5))
    assert [task.constraints.weight_bits for task, _, _ in descents] == [32, 4]
    assert [task.constraints.fan_in for task, _, _ in descents] == [None, 6]
    assert [task.constraints.floor for task, _, _ in descents] == [-0.5, -0.5]


def test_time_inheritance_carries_weights_bit_for_bit(tmp_path, descents):
    keys = {"method": "tit", "tit": [[1, 2], [2, 1], [4, 2]], "epochs": 5, "loss": "tet"}
    trained = run(tmp_path, network=NETWORK, **keys)
    assert [(task.spec.time_steps, task.spec.epochs) for task, _, _ in descents] == [(1, 2), (2, 1), (4, 2)]
    for (_, _, before), (_, initial, _) in itertools.pairwise(descents):
        assert all(initial[name].tobytes() == before.weights[name].tobytes() for name in before.weights)
    assert [row["step_epochs"] for row in trained.history] == [1, 2, 4, 8, 12]
    assert trained.chosen_epoch >= 4


def test_time_inheritance_measures_batch_norms_at_each_number_of_steps(tmp_path):
    """What is returned has the statistics of its own weights at its own time steps."""
    keys = {"method": "tit", "tit": [[1, 1], [4, 1]], "epochs": 2}
    trained = run(tmp_path, limits=SIMULATED, **keys)
    assert_calibrated(trained, spec(**keys), epoch=1)


@pytest.mark.parametrize("keys", [{"method": "nmt"}, {"method": "mtt", "average": 0.9}, {"average": 0.9}])
def test_mixed_and_averaged_trainings_measure_batch_norms_anew(tmp_path, keys):
    trained = run(tmp_path, limits=SIMULATED, **keys)
    assert_calibrated(trained, spec(**keys), trained.chosen_epoch)


def assert_calibrated(trained: Trained, section, epoch: int) -> None:
    """Its statistics are those of its own weights, on the batches drawn for that in ``epoch`` of its phase."""
    net = SpikingNetwork(NORMED, SIMULATED, section)
    drawn = State(net, 0).generator("calibration", epoch)
    wanted = calibrated(net, as_tensors(trained.weights), TRAINING, drawn)
    assert len(wanted) == 4
    for name, value in wanted.items():
        np.testing.assert_allclose(trained.weights[name], value.numpy(), rtol=1e-6, err_msg=name)


def test_calibration_is_the_mean_over_batches_at_the_most_time_steps():
    section = spec(method="nmt", t_max=6, time_steps=3, batch=2)
    net = SpikingNetwork(NORMED, SIMULATED, section)
    weights = as_tensors(random_norms())
    found = calibrated(net, weights, TRAINING, torch.Generator().manual_seed(1))
    batches = [frames for frames, _ in TRAINING(6, 2, torch.Generator().manual_seed(1))][:CALIBRATION_BATCHES]
    measured = [net.run(weights, frames, measure=True).statistics for frames in batches]
    assert len(measured) == CALIBRATION_BATCHES
    for name, value in found.items():
        torch.testing.assert_close(value, torch.stack([each[name] for each in measured]).mean(0))


RESUMED = [
    {"base": BASE, "method": "mtt", "draws": 2, "average": 0.5, "epochs": 2, "warmup_steps": 3},
    {"method": "tit", "tit": [[1, 1], [2, 1], [4, 2]], "loss": "tet", "warmup_epochs": 0.5},
]


@pytest.mark.parametrize("keys", RESUMED)
@pytest.mark.parametrize("step", [4, 12, 17])
def test_phases_resume_where_they_were(tmp_path, keys, step):
    whole = run(tmp_path / "whole", **keys)

    def tick(done, _total, _note):
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", tick, **keys)
    ticks = []
    resumed = run(tmp_path / "parts", lambda done, total, _note: ticks.append((done, total)), **keys)
    assert ticks[0] == ((step - 1) // 5 * 5 + 1, 20)
    assert ticks[-1] == (20, 20)
    assert whole.history == resumed.history
    assert all(whole.weights[name].tobytes() == resumed.weights[name].tobytes() for name in whole.weights)


def test_every_stage_of_time_inheritance_follows_a_schedule_of_its_own(tmp_path):
    trained = run(tmp_path, method="tit", tit=[[1, 1], [2, 1], [4, 2]], learning_rate=0.01, warmup_epochs=0.5)
    of_stages = [Schedule(spec(epochs=epochs, learning_rate=0.01, warmup_epochs=0.5), 5) for epochs in (1, 2)]
    ends = [of_stages[0].rate(5), of_stages[0].rate(5), of_stages[1].rate(5), of_stages[1].rate(10)]
    assert [entry["learning_rate"] for entry in trained.history] == ends
    assert ends[2] > 0.005 > ends[3]
    with pytest.raises(RecipeError, match=r"^train.warmup_steps: found 7 of 5 steps; need fewer"):
        run(tmp_path, lambda *_: pytest.fail("no step"), method="tit", tit=[[1, 3], [4, 1]], warmup_steps=7)


def test_what_is_for_nothing_is_refused(tmp_path):
    with pytest.raises(
        RecipeError, match=r"train\.base: given, but \[network\] has no batchnorm layer; need one, or no"
    ):
        run(tmp_path, network=NETWORK, base=BASE)
    with pytest.raises(ValueError, match="tit: ends at 2 steps and has 3 epochs; need 4 steps and 4 epochs"):
        spec(method="tit", tit=[[1, 2], [2, 1]])
    assert ignored_keys({"method": "sdt", "tit": [[4, 4]]}) == ("tit",)
    assert ignored_keys({"method": "trev", "base": BASE}) == ("base",)


def test_a_checkpoint_with_a_variance_below_0_is_refused():
    state = State(SpikingNetwork(NORMED, SIMULATED, spec()), 0)
    found = state.checkpoint("key")
    (name, *_) = [name for name in found.arrays if name.startswith("mean/") and name.endswith(".variance")]
    with pytest.raises(ValueError, match=rf"{name} is below 0"):
        state.restore(replace(found, arrays={**found.arrays, name: -1 - found.arrays[name]}))
