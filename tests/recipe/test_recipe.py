import re
import shlex
from pathlib import Path

import pytest

from deploytool.base.errors import RecipeError
from deploytool.data.sets.sources import DATASETS
from deploytool.recipe import Recipe, TrainSection, load_recipe
from deploytool.recipe.load import _options
from deploytool.recipe.train import ONLY_FOR

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
    return tuple(problem.replace(str(tmp_path), "") for problem in caught.value.sentences)


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
        "/recipe.toml:3: data.set: missing; need one of " + ", ".join(DATASETS) + ".",
        "/recipe.toml:8: network.layers.0.kernel: found 'three'; "
        "need a whole number from 1, or two, [vertical, horizontal].",
        "/recipe.toml:13: train.epochs: found 0; need a whole number, at least 1.",
        "/recipe.toml:14: train.epoch: unknown key. Did you mean epochs?",
    )


def test_a_syntax_error_says_where(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD + "\n[train\n")
    assert found == "/recipe.toml:17: not TOML: cannot declare ('train',) twice; need a recipe in TOML."


def test_all_lines_with_wrong_syntax_and_the_unknown_keys_of_the_others(tmp_path: Path) -> None:
    text = GOOD.replace('name = "small"', "name = small").replace("epochs = 1", "epochs 1\nepoch = 1\nshfit = 1")
    assert problems(tmp_path, text.replace("batch = 8", "batch = 8 8"), "train.x", "a=[1") == (
        "/recipe.toml:2: not TOML: invalid value; need a recipe in TOML.",
        "/recipe.toml:13: not TOML: expected '=' after a key in a key/value pair; need a recipe in TOML.",
        "/recipe.toml:16: not TOML: expected newline or end of document after a statement; need a recipe in TOML.",
        "--set train.x: not of the form key=value; need for example --set train.epochs=3.",
        "--set a=[1: not TOML: Unclosed array (at end of document); need a value in TOML.",
        "/recipe.toml:14: train.epoch: unknown key. Did you mean epochs?",
        "/recipe.toml:15: train.shfit: unknown key. Did you mean shift?",
    )


def test_a_heading_with_wrong_syntax_leaves_the_keys_below_it_alone(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD.replace("[train]", "[train"))
    assert found.startswith("/recipe.toml:11: not TOML: ")


def test_layers_are_pointed_at(tmp_path: Path) -> None:
    text = GOOD.replace('type = "conv", out = 4, kernel = 3', 'type = "cnov", out = 4, kernal = 3')
    text = text.replace('{ type = "linear", out = 10 }', '{ type = "linear", out = 10, from = "flaten1" }')
    assert problems(tmp_path, text) == (
        "/recipe.toml:8: network.layers.0.type: found 'cnov'; need one of conv, linear, batchnorm, spike, sumpool, "
        "avgpool, flatten, add. Did you mean conv?",
        "/recipe.toml:8: network.layers.0.kernal: unknown key. Did you mean kernel?",
        "/recipe.toml:9: network.layers.3: 'fc1' takes 'flaten1'; need an earlier layer: input, conv1, spike1, "
        "flatten1. Did you mean flatten1?",
        "/recipe.toml:9: network.layers.2: 'flatten1' feeds no layer; need every layer except the last to feed a later "
        "one.",
    )


def test_keys_of_other_sections_and_unknown_ones(tmp_path: Path) -> None:
    text = GOOD.replace("epochs = 1", 'epochs = 1\nweight_bits = 4\nzebra = 1\nmethod = "mttt"\ndevice = "x"')
    found = problems(tmp_path, text + "[constrains]\n", 'run.on=["emulater"]', "network.layers.1.nmae=x")
    assert [problem.partition(" Known keys: ")[0] for problem in found] == [
        "/recipe.toml:14: train.weight_bits: unknown key. Did you mean constraints.weight_bits?",
        "/recipe.toml:15: train.zebra: unknown key.",
        "/recipe.toml:16: train.method: found 'mttt'; need one of sdt, nmt, mtt, tit, ptl, trev, events. Did you mean "
        "mtt?",
        "/recipe.toml:17: train.device: found 'x'; need one of cpu, cuda, auto.",
        "/recipe.toml:20: constrains: unknown key. Did you mean constraints?",
        "--set run.on.0: found 'emulater'; need one of quantised, simulator, emulator. Did you mean emulator?",
        "--set network.layers.1.nmae: unknown key. Did you mean name?",
    ]
    assert {"epochs", "shift", "drop", "ptl"} <= set(found[1].split("Known keys: ")[1].rstrip(".").split(", "))


