"""Training: it learns, validation chooses, and a run that was cut off ends as if it had not been."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec

from deploytool.base.errors import ArtifactError, RecipeError
from deploytool.base.progress import Tick, no_progress
from deploytool.train import device
from deploytool.train.loop import descent
from deploytool.train.loop.checkpoint import load_checkpoint, save_checkpoint
from deploytool.train.loop.evaluate import evaluate
from deploytool.train.loop.schedule import Schedule
from deploytool.train.loop.state import State, chosen
from deploytool.train.methods.table import train
from deploytool.train.network import spiking
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.task import Task, Trained

TRAINING, VALIDATION = Sides(40, seed=1), Sides(16, seed=2)
NAMES = [f"sample {i}" for i in range(16)]
NET = SpikingNetwork(NETWORK, CONSTRAINTS, spec())


def run(folder: Path, tick: Tick = no_progress, seed: int = 0, **keys) -> Trained:
    return train(Task(NETWORK, CONSTRAINTS, spec(**keys), seed, TRAINING, VALIDATION, folder, tick))


def same(a: Trained, b: Trained) -> bool:
    weights = all(a.weights[name].tobytes() == b.weights[name].tobytes() for name in a.weights)
    return weights and a.history == b.history and a.chosen_epoch == b.chosen_epoch


def stop_at(step: int) -> Tick:
    def tick(done: int, _total: int, _note: str) -> None:
        if done == step:
            raise KeyboardInterrupt

    return tick


METHODS = [
    {},
    {"method": "nmt", "t_max": 4, "average": 0.9},
    {"method": "mtt", "optimizer": "sgd", "loss": "tet", "tet_lambda": 0.1, "rate_penalty": 1.0, "warmup_epochs": 1.3},
]


def test_the_mean_of_the_weights_follows_them(tmp_path):
    """One step of one batch: the mean is a weights_0 + (1 - a) weights_1, and at a = 0 it is weights_1."""
    whole = {"epochs": 1, "batch": 40}
    last = run(tmp_path / "last", **whole).weights
    first = run(tmp_path / "first", **whole, learning_rate=1e-30).weights
    mean = run(tmp_path / "mean", **whole, average=0.75).weights
    for name in last:
        assert not np.array_equal(first[name], last[name])
        np.testing.assert_allclose(mean[name], 0.75 * first[name] + 0.25 * last[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("keys", METHODS)
@pytest.mark.parametrize("step", [1, 12])
def test_interrupted_and_resumed_is_uninterrupted(tmp_path, keys, step):
    whole = run(tmp_path / "whole", **keys)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_at(step), **keys)
    ticks = []
    resumed = run(tmp_path / "parts", lambda done, total, _note: ticks.append((done, total)), **keys)
    assert ticks[0] == ((step - 1) // 5 * 5 + 1, 20)
    assert ticks[-1] == (20, 20)
    assert same(whole, resumed)


def test_finished_training_is_not_done_again(tmp_path):
    first = run(tmp_path)
    assert same(first, run(tmp_path, stop_at(20)))


def test_same_seed_same_weights_and_others_differ(tmp_path):
    first = run(tmp_path / "a")
    assert same(first, run(tmp_path / "b"))
    assert not same(first, run(tmp_path / "c", seed=1))


def test_it_learns_and_validation_chooses(tmp_path):
    trained = run(tmp_path, epochs=6)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert max(entry["validation_accuracy"] for entry in trained.history) >= 90
    assert trained.chosen_epoch == chosen(trained.history)
    recording = evaluate(NET, trained.weights, VALIDATION, NAMES)
    entry = trained.history[trained.chosen_epoch - 1]
    assert 100 * (recording.predictions == recording.labels).mean() == entry["validation_accuracy"]
    assert recording.synops.mean() == entry["validation_synops"]


def test_best_accuracy_then_lowest_loss_then_first():
    entries = [(90.0, 0.3), (95.0, 0.5), (95.0, 0.2), (95.0, 0.2), (80.0, 0.1)]
    history = [
        {"epoch": i, "validation_accuracy": accuracy, "validation_loss": loss}
        for i, (accuracy, loss) in enumerate(entries, start=1)
    ]
    assert chosen(history) == 3


def test_evaluation_counts_every_layer():
    weights = {"conv1": np.full((3, 2, 3, 3), 0.5, np.float32), "fc1": np.full((2, 27), 0.5, np.float32)}
    recording = evaluate(SpikingNetwork(NETWORK, CONSTRAINTS, spec(batch=5)), weights, VALIDATION, NAMES)
    assert recording.rung == "torch"
    assert {name: counts.shape for name, counts in recording.counts.items()} == {
        "conv1": (16, 3, 6, 6),
        "fc1": (16, 2, 1, 1),
    }
    assert recording.outputs == ("fc1",)
    assert recording.layer("spike2") == "fc1"
    assert recording.labels.tolist() == VALIDATION.labels.tolist()
    assert recording.counts["conv1"].min() > 0
    events_in = VALIDATION.counts.sum((0, 2, 3, 4)).numpy()
    assert (recording.synops < 27 * events_in + 2 * recording.counts["conv1"].sum((1, 2, 3)) + 1).all()


def test_training_on_the_same_data_costs_fewer_synops_under_a_penalty(tmp_path):
    plain, penalised = run(tmp_path / "a"), run(tmp_path / "b", rate_penalty=3000.0)
    assert penalised.history[-1]["validation_synops"] < plain.history[-1]["validation_synops"]


def test_a_loss_on_validation_samples_that_is_not_finite_is_one_sentence(tmp_path, monkeypatch):
    """The last step of an epoch may be the one that goes too far; the checkpoint of that epoch was a traceback."""
    real = descent.score
    monkeypatch.setattr(descent, "score", lambda *given: replace(real(*given), loss=float("nan")))
    with pytest.raises(RecipeError, match=r"train.learning_rate: at 0.005 the loss is nan on validation samples, in e"):
        run(tmp_path, epochs=2)
    assert not (tmp_path / "checkpoint.json").exists()


def test_weights_that_are_not_finite_after_an_epoch_are_one_sentence(tmp_path, monkeypatch):
    real = State.complete

    def overflows(state, entry):
        real(state, entry)
        with torch.no_grad():
            state.weights["conv1"][0] = torch.inf

    monkeypatch.setattr(State, "complete", overflows)
    with pytest.raises(RecipeError, match="train: weights/conv1 is not finite after epoch 1; need weights that stay"):
        run(tmp_path)
    assert not (tmp_path / "checkpoint.json").exists()


def test_divergence_is_one_sentence(tmp_path):
    class Broken(Sides):
        def __call__(self, *arguments):
            for frames, labels in super().__call__(*arguments):
                yield frames * torch.nan, labels

    with pytest.raises(RecipeError, match=r"^train.learning_rate: at 0.005 the loss is nan in epoch 1; need a rate"):
        train(Task(NETWORK, CONSTRAINTS, spec(), 0, Broken(8, 0), VALIDATION, tmp_path))


def test_checkpoint_of_another_recipe_is_overwritten(tmp_path):
    run(tmp_path, epochs=1)
    assert same(run(tmp_path), run(tmp_path / "new"))


def test_images_are_shown_for_as_many_steps_as_are_drawn(tmp_path, monkeypatch):
    """Direct coding at t steps is t times the image, and not its sum over bins."""
    seen = []

    class Images(Sides):
        def __call__(self, time_steps, *rest):
            for frames, labels in super().__call__(1, *rest):
                yield (frames / 12).expand(time_steps, *frames.shape[1:]), labels

    plain = SpikingNetwork.run

    def watched(net, weights, frames, steps=None, measure=False):
        if steps is not None:
            seen.append((len(frames), steps[0], bool((frames == frames[:1]).all())))
        return plain(net, weights, frames, steps, measure)

    monkeypatch.setattr(SpikingNetwork, "run", watched)
    train(Task(NETWORK, CONSTRAINTS, spec(method="nmt", epochs=1), 0, Images(40, 1), Images(8, 2), tmp_path))
    assert len({steps for _, steps, _ in seen}) > 1
    assert all(shown == steps and still for shown, steps, still in seen)


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_parts_of_a_batch_are_the_batch(tmp_path, parts):
    """Gradients of parts are added: the weights of whole batches, but for the order of sums."""
    once = {"epochs": 1, "rate_penalty": 1.0}
    whole, accumulated = run(tmp_path / "a", **once), run(tmp_path / "b", accumulate=parts, **once)
    for name in whole.weights:
        np.testing.assert_allclose(whole.weights[name], accumulated.weights[name], rtol=1e-4, atol=1e-6)
    assert whole.history[0]["loss"] == pytest.approx(accumulated.history[0]["loss"], rel=1e-5)


def test_patience_stops_and_resumes_alike(tmp_path):
    """No epoch is better than the first at a rate of nothing: two more are waited for."""
    still = {"learning_rate": 1e-30, "patience": 2, "epochs": 9}
    whole = run(tmp_path / "whole", **still)
    assert [entry["epoch"] for entry in whole.history] == [1, 2, 3]
    assert whole.chosen_epoch == 1
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_at(11), **still)
    assert same(whole, run(tmp_path / "parts", **still))
    assert same(whole, run(tmp_path / "parts", stop_at(1), **still))


def test_a_loss_that_grows_is_one_sentence(tmp_path):
    class Louder(Sides):
        rounds = 0

        def __call__(self, *arguments):
            self.rounds += arguments[2] is not None
            for frames, labels in super().__call__(*arguments):
                yield frames * 1000 ** (self.rounds - 1), 1 - labels if self.rounds > 1 else labels

    with pytest.raises(
        RecipeError,
        match=r"^train.learning_rate: at 0\.005 the loss is .*, 10 times that of the first epoch, in epoch 2;",
    ):
        train(Task(NETWORK, CONSTRAINTS, spec(), 0, Louder(40, 1), VALIDATION, tmp_path))


def test_every_epoch_is_told_once(tmp_path):
    told: list[float] = []
    best_so_far: list[float] = []
    continued: list[float] = []

    def observe(entry, best):
        told.append(entry["epoch"])
        best_so_far.extend([entry["epoch"]] * best)
        if len(told) == 2:
            raise KeyboardInterrupt

    def once(folder):
        task = Task(NETWORK, CONSTRAINTS, spec(), 0, TRAINING, VALIDATION, folder, observe=observe)
        return train(replace(task, resumed=lambda entry: continued.append(entry["epoch"])))

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path)
    assert continued == []
    trained = once(tmp_path)
    assert told == [1, 2, 3, 4]
    assert continued == [2]
    assert best_so_far[0] == 1
    assert best_so_far[-1] == trained.chosen_epoch


def test_the_learning_rate_changes_at_every_step(tmp_path, monkeypatch):
    used: list[float] = []

    def step(state, rate):
        used.append(rate)
        plain(state, rate)
        assert {group["lr"] for group in state.optimizer.param_groups} == {rate}

    plain = State.step
    monkeypatch.setattr(State, "step", step)
    trained = run(tmp_path, epochs=2, warmup_steps=3)
    schedule = Schedule(spec(epochs=2, warmup_steps=3), 5)
    assert used == [schedule.rate(number) for number in range(1, 11)]
    assert len({*used}) == 10
    assert [entry["learning_rate"] for entry in trained.history] == [used[4], used[9]]


def test_the_history_tells_rates_and_steps(tmp_path):
    trained = run(tmp_path, epochs=2)
    assert [entry["step_epochs"] for entry in trained.history] == [4, 8]
    recording = evaluate(NET, trained.weights, VALIDATION, NAMES)
    row = trained.history[trained.chosen_epoch - 1]
    for name, counts in recording.counts.items():
        assert row[f"rate/{name}"] == pytest.approx(counts.mean())
    mixed = run(tmp_path / "mixed", method="mtt", draws=3, epochs=1)
    assert 3 < mixed.history[0]["step_epochs"] < 12


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        RecipeError, match=r"train\.device: found 'cuda', but torch finds no GPU; need 'cpu', or 'auto'"
    ):
        run(tmp_path, device="cuda")
    with pytest.raises(RecipeError, match=r"train\.precision: found 'mixed' without a GPU; need 'single' on a CPU"):
        run(tmp_path, precision="mixed", device="auto")


def test_mixed_precision_learns_what_single_does(tmp_path, monkeypatch):
    """On a CPU, for want of a GPU: sums in bfloat16, neurons, losses and weights in float32."""
    monkeypatch.setattr(spiking, "device_of", lambda _: torch.device("cpu"))
    monkeypatch.setattr(device, "device_of", lambda _: torch.device("cpu"))
    mixed, single = run(tmp_path / "a", precision="mixed"), run(tmp_path / "b")
    assert all(array.dtype == np.float32 for array in mixed.weights.values())
    assert any(not np.array_equal(mixed.weights[name], single.weights[name]) for name in single.weights)
    assert mixed.history[-1]["loss"] < mixed.history[0]["loss"]
    assert mixed.history[0]["loss"] == pytest.approx(single.history[0]["loss"], rel=0.1)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("weights/conv1", np.zeros((1, 1, 1, 1), np.float32), "weights/conv1 has the shape"),
        ("optimizer/0/exp_avg", np.zeros(1, np.float32), r"optimizer/0 has the shape \(1,\), not"),
        ("mean/other", np.zeros(1, np.float32), "mean: arrays called"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, name: str, array: np.ndarray, says: str) -> None:
    """Its digests are right, and torch would broadcast one number over all weights."""
    run(tmp_path, epochs=2)
    stated = json.loads((tmp_path / "checkpoint.json").read_text())
    found = load_checkpoint(tmp_path, stated["key"])
    assert found is not None
    save_checkpoint(replace(found, arrays={**found.arrays, name: array}), tmp_path)
    with pytest.raises(ArtifactError, match=rf"checkpoint.json: not readable \({says}"):
        run(tmp_path, epochs=2)


@pytest.mark.parametrize(
    ("left_out", "says"),
    [
        ("validation_accuracy", "epoch 2 has no validation score"),
        *((name, f"an epoch of its history has no {name}") for name in ("validation_loss", "loss", "step_epochs")),
    ],
)
def test_a_checkpoint_with_an_epoch_that_lacks_a_figure_is_refused(tmp_path: Path, left_out: str, says: str) -> None:
    run(tmp_path, epochs=2)
    found = load_checkpoint(tmp_path, json.loads((tmp_path / "checkpoint.json").read_text())["key"])
    assert found is not None
    first, second = found.history
    kept = {name: value for name, value in second.items() if name != left_out}
    save_checkpoint(replace(found, history=(first, kept)), tmp_path)
    with pytest.raises(ArtifactError, match=rf"checkpoint.json: not readable \({says}\)"):
        run(tmp_path, epochs=2)
