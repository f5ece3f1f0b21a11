"""The figures of the shipped models: complete, consistent, and about the model that they lie beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.ir.recording import RUNGS
from deploytool.recipe import load_recipe
from deploytool.store.artifact import open_artifact
from deploytool.zoo.figures import FILE, VERSION, read_figures, write_figures
from deploytool.zoo.models import MODELS, ROOT, model_folder


@pytest.mark.parametrize("name", MODELS)
def test_the_figures_are_of_the_model_beside_them(name: str) -> None:
    figures = read_figures(ROOT / name)
    assert figures.version == VERSION
    assert figures.model == open_artifact(model_folder(name)).digest
    assert {*figures.measured_with} == {"Python", "deploytool", "numpy", "numba", "torch"}
    assert figures.measured_on
    assert figures.training_samples > 0


@pytest.mark.parametrize("name", MODELS)
def test_every_rung_is_measured_or_says_that_it_was_not_run(name: str) -> None:
    figures = read_figures(ROOT / name)
    assert [rung.rung for rung in figures.rungs] == list(RUNGS)
    for rung in figures.rungs:
        assert (rung.status == "run") == (rung.rung != "board")
        if rung.status == "run":
            assert rung.right is not None
            assert rung.synops is not None
            assert rung.accuracy == pytest.approx(100 * rung.right / rung.samples, abs=1e-3)
        else:
            assert (rung.right, rung.accuracy, rung.synops, rung.samples) == (None, None, None, 0)
    assert len({rung.samples for rung in figures.rungs if rung.status == "run"}) == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_as_good_as_its_recipe_requires(name: str) -> None:
    limits, figures = load_recipe(ROOT.parents[1] / MODELS[name].recipe).validation, read_figures(ROOT / name)
    trained, chip = figures.rung("torch").accuracy, figures.rung("emulator").accuracy
    assert trained is not None
    assert chip is not None
    assert chip >= limits.stated["min_accuracy"]
    assert trained - chip <= limits.stated["max_accuracy_drop"]


def test_figures_come_back_as_they_were_written(tmp_path: Path) -> None:
    figures = read_figures(ROOT / "digits")
    write_figures(figures, tmp_path)
    assert read_figures(tmp_path) == figures
    assert (tmp_path / FILE).read_bytes() == (ROOT / "digits" / FILE).read_bytes()


@pytest.mark.parametrize("key", ["rungs", "measured_with", "model"])
def test_figures_without_a_key_or_with_another_are_refused(tmp_path: Path, key: str) -> None:
    stored = json.loads((ROOT / "digits" / FILE).read_bytes())
    (tmp_path / FILE).write_text(json.dumps({**stored, "other": 1}))
    with pytest.raises(ArtifactError, match="other"):
        read_figures(tmp_path)
    del stored[key]
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(ArtifactError, match=key):
        read_figures(tmp_path)