def test_problems_between_sections_come_with_those_of_a_section(tmp_path: Path) -> None:
    text = GOOD.replace("epochs = 1", "epochs = 1\nshift = 9").replace('set = "digits"', 'set = "digits"\nlevles = 2')
    assert problems(tmp_path, text.replace(', { type = "spike" },\n]', "]"), "seed=-1") == (
        "/recipe.toml:5: data.levles: unknown key. Did you mean levels?",
        "/recipe.toml:8: network.layers: the last layer is not a spike layer; need a spike layer, because only spikes "
        "leave the chip, or run.on = [] to train only.",
        "/recipe.toml:14: train.shift: found 9; need less than 8, the side of the map.",
        "--set seed: found -1; need a whole number, at least 0 and below 2,147,483,648.",
    )


@pytest.mark.parametrize("section", ["network", "data", "train", "run", "constraints", "map", "validate"])
@pytest.mark.parametrize("value", ["0.5", "true", "[]", "x"])
def test_a_value_in_place_of_a_section(tmp_path: Path, section: str, value: str) -> None:
    text = GOOD.replace("epochs = 1", "epochs = 1\n[validate]\nmin_accuracy = 1\nmax_accuracy_drop = 100")
    (found,) = (each for each in problems(tmp_path, text, f"{section}={value}") if "need a section" in each)
    assert found.startswith(f"--set {section}: found ")
    assert found.endswith(f"; need a section, [{section}].")


def test_what_a_method_ignores_is_said_in_one_line_and_changes_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    text = GOOD.replace("epochs = 1", "epochs = 1\nt_min = 9\ndraws = 2\nptl.bias = 'none'")
    (tmp_path / "r.toml").write_text(text)
    recipe = load_recipe(tmp_path / "r.toml", tell=said.append)
    assert said == [f"{tmp_path / 'r.toml'}: method sdt ignores train.t_min, train.draws, train.ptl."]
    assert recipe == load(tmp_path, GOOD)
    assert recipe.section("train") == load(tmp_path, GOOD).section("train")
    assert load_recipe(RECIPES / "nmnist-nmt.toml", ["train.method=sdt"]).train.t_min == 1
    with pytest.raises(RecipeError, match="t_min: found 99, above t_max 75"):
        load_recipe(RECIPES / "nmnist-nmt.toml", ["train.t_min=99"])


def test_keys_are_ignored_by_the_methods_that_their_descriptions_leave_out() -> None:
    for key, methods in ONLY_FOR.items():
        described = TrainSection.model_fields[key].description or ""
        if key != "base":
            assert set(re.findall(r"`(\w+)`", described.partition(":")[0].partition(" with ")[0])) == set(methods), key


def test_a_preset_on_the_command_line_takes_the_place_of_the_layers(tmp_path: Path) -> None:
    options = ("network.classes=10", "network.pool=sum")
    preset = load_recipe(RECIPES / "nmnist.toml", ["network.preset=nmnist", *options])
    assert preset.network == load_recipe(RECIPES / "nmnist.toml").network
    text = GOOD[: GOOD.index("layers")] + 'preset = "digits"\nclasses = 10\n' + GOOD[GOOD.index("[train]") :]
    layers = '[{type="flatten"}, {type="linear", out=10}, {type="spike"}]'
    assert len(load(tmp_path, text, f"network.layers={layers}").network.layers) == 3


