"""Spread: repeated runs against the unperturbed one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.recordings import TWO_SAMPLES as RUN

from deploytool.validate.spread import spread


def test_the_spread_is_against_the_unperturbed_run() -> None:
    other = replace(RUN, counts={"fc": RUN.counts["fc"] + np.array([[[[0]], [[3]], [[0]]], [[[0]], [[9]], [[0]]]])})
    found = spread(RUN, [RUN, other])
    accuracy, difference, agreement = found["spread"]
    assert found["accuracy_unperturbed_percent"] == 50
    assert (accuracy["mean"], accuracy["min"], accuracy["max"]) == (75, 50, 100)
    assert (difference["min"], difference["max"]) == (0, 100)
    assert difference["sd"] == pytest.approx(70.7107, abs=1e-4)
    assert agreement["min"] == 50
    assert spread(RUN, [RUN])["spread"][0]["sd"] is None
