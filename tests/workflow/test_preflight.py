"""Checks before the first step of training."""

from __future__ import annotations

import pytest

from deploytool.base.errors import FitError, InputError, RecipeError, UnsupportedError
from deploytool.recipe import parse_recipe
from deploytool.workflow.preflight import refuse_impossible


def recipe(**sections):
    return parse_recipe(
        {
            "name": "x",
            "data": {"set": "digits"},
            "train": {"time_steps": 4, "epochs": 1, "batch": 8, "learning_rate": 1},
            "network": {
                "input": (2, 16, 16),
                "layers": [
                    {"type": "conv", "out": 4, "kernel": 3},
                    {"type": "spike"},
                    {"type": "flatten"},
                    {"type": "linear", "out": 10},
                    {"type": "spike"},
                ],
            },
            **sections,
        },
        "recipe",
    )


def test_a_network_that_cannot_fit_is_refused_with_what_would_make_it_fit():
    large = {
        "input": (2, 16, 16),
        "layers": [
            {"type": "conv", "out": 512, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "conv", "out": 512, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 10},
            {"type": "spike"},
        ],
    }
    with pytest.raises(FitError) as error:
        refuse_impossible(recipe(network=large))
    assert error.value.problems[0].startswith("conv1: takes ")
    assert error.value.problems[-1].startswith("network.layers: do not fit speck2e; need conv1: ")
    refuse_impossible(recipe())
    refuse_impossible(recipe(network=large, run={"on": ["simulator"]}))


def test_a_bias_that_events_cannot_add_is_refused_with_what_to_do():
    normalised = {
        "input": (2, 16, 16),
        "layers": [
            {"type": "conv", "out": 4, "kernel": 3},
            {"type": "batchnorm"},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 10},
            {"type": "spike"},
        ],
    }
    for on in (["emulator"], ["simulator"]):
        asked = {"network": normalised, "run": {"on": on}}
        with pytest.raises(
            RecipeError, match=r"'bn1' is a batchnorm layer, .*Add \[train\.base\], which trains with batch"
        ):
            refuse_impossible(recipe(**asked))
        train_section = {"time_steps": 4, "epochs": 1, "batch": 8, "learning_rate": 1}
        based = {**train_section, "base": {"epochs": 1, "learning_rate": 0.1}}
        refuse_impossible(recipe(**asked, train=based))
        refuse_impossible(recipe(**asked, map={"slow_clock_hz": 1000}))
    refuse_impossible(recipe(network=normalised, run={"on": []}))


def test_time_steps_do_not_go_with_balancers():
    asked = {"map": {"balance": {"conv1": 1000}}}
    with pytest.raises(RecipeError, match=r"run\.on: found 'quantised', whose time steps do not model the congestion"):
        refuse_impossible(recipe(**asked))
    refuse_impossible(recipe(**asked, run={"on": ["simulator", "emulator"]}))


def test_one_process_alone_trains_by_ptl(monkeypatch):
    section = {"method": "ptl", "time_steps": 4, "epochs": 1, "batch": 8, "learning_rate": 1}
    tandem = recipe(train=section, constraints={"floor": float("-inf")})
    refuse_impossible(tandem)
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=r"train\.method: found 'ptl' in 2 processes of torchrun; need one process"):
        refuse_impossible(tandem)


def test_everything_that_a_method_cannot_do_is_refused_together():
    section = {"time_steps": 4, "epochs": 1, "batch": 8, "learning_rate": 1}
    with pytest.raises(RecipeError) as error:
        refuse_impossible(recipe(train={**section, "method": "ptl", "average": 0.5}))
    assert error.value.problems == (
        "constraints.floor: found -1; need -inf with train.method ptl: a floor cuts off inhibition.",
        "train.average: found 0.5; need 0 with train.method ptl.",
    )
    with pytest.raises(RecipeError, match=r"constraints\.fan_in: given with method trev; need another method"):
        refuse_impossible(recipe(train={**section, "method": "trev"}, constraints={"fan_in": 3}))


@pytest.mark.parametrize(
    ("chip", "section", "error", "sentence"),
    [
        ("dynapcnn", {"readout": {}}, UnsupportedError, "readout: DynapCNN, whose readout fields are unknown"),
        ("speck2e", {"dvs": {"origin": [120, 0]}}, InputError, "dvs: a crop from"),
        ("speck2e", {"readout": {}}, FitError, "37 features for the readout need .* Pin it: --pin fc1=5"),
    ],
)
def test_what_mapping_could_not_configure_is_refused(chip, section, error, sentence):
    limits, pinned = {"chip": chip, "fan_in": 4, "threshold": 0.2}, {"pins": {"fc1": 5}}
    with pytest.raises(error, match=sentence):
        refuse_impossible(recipe(constraints=limits, map=section))
    refuse_impossible(
        recipe(constraints={**limits, "chip": "speck2e"}, map={"readout": {}, "dvs": {"live": True}, **pinned})
    )


def test_what_runs_on_events_is_refused_before_training_if_its_method_has_currents():
    section = {"time_steps": 4, "epochs": 1, "batch": 8, "learning_rate": 1}
    keys = {
        "train": {**section, "method": "ptl", "ptl": {"bias": "current"}},
        "constraints": {"floor": float("-inf")},
    }
    with pytest.raises(UnsupportedError, match=r"^train\.ptl\.bias: found current, b / time_steps in every time step;"):
        refuse_impossible(recipe(**keys, run={"on": ["simulator"]}))
    refuse_impossible(recipe(**keys, run={"on": []}))
