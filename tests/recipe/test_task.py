"""[task]: what goes with values and what with classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploytool.base.errors import RecipeError
from deploytool.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def saccades(*overrides: str) -> Recipe:
    return load_recipe(RECIPES / "saccades.toml", overrides)


def test_values_are_learnt_by_their_squared_error() -> None:
    recipe = saccades()
    assert recipe.train.loss == "mse"
    assert recipe.task.window_us == 25_000
    assert recipe.of_training["task"] == {"kind": "regress", "decode": "rate", "window_ms": 25.0}
    assert saccades("train.loss=tet").train.loss == "tet"


def test_a_recipe_of_classes_is_trained_as_before() -> None:
    assert "task" not in load_recipe(RECIPES / "digits.toml").of_training


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["train.method=trev"], "train.method: found 'trev', which learns no decoder; need sdt, nmt, mtt, tit"),
        (["train.loss=tet-prefix"], "train.loss: found 'tet-prefix', a loss of classes; need mse or tet for values"),
        (
            ["train.logits=mean"],
            "train.logits: found 'mean'; need sum for values, which a decoder reads from the number of spikes in",
        ),
        (["train.loss=ce"], "train.loss: found 'ce', a loss of classes; need mse or tet for values"),
        (["train.augment.flip=0.5"], r"train.augment.flip: above 0; need 0 for values"),
        (["train.augment.rotate=5"], r"train.augment.rotate: above 0; need 0 for values"),
        (["train.augment.scale=0.1"], r"train.augment.scale: above 0; need 0 for values"),
        (["train.augment.shear=0.1"], r"train.augment.shear: above 0; need 0 for values"),
        (["train.augment.flip_vertical=1"], r"train.augment.flip_vertical: above 0; need 0 for values"),
        (["task.decode=potential"], "network.layers: the last layer is a spike layer; need a layer that never fires"),
        (["validate.min_accuracy=90"], "validate.min_accuracy: given with task.kind 'regress'"),
        (["task={kind='classify', window_ms=5}"], "task.window_ms: given with kind classify; need kind regress"),
        (["task={kind='classify'}"], "validate.min_r2|validate.max_rmse_rise: given with task.kind 'classify'"),
    ],
)
def test_what_does_not_go_together_is_refused(overrides: list[Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        saccades(*overrides)
