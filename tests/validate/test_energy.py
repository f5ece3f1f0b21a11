"""Energy: an estimate with its assumption, range and source, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.recordings import TWO_SAMPLES as RUN

from deploytool.chip.power import PROCESSOR, RESTING_MW, SENSOR, resting_mw
from deploytool.validate.energy import energy, estimate


def test_the_rest_is_that_of_its_rails() -> None:
    assert resting_mw(PROCESSOR) == pytest.approx(RESTING_MW, abs=0.002)
    assert resting_mw(SENSOR) == pytest.approx(0.6898)


def test_energy_of_a_run() -> None:
    """Two samples of 1 and 3 s, with 100 and 300 updates: 2 s and 200 updates on average."""
    found = energy(RUN)
    assert found.uj_per_sample == pytest.approx(0.42 * 2000 + 200 * 366e-6, abs=1e-4)
    assert found.mw == pytest.approx(0.42, abs=1e-3)
    assert found.synops_per_s == 100
    assert found.extrapolated


def test_in_range_it_says_where_the_figure_comes_from() -> None:
    found = estimate(synops=150_000, seconds=0.3)
    assert found.uj_per_sample == pytest.approx(126 + 54.9)
    assert found.mw == pytest.approx(0.603)
    assert not found.extrapolated
    for part in (
        "180.90 uJ per sample, 0.60 mW on average (estimate for RAM + LOGIC)",
        ": 126.00 uJ at rest (0.42 mW) + 54.90 uJ for SynOps",
        "366 pJ per SynOp, our fit to a Speck2f's power monitor, these 0.50 M are within its 0.15 to 0.86 M SynOps/s",
        "apart: sensor 0.69 mW at rest, IO 0.07 mW",
    ):
        assert part in found.says


@pytest.mark.parametrize(("synops", "extrapolated"), [(149e3, True), (150e3, False), (860e3, False), (861e3, True)])
def test_outside_its_range_it_is_extrapolated(synops: float, extrapolated: bool) -> None:
    found = estimate(synops, 1.0)
    assert found.extrapolated is extrapolated
    assert ("extrapolated to" in found.says) is extrapolated


def test_an_assumption_of_the_caller() -> None:
    assumed = energy(RUN, pj_per_synop=1000)
    assert assumed.uj_per_sample == pytest.approx(840.2)
    assert "assumed by you: 1000 pJ per SynOp" in assumed.says
    assert assumed.extrapolated is None


def test_not_estimated() -> None:
    unknown = replace(RUN, synops=np.zeros(0)), replace(RUN, durations_us=np.zeros(0))
    for run in (replace(RUN, rung="torch"), *unknown, replace(RUN, durations_us=np.zeros(2))):
        assert energy(run).says.startswith("not estimated: ")
        assert energy(run).uj_per_sample is None
