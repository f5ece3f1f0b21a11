"""A claim: what a paper says, and what is trained and measured to see whether it holds; one TOML file each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from deploytool.base.errors import RecipeError
from deploytool.recipe import Recipe, load_recipe
from deploytool.recipe.section import Section


class Expectation(Section):
    """The claim in figures: arm ``better`` has a larger (or ``smaller``) ``figure`` than arm ``than``, by ``margin``.

    ``than_figure`` compares with another figure of that arm.
    """

    says: str
    figure: str
    better: str
    than: str
    than_figure: str | None = None
    margin: float = 0.0
    smaller: bool = False


class Claim(Section):
    """What ``says``, by ``source``; ``paper`` are the paper's own figures.

    Every arm is the ``recipe`` with ``set`` and the arm's own keys in it, trained with every one of ``seeds``;
    ``measures`` are what is measured of each, with ``options``. ``cost`` says what makes the arms comparable.
    """

    says: str
    source: str
    paper: str = "no figure to compare with"
    cost: str
    recipe: str | None = None
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=3)
    measures: tuple[str, ...] = Field(min_length=1)
    options: Mapping[str, Any] = {}
    set: Mapping[str, Any] = {}
    arms: Mapping[str, Mapping[str, Any]] = {}
    expect: tuple[Expectation, ...] = ()
    needs: Literal["nothing", "nmnist", "mnist"] = "nothing"

    @model_validator(mode="after")
    def _arms_are_known(self) -> Claim:
        for expected in self.expect:
            for arm in (expected.better, expected.than):
                if arm not in self.arms:
                    raise ValueError(f"expects of arm {arm!r}; need one of {', '.join(self.arms)}")
        return self


def load_claims(folder: Path, only: str | None = None) -> dict[str, Claim]:
    """{name: claim} of the files in ``folder``, or of the one called ``only``. Raises RecipeError with all problems."""
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise RecipeError(str(folder), "no claims", "a folder of .toml files", "Name it with --folder.")
    if only is not None:
        names = [path.stem for path in paths]
        paths = [path for path in paths if path.stem == only]
        if not paths:
            raise RecipeError(str(folder), f"no claim {only!r}", f"one of {', '.join(names)}")
    found: dict[str, Claim] = {}
    problems = []
    for path in paths:
        try:
            found[path.stem] = Claim.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, ValidationError, OSError) as error:
            problems.append(RecipeError(str(path), f"not readable as a claim ({error})", "a claim in TOML"))
    if problems:
        raise RecipeError.together(problems)
    return found


def arm_recipe(claim: Claim, arm: str, seed: int, folder: Path, data_root: str | None) -> Recipe | None:
    """The recipe of one ``arm`` at ``seed``; None where the claim needs no training."""
    if claim.recipe is None:
        return None
    keys = {**claim.set, **claim.arms[arm], "seed": seed}
    if data_root is not None:
        keys["data.root"] = data_root
    return load_recipe(folder / claim.recipe, [f"{key}={_toml(value)}" for key, value in keys.items()])


def _toml(value: Any) -> str:
    """``value`` as TOML spells it inline."""
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
