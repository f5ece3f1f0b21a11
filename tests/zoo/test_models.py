"""The shipped models: every file is the one that was measured, small, and of the recipe beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

import deploytool
from deploytool.base.errors import ArtifactError
from deploytool.recipe import Recipe, load_recipe
from deploytool.store.artifact import open_artifact
from deploytool.zoo.models import BYTES_MAX, MODELS, ROOT, model_folder, name_of

PROJECT = Path(deploytool.__file__).parents[1]
DECIDES = ("seed", "data", "network", "constraints", "train")


def test_every_model_of_the_table_is_there_and_no_other() -> None:
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._"} == {*MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_file_has_its_digest_and_is_small(name: str) -> None:
    model = open_artifact(model_folder(name))
    assert model.kind == "model"
    assert {path.name for path in model.path.iterdir()} == {"manifest.json", *model.manifest.files}
    assert sum(path.stat().st_size for path in (ROOT / name).rglob("*") if path.is_file()) < BYTES_MAX


@pytest.mark.parametrize("name", MODELS)
def test_it_was_trained_by_the_recipe_that_it_names(name: str) -> None:
    """Whoever changes a recipe runs ``make models``."""
    recipe = load_recipe(PROJECT / MODELS[name].recipe)
    manifest = open_artifact(model_folder(name)).manifest
    trained = Recipe.model_validate({"name": name, **manifest.recipe})
    assert trained.section(*DECIDES) == recipe.section(*DECIDES)
    assert trained.data.root is None


def test_a_name_that_does_not_ship_is_refused_with_all_that_do() -> None:
    assert name_of("zoo:digits") == "digits"
    with pytest.raises(ArtifactError, match="zoo:digit: no such model ships; need zoo:digits, zoo:nmnist, zoo:ptl-dig"):
        name_of("zoo:digit")


def test_a_folder_without_its_model_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploytool.zoo.models.ROOT", tmp_path)
    with pytest.raises(ArtifactError, match="0 models; need the one model that ships"):
        model_folder("digits")
