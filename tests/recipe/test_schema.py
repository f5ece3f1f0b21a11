"""The JSON schema says what the reader of recipes takes, and the file that ships is this schema."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deploytool.chip.chips import chip_names
from deploytool.data.sets.sources import DATASETS
from deploytool.recipe.presets.table import PRESETS
from deploytool.recipe.schema import FILE, keys_at, recipe_schema, schema_text, sections_with
from deploytool.train.methods.table import METHODS

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
VALIDATOR = Draft202012Validator(recipe_schema())


def test_the_file_that_ships_is_current() -> None:
    now = "deploytool show schema > deploytool/recipe/recipe.schema.json"
    assert FILE.read_text(encoding="utf-8") == schema_text(), f"Run: {now}"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(recipe_schema())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_that_ships_is_valid_and_names_the_schema(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))]
    first = text.splitlines()[0]
    assert first.startswith("#:schema ")
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == FILE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs = 25", "epoch = 25"),
        ("epochs = 25", "epochs = 0"),
        ('method = "sdt"', 'method = "std"'),
        ('chip = "speck2e"', 'chip = "speck9"'),
        ('set = "digits"', 'set = "digit"'),
        ('{ type = "flatten" }', '{ type = "flat" }'),
        ("kernel = 3, padding", "kernel = [3], padding"),
        ("input = [2, 16, 16]", "input = [2, 16, 16]\npreset = 'digits'"),
        ("shift = 1", "shift = -1"),
    ],
)
def test_mistakes_are_marked(old: str, new: str) -> None:
    text = (ROOT / "recipes" / "digits.toml").read_text(encoding="utf-8")
    assert old in text
    assert list(VALIDATOR.iter_errors(tomllib.loads(text.replace(old, new))))


def test_a_preset_takes_the_place_of_layers() -> None:
    values = tomllib.loads((ROOT / "recipes" / "digits.toml").read_text(encoding="utf-8"))
    values["network"] = {"input": [2, 16, 16], "preset": "digits", "classes": 10, "spiking_output": True}
    assert not list(VALIDATOR.iter_errors(values))
    del values["network"]["preset"]
    assert list(VALIDATOR.iter_errors(values))


def described(schema: Any) -> None:
    """Every key has a meaning."""
    for name, section in schema["$defs"].items():
        for key, field in section["properties"].items():
            if key != "type":
                assert field.get("description"), f"{name}.{key}"


def test_keys_have_meanings_and_names_are_those_of_the_tables() -> None:
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    described(schema)
    sections = schema["$defs"]
    assert sections["DataSection"]["properties"]["set"]["enum"] == list(DATASETS)
    assert sections["NetworkSection"]["properties"]["preset"]["enum"] == list(PRESETS)
    assert set(sections["TrainSection"]["properties"]["method"]["enum"]) == set(METHODS)
    assert sections["ConstraintsSection"]["properties"]["chip"]["enum"] == list(chip_names())
    assert sections["TrainSection"]["properties"]["epochs"]["minimum"] == 1
    assert sections["ConstraintsSection"]["properties"]["weight_bits"]["default"] == 8


def test_the_keys_of_a_section() -> None:
    assert {"epochs", "shift", "drop", "ptl"} <= set(keys_at(("train",)))
    assert {"input", "layers", "preset", "classes", "spiking_output"} <= set(keys_at(("network",)))
    assert "kernel" in keys_at(("network", "layers", 3, "conv"))
    assert "kernel" not in keys_at(("network", "layers", 3, "spike"))
    assert keys_at(("train", "epochs")) == ()
    assert keys_at(("map", "pins")) == ()
    assert keys_at(()) == tuple(recipe_schema()["properties"])
    assert list(sections_with("weight_bits")) == ["constraints"]
    assert list(sections_with("cutout")) == ["train.augment"]
