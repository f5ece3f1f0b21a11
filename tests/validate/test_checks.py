"""Checks: every limit is checked on the run or pair that it names, or on every one that a person names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploytool.base.errors import UsageError
from deploytool.ir.recording import Load, Recording, RungName, Setup
from deploytool.ir.verdict import Check, Verdict
from deploytool.recipe import ValidateSection
from deploytool.validate.ladder import judge
from deploytool.validate.requirements import REQUIREMENTS


def recording(rung: RungName, answers: list[list[int]], labels: list[int] | None = None, **setup: Any) -> Recording:
    counts = np.array(answers)
    samples = len(counts)
    return Recording(
        rung=rung,
        samples=tuple(f"s{i}" for i in range(samples)),
        labels=np.array(labels or [0, 0, 1, 1]),
        outputs=("fc1",),
        counts={"conv1": counts.reshape(samples, 1, 1, -1) * 2 + 1, "fc1": counts[..., None, None]},
        synops=np.full(samples, 80),
        spikes={},
        aliases={},
        setup=Setup(**setup),
    )


RUNS: dict[str, Recording] = {
    "a": recording("torch", [[5, 0], [5, 0], [0, 5], [0, 5]]),
    "b": recording("simulator", [[5, 0], [4, 0], [0, 5], [0, 5]]),
    "c": recording("emulator", [[5, 0], [5, 0], [0, 5], [1, 0]]),
    "d": recording("emulator", [[4, 0], [5, 0], [0, 5], [1, 0]], perturbation="drop=5% seed 0 repeat 0"),
}


LOADED = replace(
    RUNS["c"],
    durations_us=np.full(4, 100_000),
    decisions_us=np.array([1000, 2000, 3000, -1]),
    load={"conv1": Load("conv1", 0, 300, 90, 100), "fc1": Load("fc1", 4, 20, 20, 20)},
)
"""The emulator's run with everything that it can record."""


def only(*names: str) -> Mapping[str, Recording]:
    return {name: RUNS[name] for name in names}


def about(check: Check) -> tuple[str, str | None, str | None, float | None, bool | None]:
    return check.id, check.reference, check.test, check.value, check.passed


def test_every_key_of_the_recipe_has_a_requirement() -> None:
    assert {requirement.id for requirement in REQUIREMENTS} | {"require"} == set(ValidateSection.model_fields)


@pytest.mark.parametrize(
    ("limit", "value", "reference", "test", "passed"),
    [
        ({"min_accuracy": 75}, 75.0, None, "emulator", True),
        ({"min_accuracy": 75.01}, 75.0, None, "emulator", False),
        ({"max_accuracy_drop": 25}, 25.0, "torch", "emulator", True),
        ({"max_accuracy_drop": 24}, 25.0, "torch", "emulator", False),
        ({"max_spike_difference": 43.75}, 43.75, "emulator", "simulator", True),
        ({"max_mean_spike_difference": 155}, 155.0, "emulator", "simulator", True),
        ({"max_mean_spike_difference": 154}, 155.0, "emulator", "simulator", False),
        ({"max_layer_spike_difference": 43.75}, 43.75, "emulator", "simulator", True),
        ({"max_layer_spike_difference": 43.7}, 43.75, "emulator", "simulator", False),
        ({"min_agreement": 75}, 75.0, "torch", "emulator", True),
        ({"min_agreement": 76}, 75.0, "torch", "emulator", False),
        ({"max_synops": 80}, 80.0, None, "emulator", True),
        ({"max_synops": 79}, 80.0, None, "emulator", False),
    ],
)
def test_limits_on_the_ladder(
    limit: dict[str, float], value: float, reference: str | None, test: str, passed: bool
) -> None:
    (check,) = judge(RUNS, ValidateSection(**limit)).checks  # type: ignore[arg-type]
    assert about(check) == (*limit, reference, test, value, passed)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "max_core_synops_per_s",
            90_000.0,
            "Load of the busiest core in its busiest millisecond on the emulator: "
            "0.09 M SynOps/s (core 0, conv1), at most 0.09 M required",
        ),
        (
            "max_energy_uj",
            42.0293,
            "Estimated energy per sample on the emulator: 42.0293 uJ, at most 42.0293 required",
        ),
        (
            "max_decision_ms",
            2.0,
            "Median time to the decision on the emulator: 2.00 ms (3 of 4 samples decide), at most 2 required",
        ),
        (
            "max_decision_p95_ms",
            2.9,
            "95th percentile of the time to the decision on the emulator: 2.90 ms (3 of 4 samples decide), "
            "at most 2.9 required",
        ),
        ("max_cores", 2, "Cores used on the emulator: 2 cores, at most 2 required"),
    ],
)
def test_limits_on_what_the_chip_does(key: str, value: float, says: str) -> None:
    limits = ValidateSection(**{key: value})  # type: ignore[arg-type]
    (check,) = judge({"r": LOADED}, limits).checks
    assert about(check) == (key, None, "emulator", value, True)
    assert check.says == says
    stricter = value - 1 if key == "max_cores" else value * 0.99
    (check,) = judge({"r": LOADED}, ValidateSection(**{key: stricter})).checks  # type: ignore[arg-type]
    assert check.passed is False
    (check,) = judge({"r": replace(RUNS["c"], durations_us=np.zeros(0))}, limits).checks
    assert (check.passed, check.value) == (None, None)
    assert "not run, because" in check.says


