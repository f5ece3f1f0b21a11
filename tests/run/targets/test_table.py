"""The table of targets: what it says of each, and what else names targets."""

from __future__ import annotations

from typing import get_args

import pytest
from contract import stream, two_neurons

from deploytool.base.errors import UnsupportedError, UsageError
from deploytool.ir.recording import RUNGS
from deploytool.ir.target import Target, Watch
from deploytool.recipe.stages import RunSection
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
        with pytest.raises(UnsupportedError, match="asked to measure the lowest and highest V"):
            target.run(two_neurons(), [stream([0])], watch)


def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no target 'loihi'; need one of quantised, simulator, emulator, speck"):
        make_target("loihi")
    with pytest.raises(UsageError, match="no function that configures the board"):
        make_target("speck2edevkit:0")
