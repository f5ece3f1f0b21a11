"""[train.ptl]: its arms, and what does not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.tiny import spec
from pydantic import ValidationError

from deploytool.base.errors import RecipeError
from deploytool.recipe import load_recipe
from deploytool.recipe.ptl import ARMS, PtlSection

RECIPE = Path(__file__).parents[2] / "recipes" / "ptl-digits.toml"
IMAGES = ("network.layers=[{type = 'flatten'}, {type = 'linear', out = 10}]", "network.input=[1, 8, 8]", "run.on=[]")


def refused(**keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        spec(method="ptl", **keys)
    return str(caught.value)


def test_without_an_arm_the_defaults_are_those_of_the_chip() -> None:
    plain, chip = spec(method="ptl"), spec(method="ptl", ptl={"arm": "chip"})
    assert plain.ptl.model_copy(update={"arm": "chip"}) == chip.ptl
    assert plain.spikes_per_step == chip.spikes_per_step == "many"


def test_the_papers_arm_sets_the_papers_choices() -> None:
    found = spec(method="ptl", ptl={"arm": "paper", "patience": 3})
    assert found.spikes_per_step == "one"
    assert found.ptl == PtlSection(
        arm="paper",
        input="first",
        bias="current",
        start="zero",
        thresholds="layer",
        forward="counts",
        last_stage="full",
        stage_milestone=50,
        patience=3,
    )
    assert (found.ptl.percentile, found.ptl.stage_learning_rate) == (99, 1e-3)
    assert spec(method="ptl", ptl={"arm": "paper", "stage_milestone": 9}).ptl.stage_milestone == 9
    assert spec(method="ptl", ptl=PtlSection(arm="paper")) == spec(method="ptl", ptl={"arm": "paper"})


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_stated_in_full_is_the_same_arm(arm: str) -> None:
    found = spec(method="ptl", ptl={"arm": arm})
    assert type(found).model_validate(found.model_dump()) == found


def test_a_choice_against_its_arm_is_refused() -> None:
    said = refused(ptl={"arm": "paper", "bias": "initial", "start": "half"})
    assert 'bias: found initial with ptl.arm = "paper"; need current, or no arm' in said
    assert 'start: found half with ptl.arm = "paper"; need zero, or no arm' in said
    said = refused(ptl={"arm": "chip", "bias": "current"})
    assert 'bias: found current with ptl.arm = "chip"; need initial or none, or no arm' in said
    said = refused(ptl={"arm": "paper"}, spikes_per_step="many")
    assert 'spikes_per_step: found many with ptl.arm = "paper"; need one, or no arm' in said


def test_what_the_emulator_cannot_do_and_what_leaves_no_time_is_refused() -> None:
    said = refused(ptl={"forward": "emulator", "bias": "current"})
    assert 'forward: found emulator with bias = "current"; need counts: the emulator runs on events' in said
    said = refused(ptl={"input": "first"})
    assert 'spikes_per_step: found many with ptl.input = "first"; need one: otherwise all spikes' in said
    assert spec(method="ptl", ptl={"input": "first"}, spikes_per_step="one").ptl.arm is None


def test_other_methods_ignore_it() -> None:
    assert spec(ptl={"arm": "paper"}).spikes_per_step == "many"


def test_only_an_image_can_be_an_analog_current() -> None:
    arm = ("train.ptl={arm = 'paper'}", "data.set=digits-images", *IMAGES)
    with pytest.raises(RecipeError, match=r"train\.ptl\.input: found first with events; need steps, or data\.coding"):
        load_recipe(RECIPE, (*arm, "train.drop=0"))
    found = load_recipe(RECIPE, (*arm, "train.drop=0", "data.coding=direct"))
    assert found.train.spikes_per_step == "one"
