"""Energy: an estimate with its source, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace

from helpers.recordings import TWO_SAMPLES as RUN

from deploytool.validate.energy import energy


def test_energy_is_an_estimate_with_its_source_and_never_a_guess() -> None:
    said = energy(RUN)
    assert said.startswith("estimate: 840 uJ per sample at rest")
    assert "Nature Communications" in said
    assert "not estimated" in said
    assumed = energy(RUN, pj_per_synop=1000)
    assert "840 at rest" in assumed
    assert "0.2 for synaptic updates (assumed by you: 1000 pJ each)" in assumed
    assert energy(replace(RUN, rung="torch")).startswith("not estimated")
