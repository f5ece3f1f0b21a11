"""Errors of values against their definitions and scikit-learn's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.recordings import TWO_SAMPLES, recording, with_windows
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from deploytool.ir.decoder import Decoder
from deploytool.ir.recording import Recording
from deploytool.ir.score import score_of
from deploytool.ir.verdict import Rung
from deploytool.ir.verdict_file import as_json
from deploytool.ir.windows import OutputWindows
from deploytool.recipe import ValidateSection
from deploytool.validate.ladder import judge
from deploytool.validate.regression import regression, value_difference

ONE = Decoder(("v",), np.array([[1.0, 0.0, 2.0]]), np.array([-1.0]), "px/s")


def read(counts: list[list[int]], targets: list[list[float]] | None, **changes: Any) -> Recording:
    """Two samples of the given windows, half of them each, whose value is n0 + 2 n2 - 1."""
    each = np.full(2, len(counts) // 2)
    asked = np.zeros((0, 0)) if targets is None else np.array(targets)
    return replace(TWO_SAMPLES, windows=OutputWindows(each, np.array(counts), asked, decoder=ONE), **changes)


FOUR = [[1, 9, 0], [0, 9, 1], [4, 0, 0], [0, 0, 3]]
"""Windows whose values are 0, 1, 3, 5."""


def test_errors_by_hand() -> None:
    found = regression(read(FOUR, [[0], [2], [3], [3]]))
    assert found is not None
    assert (found.rmse, found.mae) == (round(np.sqrt(5 / 4), 4), 0.75)
    assert found.r2 == round(1 - 5 / 6, 4)
    assert (found.unit, found.windows) == ("px/s", 4)
    assert [(each.window, each.rmse) for each in found.by_window] == [(0, 0.0), (1, round(np.sqrt(5 / 2), 4))]


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 99))
def test_errors_are_those_of_scikit_learn(samples: int, windows: int, seed: int) -> None:
    value = with_windows(recording(samples, seed), windows)
    assert value.windows is not None
    found, targets, decoded = regression(value), value.windows.targets, value.windows.decoded
    assert found is not None
    assert decoded is not None
    assert found.rmse == pytest.approx(mean_squared_error(targets, decoded) ** 0.5, abs=1e-4)
    assert found.mae == pytest.approx(mean_absolute_error(targets, decoded), abs=1e-4)
    assert found.r2 == pytest.approx(r2_score(targets, decoded), rel=1e-6, abs=1e-4)
    for each, column, wanted in zip(found.values, decoded.T, targets.T, strict=True):
        assert each.r2 == pytest.approx(r2_score(wanted, column), rel=1e-6, abs=1e-4)
    assert sum(each.rmse**2 for each in found.by_window) / windows == pytest.approx(found.rmse**2, rel=1e-4, abs=1e-3)


def test_windows_without_targets_are_left_out_and_targets_that_do_not_vary_have_no_r2() -> None:
    found = regression(read(FOUR, [[0], [np.nan], [np.nan], [0]]))
    assert found is not None
    assert (found.windows, found.r2, found.rmse) == (2, None, round(np.sqrt(25 / 2), 4))
    assert regression(read(FOUR, None)) is None
    assert regression(TWO_SAMPLES) is None


def test_the_difference_of_two_runs() -> None:
    other = read([[1, 9, 0], [0, 9, 2], [4, 0, 0], [1, 0, 3]], None)
    found = value_difference(read(FOUR, None), other)
    assert found is not None
    assert (found.rms, found.bias, found.equal) == (round(np.sqrt(5 / 4), 4), 0.75, 50.0)
    assert value_difference(TWO_SAMPLES, other) is None


def rungs(**limits: float) -> Any:
    wrong = [[0], [2], [3], [3]]
    torch = read(FOUR, wrong, rung="torch")
    emulator = read([[1, 9, 0], [0, 9, 1], [4, 0, 0], [0, 0, 4]], wrong)
    return judge({"a": torch, "b": emulator}, ValidateSection(**limits))


def test_limits_on_values() -> None:
    verdict = rungs(max_rmse=3, min_r2=0.5, max_rmse_rise=50)
    assert {check.id: check.passed for check in verdict.checks} == {
        "max_rmse": True,
        "min_r2": False,
        "max_rmse_rise": False,
    }
    assert "Root mean square error on the emulator: 2.06 px/s, at most 3 required" in [c.says for c in verdict.checks]
    rise = next(check.value for check in verdict.checks if check.id == "max_rmse_rise")
    assert rise == pytest.approx(100 * (np.sqrt(17 / 5) - 1), abs=0.01)


def test_what_concerns_classes_is_absent_and_not_zero() -> None:
    run = rungs().ran["emulator"]
    assert (run.accuracy, run.silent, run.confusion, run.decision) == (None, None, None, None)
    assert rungs().differences[0].agreement is None
    assert score_of(run).title == "R²"
    assert "root mean square error of 2.06 px/s in 4 windows" in score_of(run).says


def test_a_verdict_on_classes_has_no_word_about_values() -> None:
    plain = as_json(judge({"a": TWO_SAMPLES}, ValidateSection()))
    ran = next(run for run in plain["rungs"] if run["status"] == "run")
    assert "regression" not in ran
    found = as_json(rungs())
    assert next(run for run in found["rungs"] if run["name"] == "emulator")["regression"]["rmse"] == 2.0616
    assert found["spike_difference"][0]["values"]["rms"] == 1.0


def test_a_limit_on_values_is_not_run_for_classes() -> None:
    (check,) = judge({"a": TWO_SAMPLES}, ValidateSection(max_rmse=1)).checks
    assert check.passed is None
    assert "no values are read" in check.says
    assert Rung.not_run("board").regression is None