def test_options_that_suit_a_preset_to_the_rest(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD, "network.preset=vgg9")
    assert found[-1].startswith("These options solve it: --set network.classes=10 --set ")
    assert "--set network.preset: the last layer is not a spike layer; need a spike layer" in "\n".join(found)
    options = shlex.split(found[-1].partition(": ")[2].replace("--set", ""))
    recipe = load(tmp_path, GOOD, "network.preset=vgg9", *options)
    assert recipe.network.ends_in_spikes
    assert set(options) == {"network.classes=10", "network.input=[2, 64, 64]", "network.spiking_output=true"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('type = "conv"', 'type = "cnv"'), "'cnv'"),
        (('{ type = "spike" },\n]', "]"), "the last layer is not a spike layer"),
        (("out = 4,", 'out = 4, name = "fc1",'), "two layers are named 'fc1'"),
        (
            ("epochs = 1", 'epochs = 1\nt_min = 9\nmethod = "nmt"'),
            ":14: train.t_min: found 9, above t_max 5; need t_min <= t_max.",
        ),
        (("epochs = 1", "epochs = 1\nshift = 8"), ":14: train.shift: found 8; need less than 8"),
        (
            ("epochs = 1", 'epochs = 1\nmethod = "trev"\ntrev.grouped = true'),
            "train.trev.grouped: found True without on",
        ),
        (("epochs = 1", 'epochs = 1\nmethod = "ptl"\nptl = 3'), "train.ptl: found 3; need a section, [train.ptl]"),
        (("epochs = 1", 'epochs = 1\nmethod = "tit"'), ":11: train.tit: missing with method tit; need [time steps"),
        (
            ("[train]", '[constraints]\nchip = "speck9"\n[train]'),
            "constraints.chip: found 'speck9'; need one of speck2e, ",
        ),
        (
            ("[train]", '[run]\non = ["simulator"]\n[map]\nsplit = false\n[train]'),
            "map: given, but run.on = ['simulator']",
        ),
        (
            ("[train]", "[map]\ncalibration_samples = 4\n[train]"),
            "map.calibration_samples: found 4 with quantise plain",
        ),
        (('name = "small"', 'name = "../x"'), "name: found '../x'"),
        (("batch = 8", 'batch = "eight"'), "train.batch: found 'eight'; need a whole number, at least 1."),
        (("batch = 8", "batch = 8\naverage = 1"), "train.average: found 1; need a number, at least 0 and below 1."),
        (("batch = 8", "batch = 8\naverage = nan"), "train.average: found nan; need a finite number."),
        (('set = "digits"', 'set = "digits"\nroot = 3'), "data.root: found 3; need text."),
        (("input = [2, 8, 8]", "input = [0, 8, 8]"), "network.input.0: found 0"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    found = problems(tmp_path, GOOD.replace(*change))
    assert sentence in found[0]
    assert all("These options solve it" in later for later in found[1:])


def test_overrides(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD, "train.epochs=7", "data.root=/some/folder", "map.pins.conv1=2")
    assert (recipe.train.epochs, recipe.data.root, recipe.map.pins) == (7, "/some/folder", {"conv1": 2})
    (found,) = problems(tmp_path, GOOD, "train.epochs=" + "9" * 5000)
    assert found.startswith("--set train.epochs: found '999")
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


def test_hundreds_of_problems_are_ten_sentences_and_a_number(tmp_path: Path) -> None:
    wrong = "".join(f'"\\u001bkey{number}\\n" = "{9 * str(number)}"\n' for number in range(300))
    (tmp_path / "recipe.toml").write_text(GOOD.replace("[train]", f"[train]\n{wrong}"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "recipe.toml")
    assert len(caught.value.problems) == 300
    assert len(caught.value.shown) == 11
    assert caught.value.shown[-1] == "290 more problems."
    assert all(sentence.isprintable() and len(sentence) <= 1000 for sentence in caught.value.sentences)


def test_solutions_that_are_too_many_for_a_sentence_are_counted() -> None:
    values = {("train", f"key{number}"): "a b" for number in range(100)}
    said = _options(values)
    assert said.startswith("--set 'train.key0=\"a b\"' --set ")
    assert said.count("--set") + int(said.split()[-2]) == 100
    assert len(said) < 1000
