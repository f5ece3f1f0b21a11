"""The time of a training step, measured in turn with SDT, so that both meet the machine in the same state."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from statistics import mean
from typing import Any

from deploytool.base.files import temporary_folder
from deploytool.recipe import Recipe
from deploytool.train.methods.table import train
from deploytool.workflow.train import task_of


def milliseconds(recipe: Recipe) -> list[float]:
    """The time of every step of the training that ``recipe`` asks for, without the first, which compiles loops."""
    ends: list[float] = []
    with temporary_folder() as folder:
        train(replace(task_of(recipe, folder), tick=lambda *_: ends.append(time.perf_counter())))
    return [1000 * (end - start) for start, end in itertools.pairwise(ends)]


def in_turn(recipe: Recipe, rounds: int) -> tuple[float, float]:
    """(milliseconds per step by the method of ``recipe``, the same by SDT at its `time_steps`), as means over steps.

    In each of ``rounds`` rounds an epoch by the one follows an epoch by the other.
    """
    own, by_sdt = one_epoch(recipe), one_epoch(recipe, method="sdt")
    measured = [(milliseconds(own), milliseconds(by_sdt)) for _ in range(rounds)]
    ours, theirs = zip(*measured, strict=True)
    return mean(itertools.chain(*ours)), mean(itertools.chain(*theirs))


def one_epoch(recipe: Recipe, **keys: Any) -> Recipe:
    """``recipe`` with one epoch, without a base, and with the ``keys`` of [train]."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1, "base": None, **keys})})
