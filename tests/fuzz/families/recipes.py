"""Recipes as TOML files and values of --set: hostile ones, and plausible ones that `check` takes to their end."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from helpers.command import RECIPE

from deploytool.base.json_text import canonical_json
from deploytool.recipe.load import load_recipe
from deploytool.recipe.toml import write_toml
from deploytool.workflow.check import at_rate, check_recipe
from deploytool.workflow.preflight import untrainable
from deploytool.workflow.sources.networks import recipe_geometry
from tests.fuzz.damage import damaged
from tests.fuzz.family import Family
from tests.fuzz.values import SCALARS, at, changed, places

ROOT: Final = Path(__file__).parents[3] / "recipes"


@cache
def _seeds(pattern: str = "**/*.toml") -> tuple[str, ...]:
    """A small recipe, and those of the project that ``pattern`` names; with "*.toml" those are few that fit no chip."""
    found = sorted(path for path in ROOT.glob(pattern) if path.parent.name != "claims")
    return (RECIPE, *(path.read_text(encoding="utf-8") for path in found))


def _toml(random: Random, folder: Path) -> Path:
    path = folder / "recipe.toml"
    text = random.choice(_seeds())
    how = random.random()
    if how < 0.2:
        path.write_bytes(damaged(random, text.encode()))
    elif how < 0.3:
        path.write_text(text + _literal(random), encoding="utf-8")
    else:
        path.write_bytes(_written(changed(random, tomllib.loads(text))).encode("utf-8", "surrogatepass"))
    return path


def _literal(random: Random) -> str:
    """A line with a value that TOML may have and Python's values hardly say."""
    return "\n" + random.choice(
        (
            "extra = " + "9" * 5000,
            "extra = " + "[" * random.choice((50, 500, 5000)) + "]" * 50,
            "[a" + ".a" * random.choice((50, 2000)) + "]\nb = 1",
            "extra = 1e999999",
            "extra = 1979-05-27T07:32:00Z",
            'extra = "\\u0000"',
            "seed = 0x" + "f" * 400,
            "[data]\nroot = '~nosuchuser/data'",
        )
    )


def _written(values: Any) -> str:
    """``values`` as TOML, also those that the project never writes."""
    try:
        return write_toml(values)
    except Exception:  # values that no recipe has are written in a plainer way
        if not isinstance(values, dict):
            return json.dumps(str(values)[:1000])
        return "".join(f"{json.dumps(str(key))} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any, depth: int = 0) -> str:
    if depth > 150:
        return "0"
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(str(key))} = {_value(item, depth + 1)}" for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item, depth + 1) for item in value)}]"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**40:
        return "1" + "0" * 400
    return "nan" if value is None else json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def _set(random: Random, folder: Path) -> Path:
    """A valid recipe, and beside it the values of --set, one a line."""
    path = folder / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    known = [".".join(map(str, place)) for place in places(tomllib.loads(RECIPE)) if place]
    lines = []
    for _ in range(random.choice((1, 1, 2))):
        key = random.choice(
            (*known, "train.ptl.bias", "data.root", "a.b", "", ".", "network.layers.99.out", "x" * 3000)
        )
        value = random.choice(
            (_value(random.choice(SCALARS)), "9" * 5000, "[" * 3000, "{", '"', "~nosuchuser", "1e400")
        )
        lines.append(random.choice((f"{key}={value}", f"{key}={value}", key, f"{key}==", f"{key}.{key}={value}")))
    (folder / "set").write_bytes("\n".join(line.replace("\n", " ") for line in lines).encode("utf-8", "surrogatepass"))
    return path


@cache
def _words() -> Mapping[str, Sequence[str]]:
    """{key: the short texts that recipes of the project have there}: names of layers, methods, sets, surrogates."""
    found: dict[str, set[str]] = {}
    for recipe in map(tomllib.loads, _seeds()):
        for place in places(recipe)[1:]:
            if isinstance(value := at(recipe, place), str) and len(value) < 20:
                found.setdefault(str(place[-1]), set()).add(value)
    return {key: sorted(words) for key, words in found.items()}


def _plausible(random: Random, folder: Path) -> Path:
    """A recipe with a few values of the same type as before, or with layers left out, repeated or exchanged."""
    values = tomllib.loads(random.choice(_seeds() if random.random() < 0.3 else _seeds("*.toml")))
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        layers = values["network"].get("layers")
        if layers and random.random() < 0.2:
            _shuffle(random, layers)
            continue
        scalars = [place for place in places(values)[1:] if not isinstance(at(values, place), list | dict)]
        place = random.choice(scalars)
        at(values, place[:-1])[place[-1]] = _alike(random, at(values, place), str(place[-1]))
    (folder / "recipe.toml").write_text(_written(values), encoding="utf-8")
    return folder / "recipe.toml"


def _shuffle(random: Random, layers: list[Any]) -> None:
    first, second = random.randrange(len(layers)), random.randrange(len(layers))
    match random.randrange(3):
        case 0:
            layers[first], layers[second] = layers[second], layers[first]
        case 1:
            layers.insert(first, layers[second])
        case 2:
            del layers[first]


def _alike(random: Random, value: Any, key: str) -> Any:
    """Another value of the type of ``value``, as somebody may try for ``key``."""
    match value:
        case bool():
            return not value
        case int():
            near = (value - 1, value + 1, 2 * value, value // 2, 4 * value)
            return random.choice((*near, 0, 1, 2, 3, 5, 7, 8, 16, 31, 32, 33, 64, 127, 255, 1024, 100_000))
        case float():
            return random.choice((value / 10, 10 * value, -value, 0.0, 0.5, 1.0, 1e-30, 1e30, math.inf, -math.inf))
        case str():
            return random.choice(_words().get(key, (value, "other")))
    return value


def _check(path: Path) -> object:
    """What ``train`` refuses of a recipe before its first step, and what ``check`` says of it."""
    recipe = load_recipe(path, [])
    for _ in untrainable(recipe):
        pass
    checked = check_recipe(recipe)
    return canonical_json(at_rate(checked, 1e5, None).as_json())


def _read(path: Path) -> object:
    stated = path.with_name("set")
    changes = stated.read_bytes().decode("utf-8", "replace").split("\n") if stated.exists() else []
    recipe = load_recipe(path, changes)
    return recipe_geometry(recipe).digest


FAMILIES: Final = (
    Family("recipes", _toml, _read),
    Family("recipe-values", _set, _read),
    Family("recipes-plausible", _plausible, _check),
)
