"""Training: it learns, validation chooses, and a run that was cut off ends as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from train.tiny import CONSTRAINTS, NETWORK, Sides, spec

from deploytool.errors import ArtifactError, RecipeError
from deploytool.progress import Tick, no_progress
from deploytool.train.checkpoint import NAME, Checkpoint, load_checkpoint, save_checkpoint
from deploytool.train.evaluate import evaluate
from deploytool.train.loop import Trained, chosen, learning_rate
from deploytool.train.methods import train

TRAINING, VALIDATION = Sides(40, seed=1), Sides(16, seed=2)


def run(folder: Path, tick: Tick = no_progress, seed: int = 0, **keys) -> Trained:
    return train(NETWORK, CONSTRAINTS, spec(**keys), TRAINING, VALIDATION, seed, folder, tick)


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
    {"method": "mtt", "optimizer": "sgd", "loss": "tet", "tet_lambda": 0.1, "rate_penalty": 1.0},
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
    recording = evaluate(
        trained.weights, NETWORK, CONSTRAINTS, spec(), VALIDATION, [f"sample {i}" for i in range(16)]
    )  # fmt: skip
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
    recording = evaluate(weights, NETWORK, CONSTRAINTS, spec(batch=5), VALIDATION, [str(i) for i in range(16)])
    assert recording.rung == "torch"
    assert {name: counts.shape for name, counts in recording.counts.items()} == {
        "conv1": (16, 3, 6, 6), "fc1": (16, 2, 1, 1),
    }  # fmt: skip
    assert recording.outputs == ("fc1",)
    assert recording.layer("spike2") == "fc1"
    assert recording.labels.tolist() == VALIDATION.labels.tolist()
    assert recording.counts["conv1"].min() > 0
    events_in = VALIDATION.counts.sum((0, 2, 3, 4)).numpy()
    assert (recording.synops < 27 * events_in + 2 * recording.counts["conv1"].sum((1, 2, 3)) + 1).all()


def test_training_on_the_same_data_costs_fewer_synops_under_a_penalty(tmp_path):
    plain, penalised = run(tmp_path / "a"), run(tmp_path / "b", rate_penalty=3000.0)
    assert penalised.history[-1]["validation_synops"] < plain.history[-1]["validation_synops"]


def test_divergence_is_one_sentence(tmp_path):
    class Broken(Sides):
        def __call__(self, *arguments):
            for frames, labels in super().__call__(*arguments):
                yield frames * torch.nan, labels

    with pytest.raises(RecipeError, match=r"^train.learning_rate: at 0.005 the loss is nan in epoch 1; need a rate"):
        train(NETWORK, CONSTRAINTS, spec(), Broken(8, 0), VALIDATION, 0, tmp_path)


def test_learning_rates():
    assert [learning_rate(spec(learning_rate=1.0, epochs=2, schedule="constant"), e) for e in (1, 2)] == [1, 1]
    cosine = [learning_rate(spec(learning_rate=1.0, epochs=4), e) for e in (1, 2, 3, 4)]
    assert cosine[0] == 1
    assert cosine[2] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True)


def checkpoint(epochs: int, value: float = 0.0) -> Checkpoint:
    return Checkpoint("key", tuple({"epoch": e + 1} for e in range(epochs)), {"weights/a": np.full(3, value)})


def test_checkpoints_replace_each_other(tmp_path):
    assert load_checkpoint(tmp_path, "key") is None
    for epochs in (1, 2):
        save_checkpoint(checkpoint(epochs, epochs), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "epoch-2.safetensors"]
    found = load_checkpoint(tmp_path, "key")
    assert found is not None
    assert len(found.history) == 2
    assert found.group("weights")["a"].tolist() == [2, 2, 2]
    assert load_checkpoint(tmp_path, "another key") is None


@pytest.mark.parametrize("kept", [0, 1])
def test_killed_while_saving_leaves_the_one_before(tmp_path, monkeypatch, kept):
    """``kept`` of the two files of the second checkpoint reach their place before the end comes."""
    save_checkpoint(checkpoint(1, 1), tmp_path)
    moved = []

    def replace(source: Path, target: Path) -> None:
        if len(moved) == kept:
            raise KeyboardInterrupt
        moved.append(target)
        source.rename(target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(checkpoint(2, 2), tmp_path)
    found = load_checkpoint(tmp_path, "key")
    assert found is not None
    assert found.group("weights")["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("damage", ["not json", "{}", json.dumps({"key": "key", "history": [], "tensors": "gone"})])
def test_damaged_checkpoint_is_refused(tmp_path, damage):
    (tmp_path / NAME).write_text(damage)
    with pytest.raises(ArtifactError, match=r"checkpoint.json: not readable .* to train from the start"):
        load_checkpoint(tmp_path, "key")


def test_checkpoint_of_another_recipe_is_overwritten(tmp_path):
    run(tmp_path, epochs=1)
    assert same(run(tmp_path), run(tmp_path / "new"))


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        save_checkpoint(checkpoint(1), tmp_path / "file")
