from pathlib import Path

import pytest

from deploytool.base.errors import RecipeError
from deploytool.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"

GOOD = """
name = "small"
[data]
set = "digits"
[network]
input = [2, 8, 8]
layers = [
    { type = "conv", out = 4, kernel = 3 }, { type = "spike" },
    { type = "flatten" }, { type = "linear", out = 10 }, { type = "spike" },
]
[train]
time_steps = 5
epochs = 1
batch = 8
learning_rate = 1e-3
"""


def load(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return load_recipe(path, overrides)


def problems(tmp_path: Path, text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text, *overrides)
    assert caught.value.exit_code == 3
    return tuple(problem.replace(str(tmp_path), "") for problem in caught.value.problems)


def test_a_recipe_names_its_layers(tmp_path: Path) -> None:
    names = [name for name, _ in load(tmp_path, GOOD).network.named_layers()]
    assert names == ["conv1", "spike1", "flatten1", "fc1", "spike2"]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.name)
def test_every_recipe_loads(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_all_errors_at_once_each_with_its_path(tmp_path: Path) -> None:
    text = GOOD.replace("epochs = 1", "epochs = 0\nepoch = 3").replace("kernel = 3", 'kernel = "three"')
    found = problems(tmp_path, text.replace('set = "digits"', ""))
    assert found == (
        "/recipe.toml: data.set: missing; need a value.",
        "/recipe.toml: network.layers.0.kernel: found 'three'; "
        "need a whole number from 1, or two, [vertical, horizontal].",
        "/recipe.toml: train.epochs: found 0; need greater than or equal to 1.",
        "/recipe.toml: train.epoch: unknown key; need a key of the section. Known keys: " + found[3].split("keys: ")[1],
    )
    assert "epochs" in found[3]


def test_a_syntax_error_says_where(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD + "\n[train\n")
    assert "not TOML" in found
    assert "line" in found


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('type = "conv"', 'type = "cnv"'), "'cnv'"),
        (('{ type = "spike" },\n]', "]"), "the last layer is not a spike layer"),
        (("out = 4,", 'out = 4, name = "fc1",'), "two layers are named 'fc1'"),
        (("epochs = 1", "epochs = 1\nt_min = 9"), "t_min 9 is above t_max 5"),
        (("epochs = 1", "epochs = 1\nshift = 8"), "train.augment.shift: found 8; need less than 8"),
        (("epochs = 1", 'epochs = 1\nptl.bias = "none"'), "section [train.ptl] with method sdt; need method ptl"),
        (("epochs = 1", 'epochs = 1\ntrev.on = ["spike1"]'), "section [train.trev] with method sdt; need method trev"),
        (("epochs = 1", 'epochs = 1\nmethod = "trev"\ntrev.grouped = true'), "grouped is True without on"),
        (("epochs = 1", "epochs = 1\nptl = 3"), "train.ptl: found 3; need a section, [train.ptl]"),
        (
            ("[train]", '[constraints]\nchip = "speck9"\n[train]'),
            "constraints.chip: found 'speck9'; need one of speck2e, ",
        ),
        (
            ("[train]", '[run]\non = ["simulator"]\n[map]\nsplit = false\n[train]'),
            "map: given, but run.on = ['simulator']",
        ),
        (("[train]", "[map]\ncalibration_samples = 4\n[train]"), "map: calibration_samples is 4 with quantise plain"),
        (('name = "small"', 'name = "../x"'), "name: found '../x'"),
        (("input = [2, 8, 8]", "input = [0, 8, 8]"), "network.input.0: found 0"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    (found,) = problems(tmp_path, GOOD.replace(*change))
    assert sentence in found


def test_overrides(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD, "train.epochs=7", "data.root=/some/folder", "map.pins.conv1=2")
    assert (recipe.train.epochs, recipe.data.root, recipe.map.pins) == (7, "/some/folder", {"conv1": 2})
    (found,) = problems(tmp_path, GOOD, "train.epochs=" + "9" * 5000)
    assert found.startswith("/recipe.toml: train.epochs: found '999")
    assert len(found) < 300
    assert "not of the form key=value" in problems(tmp_path, GOOD, "train.epochs")[0]
    assert "name is not a section" in problems(tmp_path, GOOD, "name.x=1")[0]


def test_a_missing_recipe_is_one_sentence(tmp_path: Path) -> None:
    for name in ("none.toml", "C:\\none.toml", "a\0b", "model-1a2b"):
        with pytest.raises(RecipeError, match=r"no such file; need a recipe in TOML"):
            load_recipe(tmp_path / name)
    with pytest.raises(RecipeError, match=r"cannot be read \(Is a directory\)"):
        load_recipe(tmp_path)


@pytest.mark.parametrize("number", ["1e300", "-1e31", "1" + "0" * 40])
def test_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path, number: str) -> None:
    (problem,) = problems(tmp_path, GOOD, f"train.tet_phi={number}")
    assert "train.tet_phi" in problem
    assert "need a number that float32 can hold, at most 1e+30" in problem
