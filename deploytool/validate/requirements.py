"""The requirements on a deployment: one record per key of [validate]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from deploytool.base.numbers import figure_and_limit, rounded
from deploytool.ir.recording import Recording, RungName
from deploytool.ir.verdict import Check
from deploytool.recipe import ValidateSection
from deploytool.validate import metrics


@dataclass(frozen=True)
class Requirement:
    """What one key of [validate] asks: ``measure`` of the recordings of ``rungs``, against the key's value."""

    id: str
    title: str
    unit: str
    at_least: bool
    rungs: tuple[RungName, ...]
    measure: Callable[..., float | None]


def _accuracy_drop(trained: Recording, deployed: Recording) -> float | None:
    before, after = metrics.accuracy(trained), metrics.accuracy(deployed)
    return None if before is None or after is None else before - after


def _output_difference(reference: Recording, test: Recording) -> float | None:
    return metrics.spike_difference(reference, test).pooled


REQUIREMENTS: Final = (
    Requirement("min_accuracy", "Accuracy on the emulator", "%", True, ("emulator",), metrics.accuracy),
    Requirement(
        "max_accuracy_drop",
        "Accuracy lost from the trained network to the emulator",
        "points",
        False,
        ("torch", "emulator"),
        _accuracy_drop,
    ),
    Requirement(
        "max_spike_difference",
        "Pooled spike difference at the output between emulator and float32 simulator",
        "%",
        False,
        ("emulator", "simulator"),
        _output_difference,
    ),
    Requirement(
        "max_synops",
        "Synaptic updates per sample (mean) on the emulator",
        "updates",
        False,
        ("emulator",),
        metrics.synops_per_sample,
    ),
)
"""Every key of [validate], by its name there."""


def checks(recordings: Mapping[str, Recording], asked: ValidateSection) -> tuple[Check, ...]:
    """The check of every requirement that ``asked`` has a limit for, on ``recordings`` {rung: recording}."""
    limits = [(requirement, getattr(asked, requirement.id)) for requirement in REQUIREMENTS]
    return tuple(_check(requirement, limit, recordings) for requirement, limit in limits if limit is not None)


def _check(requirement: Requirement, limit: float, recordings: Mapping[str, Recording]) -> Check:
    """The check of one requirement; not run when a rung is missing, or its recording lacks the data."""
    title = requirement.title
    if missing := [rung for rung in requirement.rungs if rung not in recordings]:
        value, passed, sentence = None, None, f"{title}: not run, no recording of {' and '.join(missing)}"
    elif (value := rounded(requirement.measure(*(recordings[rung] for rung in requirement.rungs)))) is None:
        passed, sentence = None, f"{title}: not run, the recordings have no labels or no output spikes"
    else:
        passed = value >= limit if requirement.at_least else value <= limit
        bound = "at least" if requirement.at_least else "at most"
        shown, needed = figure_and_limit(value, limit)
        sentence = f"{title}: {shown} {requirement.unit}, {bound} {needed} required"
    return Check(requirement.id, value, limit, requirement.unit, passed, sentence)
