"""A claim of a paper, and the trainings and measurements that test it; one TOML file each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from deploytool.base.errors import RecipeError
from deploytool.recipe import Recipe, load_recipe
from deploytool.recipe.load import load_section
from deploytool.recipe.section import Section


class Expectation(Section):
    """The claim in figures: one arm has a larger figure than another."""

    says: str = Field(description="The claim in one sentence.")
    figure: str = Field(description="The figure that is compared.")
    better: str = Field(description="The arm whose figure is larger.")
    than: str = Field(description="The arm that it is compared with.")
    than_figure: str | None = Field(None, description="The figure of that other arm, where it is another one.")
    margin: float = Field(0.0, description="The difference that must be exceeded.")
    smaller: bool = Field(False, description="Whether the better arm has the smaller figure.")


class Claim(Section):
    """A claim of a paper, and the trainings that test it.

    Every arm is the recipe with the keys of `set` and of the arm in it, trained once with each seed.
    """

    says: str = Field(description="The claim in one sentence.")
    source: str = Field(description="The paper that makes it.")
    paper: str = Field("no figure to compare with", description="The figures of the paper.")
    cost: str = Field(description="What makes the arms comparable.")
    recipe: str | None = Field(None, description="The recipe that all arms share; none where nothing is trained.")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=3, description="Seeds with which every arm is trained.")
    measures: tuple[str, ...] = Field(min_length=1, description="What is measured of every trained model.")
    options: Mapping[str, Any] = Field({}, description="Settings of the measures.")
    set: Mapping[str, Any] = Field({}, description="Keys of the recipe that all arms change.")
    arms: Mapping[str, Mapping[str, Any]] = Field({}, description="Keys of the recipe that each arm changes.")
    expect: tuple[Expectation, ...] = Field((), description="Which arm should have the larger figure.")
    needs: Literal["nothing", "nmnist", "mnist"] = Field("nothing", description="The data set that it needs.")

    @model_validator(mode="after")
    def _arms_are_known(self) -> Claim:
        for expected in self.expect:
            for arm in (expected.better, expected.than):
                if arm not in self.arms:
                    raise ValueError(f"expects something of arm {arm!r}; need one of {', '.join(self.arms)}")
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
            found[path.stem] = load_section(Claim, path)
        except RecipeError as error:
            problems.append(error)
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
