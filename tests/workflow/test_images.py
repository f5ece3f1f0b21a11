"""Image sets through the whole chain: by count onto the chip's emulator, injected directly for training only."""

from pathlib import Path

import pytest
from helpers.command import answer, invoke, refusal

RECIPE = """
name = "images"
[data]
set = "digits-images"
train_samples = 600
test_samples = 30
[network]
input = [1, 8, 8]
layers = [
    { type = "conv", out = 4, kernel = 3, padding = 1 }, { type = "spike" },
    { type = "flatten" }, { type = "linear", out = 10 }, { type = "spike" },
]
[train]
time_steps = 4
epochs = 5
batch = 20
learning_rate = 1e-2
[train.augment]
shift = 1
cutout = 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def test_images_by_count_run_on_the_chips_emulator(recipe: Path, tmp_path: Path) -> None:
    options = ("data.levels=4", 'run.on=["quantised", "emulator"]', "validate.min_accuracy=40")
    result = invoke(tmp_path, "pipeline", recipe, *(argument for option in options for argument in ("--set", option)))
    assert result.exit_code == 0, result.output


def test_images_injected_directly_are_learnt(recipe: Path, tmp_path: Path) -> None:
    result = invoke(tmp_path, "train", recipe, "--set", "data.coding=direct", "--set", "run.on=[]", "--json")
    assert answer(result)["validation_accuracy_percent"] > 40


def test_what_images_cannot_do_is_refused_before_training(recipe: Path, tmp_path: Path) -> None:
    for option, says in (
        ("data.coding=direct", "the program runs on events, or run.on = [] to train only"),
        ("network.input=[2, 8, 8]", "network.input: found [2, 8, 8]; need [1, 8, 8]"),
        ("train.augment.flip_polarity=0.5", "train.augment.flip_polarity: above 0 on a map of 1x8x8"),
    ):
        assert says in refusal(invoke(tmp_path, "train", recipe, "--set", option), 3)