def test_a_limit_on_the_chip_is_asked_of_runs_on_it_only() -> None:
    limits = ValidateSection(max_energy_uj=50, max_decision_ms=1)
    found = judge({"a": RUNS["a"], "r": LOADED}, limits, against="a").checks
    assert [(check.id, check.test, check.passed) for check in found] == [
        ("max_energy_uj", "emulator", True),
        ("max_decision_ms", "emulator", False),
    ]
    found = judge(only("a", "b"), ValidateSection(max_energy_uj=50), against="a").checks
    assert [(check.test, check.passed) for check in found] == [("emulator", None)]


def test_the_layer_with_the_largest_difference_is_named() -> None:
    (check,) = judge(RUNS, ValidateSection(max_layer_spike_difference=10)).checks
    assert check.says == (
        "Largest pooled spike difference of a layer between emulator and simulator: 43.75 % (fc1), at most 10 required"
    )


def test_a_layer_that_one_run_lacks_is_not_silently_left_out() -> None:
    lacking = replace(RUNS["b"], counts={"fc1": RUNS["b"].counts["fc1"]})
    (check,) = judge({"b": lacking, "c": RUNS["c"]}, ValidateSection(max_layer_spike_difference=100)).checks
    assert (check.passed, check.value) == (None, None)
    assert "not run, because a layer is not recorded by both" in check.says


def test_against_one_run_a_limit_on_pairs_applies_to_every_pair() -> None:
    found = judge(only("c", "a", "d", "b"), ValidateSection(max_spike_difference=10), against="b").checks
    assert [about(check) for check in found] == [
        ("max_spike_difference", "simulator", "torch", pytest.approx(100 / 19, abs=1e-4), True),
        ("max_spike_difference", "simulator", "emulator", pytest.approx(700 / 19, abs=1e-4), False),
        ("max_spike_difference", "simulator", "emulator, 5 % of events lost", pytest.approx(800 / 19, abs=1e-4), False),
    ]
    assert [check.says.partition(":")[0] for check in found] == [
        "Pooled spike difference at the output between simulator and torch",
        "Pooled spike difference at the output between simulator and emulator",
        "Pooled spike difference at the output between simulator and emulator, 5 % of events lost",
    ]


def test_against_one_run_a_limit_on_runs_applies_to_every_run() -> None:
    found = judge(only("a", "d"), ValidateSection(min_accuracy=90, max_accuracy_drop=10), against="a").checks
    assert [about(check) for check in found] == [
        ("min_accuracy", None, "torch", 100.0, True),
        ("min_accuracy", None, "emulator, 5 % of events lost", 75.0, False),
        ("max_accuracy_drop", "torch", "emulator, 5 % of events lost", 25.0, False),
    ]


def test_a_recording_is_not_compared_with_itself() -> None:
    with pytest.raises(UsageError, match="--against c: it is the only recording; need another one"):
        judge(only("c"), ValidateSection(max_spike_difference=5), against="c")


def verdict(*required: RungName) -> Verdict:
    return judge(only("a", "d"), ValidateSection(require=required))


def test_a_required_rung_that_did_not_run_fails() -> None:
    found = verdict("torch", "emulator", "board")
    assert [about(check) for check in found.checks] == [
        ("require", None, "torch", 4, True),
        ("require", None, "emulator", 0, False),
        ("require", None, "board", 0, False),
    ]
    assert found.checks[2].says == "A run on the board is required: not run"
    assert found.passed is False
    assert verdict("torch").passed is True


def test_a_check_without_its_runs_says_so() -> None:
    limits = ValidateSection(max_spike_difference=5, min_agreement=90, min_accuracy=90)
    found = judge(only("d"), limits).checks
    assert [(check.reference, check.test, check.passed) for check in found] == [
        (None, "emulator", None),
        ("emulator", "simulator", None),
        ("torch", "emulator", None),
    ]
    assert found[1].says.endswith("not run, no recording of emulator and simulator")


def test_the_request_of_a_verdict_states_new_limits_only_where_they_are_given() -> None:
    old = ("min_accuracy", "max_accuracy_drop", "max_spike_difference", "max_synops")
    assert ValidateSection().stated == dict.fromkeys(old)
    asked = ValidateSection(min_agreement=5, require=("board",)).stated
    assert asked == {**dict.fromkeys(old), "min_agreement": 5.0, "require": ("board",)}
