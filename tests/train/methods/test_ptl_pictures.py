"""Progressive tandem learning of autoencoders: what is learnt is the picture, and what is recorded is its potential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import Sides, spec
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import RecipeError
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection, load_recipe
from deploytool.recipe.nodes import without_norms
from deploytool.train.loop.evaluate import evaluate
from deploytool.train.loop.losses import picture_loss
from deploytool.train.methods.ptl.state import State
from deploytool.train.methods.ptl.training import pretrained, train
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.outside import Outside
from deploytool.train.task import Task, Trained

RECIPES = Path(__file__).parents[3] / "recipes"
CHIP = ConstraintsSection(floor=None)
TRAINING, VALIDATION = Sides(40, seed=1), Sides(16, seed=2)
WHITE = Outside(white=8)
LAYERS: list[dict[str, Any]] = [
    {"type": "flatten"},
    {"type": "linear", "out": 6},
    {"type": "batchnorm"},
    {"type": "spike"},
    {"type": "linear", "out": 72},
]


def network(layers: list[dict[str, Any]]) -> NetworkSection:
    return NetworkSection.model_validate({"input": (2, 6, 6), "layers": layers})


NETWORK = network(LAYERS)


def mse(rate: float = 1e-3) -> TrainSection:
    section = {"stage_epochs": 3, "threshold_samples": 16, "stage_learning_rate": rate}
    return spec(method="ptl", loss="mse", epochs=6, learning_rate=0.02, ptl=section)


def task(folder: Path, rate: float = 1e-3, net: NetworkSection = NETWORK, outside: Outside = WHITE) -> Task:
    return Task(net, CHIP, mse(rate), 0, TRAINING, VALIDATION, folder, outside=outside)


def run(folder: Path, rate: float = 1e-3) -> Trained:
    return train(task(folder, rate))


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=9), st.floats(-1, 1))
def test_the_loss_is_nothing_at_the_picture_itself_and_its_mean_square_elsewhere(
    values: list[float], by: float
) -> None:
    pictures = torch.tensor([values], dtype=torch.float64)
    assert picture_loss(pictures.logit(), pictures) < 1e-20
    moved = pictures.logit() + by
    wanted = np.mean((1 / (1 + np.exp(-moved.numpy())) - pictures.numpy()) ** 2)
    assert float(picture_loss(moved, pictures)) == pytest.approx(wanted)


def test_what_is_recorded_are_the_potentials_of_the_picture_and_no_label(tmp_path: Path) -> None:
    """The sigmoid of T potentials is as far from the counts over white as the chosen epoch says."""
    found = run(tmp_path)
    chosen = found.history[found.chosen_epoch - 1]
    names = tuple(map(str, range(len(VALIDATION))))
    recording = evaluate(SpikingNetwork(without_norms(NETWORK), CHIP, mse()), found.weights, VALIDATION, names)
    pictures = VALIDATION.counts.sum(0).flatten(1).numpy() / 8
    restored = 1 / (1 + np.exp(-recording.potentials * mse().time_steps))
    assert ((restored - pictures) ** 2).mean() == pytest.approx(chosen["validation_loss"], rel=1e-4)
    assert (recording.labels == -1).all()
    assert recording.outputs == ()


def test_it_learns_and_claims_no_accuracy(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert not any("accuracy" in key for row in found.history for key in row)
    first, chosen = found.history[0], found.history[found.chosen_epoch - 1]
    assert chosen["validation_loss"] < 0.8 * first["validation_loss"]


class Ended:
    """The weights after every stage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.weights: dict[int, dict[str, bytes]] = {}
        next_stage = State.next_stage

        def ended(state: State) -> None:
            stage = state.stage
            next_stage(state)
            self.weights[stage] = {name: tensor.numpy().tobytes() for name, tensor in state.weights.items()}

        monkeypatch.setattr(State, "next_stage", ended)


def test_pretrained_is_the_network_that_stage_0_ends_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended(monkeypatch)
    found = run(tmp_path)
    tandem, weights = pretrained(task(tmp_path))
    assert {name: tensor.numpy().tobytes() for name, tensor in weights.items()} == ended.weights[0]
    counts = VALIDATION.counts.sum(0)
    loss = float(picture_loss(tandem.ann(weights, counts), counts.flatten(1) / 8))
    best = min(row["validation_loss"] for row in found.history if row["stage"] == 0)
    assert loss == pytest.approx(best, rel=1e-5)


def test_at_a_rate_of_0_the_stages_only_convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended(monkeypatch)
    run(tmp_path, rate=0)
    tandem, weights = pretrained(task(tmp_path))
    _, folded = tandem.folded(weights)
    for stage in (1, 2):
        assert ended.weights[stage] == {name: tensor.numpy().tobytes() for name, tensor in folded.items()}


def test_what_restores_no_picture_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        train(
            task(
                tmp_path,
                net=network([*LAYERS[:-1], {"type": "linear", "out": 5}, {"type": "spike"}]),
                outside=Outside(),
            )
        )
    for said in (
        "data.set: does not hold images; need a set of images with train.loss mse",
        "network.layers: the last is a spike layer; need none with train.loss mse",
        "network.layers: the last gives 5x1x1; need 72 values or a map of 2x6x6, as the input",
    ):
        assert said in str(caught.value)


def test_other_methods_restore_no_pictures() -> None:
    with pytest.raises(RecipeError, match=r"train\.loss: found mse with method sdt; need method ptl"):
        load_recipe(RECIPES / "digits.toml", ["train.loss=mse"])
