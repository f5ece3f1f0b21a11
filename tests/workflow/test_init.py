"""What init writes is a recipe that check and train accept, for every kind of data and every network by name."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from helpers.command import answer, invoke, refusal
from jsonschema import Draft202012Validator
from PIL import Image

from deploytool.base.errors import FitError
from deploytool.data.sets.sources import DATASETS
from deploytool.ir.events import EVENT
from deploytool.recipe import Recipe, load_recipe
from deploytool.recipe.presets.table import PRESETS
from deploytool.recipe.schema import recipe_schema
from deploytool.workflow.init import _sets_for, init
from deploytool.workflow.preflight import TRAINABLE, refuse_impossible

NAMED = [name for name in PRESETS if next(_sets_for(name, PRESETS[name]), None)]
FITTING = ("digits", "nmnist", "dvsgesture")


def written(tmp_path: Path, *options: object) -> Recipe:
    """The recipe that init writes, which train accepts; every key has a comment, and the schema knows it."""
    path = tmp_path / "written.toml"
    shown = answer(invoke(tmp_path, "init", *options, "--output", path, "--json"))
    assert shown["recipe"] == str(path)
    text = path.read_text(encoding="utf-8")
    assert not list(Draft202012Validator(recipe_schema()).iter_errors(tomllib.loads(text)))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if "=" in line and line[0] not in "# ]":
            assert "# " in line or lines[number - 1].startswith("# "), line
    return load_recipe(path, rules=TRAINABLE)


def passes_check(tmp_path: Path) -> None:
    result = invoke(tmp_path, "check", tmp_path / "written.toml", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["fits"] is True


def pictures(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        (folder / name).mkdir(parents=True)
        for index in range(12):
            Image.fromarray(generator.integers(0, 255, (60, 90, 3), np.uint8)).save(folder / name / f"{index}.png")
    return folder


def recordings(folder: Path, side: int = 64, last_us: int = 200_000) -> Path:
    generator = np.random.default_rng(0)
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            events = np.zeros(50, EVENT)
            events["c"] = generator.integers(0, 2, 50)
            events["t"] = np.sort(generator.integers(0, last_us, 50))
            events["t"][[0, -1]] = 0, last_us
            events["x"], events["y"] = generator.integers(0, side, (2, 50))
            events["x"][0] = events["y"][0] = side - 1
            np.save(folder / name / f"{index}.npy", events)
    return folder


def test_the_digits_without_options(tmp_path: Path) -> None:
    recipe = written(tmp_path)
    assert (recipe.data.set, recipe.network.input) == ("digits", (2, 16, 16))
    assert recipe.train.epochs == 37
    passes_check(tmp_path)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    recipe = written(tmp_path, "--from", pictures(tmp_path / "pets"))
    assert (recipe.name, recipe.data.set, recipe.data.root) == ("pets", "imagefolder", str(tmp_path / "pets"))
    assert recipe.data.size == (21, 32)
    assert recipe.network.input == (3, 21, 32)
    assert recipe.train.batch == 8
    text = (tmp_path / "written.toml").read_text(encoding="utf-8")
    assert "# Data: 33 pictures for training, 3 classes (cat, dog, owl), about 60x90; scaled to 21x32." in text
    assert max(map(len, text.splitlines())) <= 120
    passes_check(tmp_path)


def test_a_folder_of_recordings(tmp_path: Path) -> None:
    recipe = written(tmp_path, "--from", recordings(tmp_path / "my moves"))
    assert (recipe.name, recipe.data.set) == ("my-moves", "events")
    assert recipe.network.input == (2, 64, 64)
    assert (recipe.data.sensor, recipe.data.size, recipe.data.window_ms) == ((64, 64), None, None)
    text = (tmp_path / "written.toml").read_text(encoding="utf-8")
    found = "recordings for training, 2 classes (left, right), of a camera of 64x64, about 200 ms and 50 events each."
    assert found in text.replace("\n# ", " ")
    passes_check(tmp_path)


def test_long_recordings_of_a_large_camera(tmp_path: Path) -> None:
    recipe = written(tmp_path, "--from", recordings(tmp_path / "hall", side=300, last_us=5_000_000))
    assert recipe.network.input == (2, 96, 128)
    assert (recipe.data.size, recipe.data.window_ms) == ((96, 128), 500)
    passes_check(tmp_path)


def test_a_data_set_that_is_known(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        for label in range(10):
            folder = tmp_path / "sets" / "NMNIST" / part / str(label)
            folder.mkdir(parents=True)
            (folder / "0.bin").write_bytes(bytes([label, 1, 0x80, 1, 0]))
    recipe = written(tmp_path, "--from", tmp_path / "sets")
    assert (recipe.name, recipe.data.set, recipe.network.input) == ("nmnist", "nmnist", (2, 34, 34))
    passes_check(tmp_path)


@pytest.mark.parametrize("name", NAMED)
def test_networks_by_name(tmp_path: Path, name: str) -> None:
    recipe = written(tmp_path, "--preset", name)
    assert recipe.name == name
    assert DATASETS[recipe.data.set].shape[0] == recipe.network.input[0]
    refuse_impossible(recipe)
    if name in FITTING:
        passes_check(tmp_path)
    else:
        only_trained = name == "autoencoder" or name.startswith("trevsnn")
        assert recipe.run.on == (() if only_trained else ("simulator",))


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    says = refusal(invoke(tmp_path, "init", "--preset", "separation"), 2)
    assert says.startswith(
        "--preset separation: no data set has its input of 512x1x3199; need a preset that one has: dig"
    )
    assert "Did you mean vgg9?" in refusal(invoke(tmp_path, "init", "--preset", "vgg-9"), 2)
    assert "both given" in refusal(invoke(tmp_path, "init", "--preset", "vgg9", "--from", tmp_path), 2)
    assert "no such folder" in refusal(invoke(tmp_path, "init", "--from", tmp_path / "none"), 5)
    assert "neither recordings nor pictures" in refusal(invoke(tmp_path, "init", "--from", tmp_path), 5)
    for name in ("left", "right"):
        (tmp_path / "few" / name).mkdir(parents=True)
        np.save(tmp_path / "few" / name / "only.npy", np.zeros(5, EVENT))
    says = refusal(invoke(tmp_path, "init", "--from", tmp_path / "few"), 5)
    assert "no recordings for test" in says
    assert says.rstrip().endswith("Add recordings: a class needs at least two.")
    assert not (tmp_path / "recipe.toml").exists()


def test_a_file_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.toml").write_text("mine")
    assert "recipe.toml: exists; need another name" in refusal(invoke(tmp_path, "init"), 2)
    assert Path("recipe.toml").read_text() == "mine"
    answer(invoke(tmp_path, "init", "--force", "--json"))
    assert load_recipe(Path("recipe.toml")).name == "digits"
    assert "cannot be written" in refusal(invoke(tmp_path, "init", "-o", tmp_path / "no" / "r.toml"), 2)


def test_data_without_a_network_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploytool.workflow.init.WIDTHS", {0: ((512, 2048),)})
    with pytest.raises(FitError):
        init(recordings(tmp_path / "wide"))
