"""The table of targets: what it says of each, and what else names targets."""

from __future__ import annotations

from typing import get_args

import pytest
from contract import stream, two_neurons

from deploytool.base.errors import UnsupportedError, UsageError
from deploytool.ir.recording import RUNGS
from deploytool.ir.target import Target, Watch
from deploytool.recipe.stages import RunSection
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.perturbation import Perturbation
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import TARGETS, make_target

COMPUTING = [name for name, kind in TARGETS.items() if kind.computes]


def computing(name: str) -> Target:
    return make_target(name, Options(time_steps=3 if TARGETS[name].time_steps else None))


def test_a_recipe_names_the_targets_that_need_no_board() -> None:
    (names, _) = get_args(RunSection.model_fields["on"].annotation)
    assert list(get_args(names)) == COMPUTING
    assert [name for name in COMPUTING if RunSection(on=(name,)).on_chip] == [
        name for name in COMPUTING if TARGETS[name].mapped
    ]


@pytest.mark.parametrize("name", COMPUTING)
def test_a_recording_is_of_the_rung_called_like_its_target(name: str) -> None:
    target = computing(name)
    assert target.name == name
    assert target.run(two_neurons(), [stream([0])]).rung == name
    assert name in RUNGS


@pytest.mark.parametrize("name", COMPUTING)
def test_extremes_are_measured_or_refused(name: str) -> None:
    target, watch = computing(name), Watch(extremes=True)
    if TARGETS[name].extremes:
        assert target.run(two_neurons(), [stream([0])], watch).activity["fc"].reached == (-2, 3)
    else:
        with pytest.raises(UnsupportedError, match="the lowest and highest V asked for"):
            target.run(two_neurons(), [stream([0])], watch)


def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no target 'loihi'; need one of quantised, simulator, emulator, speck"):
        make_target("loihi")
    with pytest.raises(UsageError, match="a board, where only what computes can run"):
        make_target("speck2edevkit:0")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"on": "quantised"}, "--on quantised: no number of time steps; need --time-steps N."),
        (
            {"on": "emulator", "time_steps": 3},
            "--time-steps: given with --on emulator, which knows no time steps; need --on quantised.",
        ),
        (
            {"on": "quantised", "time_steps": 3, "watch": Watch(extremes=True)},
            "--extremes: given with --on quantised; need simulator or emulator.",
        ),
        (
            {"on": "speck2edevkit:0", "perturbation": Perturbation(drop=0.1)},
            "--perturb: given with --on speck2edevkit:0; need a target that computes, not a board.",
        ),
        ({"on": "loihi"}, "target: no target 'loihi'; need one of"),
    ],
)
def test_a_job_refuses_what_does_not_go_together(asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        Job(**asked)
    assert sentence in str(caught.value)


def test_the_key_of_a_recording_stays_what_it_was() -> None:
    """Recordings in a store are found by it."""
    assert Job("emulator").asked == {"on": "emulator", "watch": None, "rasters": 0}
    assert Job("simulator", watch=Watch(("b", "a"), 4, True), perturbation=Perturbation(drop=0.5)).asked == {
        "on": "simulator",
        "watch": ["a", "b"],
        "rasters": 4,
        "extremes": True,
        "perturbation": {
            "order": 0.0,
            "drop": 0.5,
            "threshold": 0.0,
            "weights": 0.0,
            "seed": 0,
            "repeat": 0,
        },
    }
    assert Job("quantised", 30).asked == {"on": "quantised", "watch": None, "rasters": 0, "time_steps": 30}
