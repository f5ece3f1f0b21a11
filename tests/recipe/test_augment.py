"""[train.augment], and its keys that may as well stand in [train]."""

from pathlib import Path

import pytest

from deploytool.base.errors import RecipeError
from deploytool.recipe import AugmentSection, TrainSection, load_recipe, parse_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
TRAIN = {"time_steps": 5, "epochs": 1, "batch": 8, "learning_rate": 1e-3}
GOOD = {
    "name": "small",
    "data": {"set": "digits-images"},
    "train": TRAIN,
    "network": {
        "input": [1, 8, 8],
        "layers": [
            {"type": "flatten"},
            {"type": "linear", "out": 10},
            {"type": "spike"},
        ],
    },
}


def test_shift_and_drop_mean_the_same_in_train() -> None:
    inside = TrainSection.model_validate({**TRAIN, "augment": {"shift": 2, "drop": 0.4, "flip": 0.5}})
    beside = TrainSection.model_validate({**TRAIN, "shift": 2, "drop": 0.4, "augment": {"flip": 0.5}})
    assert inside == beside
    assert inside.augment == AugmentSection(shift=2, drop=0.4, flip=0.5)
    assert TrainSection.model_validate({**TRAIN, "shift": 2, "augment": AugmentSection(flip=0.5)}).augment.shift == 2
    assert TrainSection.model_validate(inside.model_dump()) == inside
    assert load_recipe(RECIPES / "nmnist-nmt.toml").train.augment == AugmentSection(shift=2, drop=0.4)


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        (
            {"shift": 1, "augment": {"shift": 2}},
            "recipe: train.shift: set in both [train] and [train.augment]; need",
        ),
        ({"shift": -1}, "recipe: train.augment.shift: found -1; need a whole number, at least 0."),
        ({"augment": {"flip": 1.5}}, "recipe: train.augment.flip: found 1.5; need a number, from 0 to 1."),
        (
            {"augment": {"mirror": 1}},
            "recipe: train.augment.mirror: unknown key. Did you mean map.dvs.mirror?",
        ),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(train: dict[str, object], problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe({**GOOD, "train": {**TRAIN, **train}}, "recipe")
    assert str(caught.value).startswith(problem)


def test_images_injected_directly_are_for_training_only() -> None:
    direct = {**GOOD, "data": {"set": "digits-images", "coding": "direct"}}
    with pytest.raises(
        RecipeError, match=r"found 'direct'; need count or rate, because the program runs on events, or run.on = \[\]"
    ):
        parse_recipe(direct, "recipe")
    assert parse_recipe({**direct, "run": {"on": []}}, "recipe").data.coding == "direct"
