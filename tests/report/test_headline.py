"""The strip of headline figures: each with its unit and what it is of, or why it is not known."""

from __future__ import annotations

import dataclasses

import numpy as np
from helpers import report_example as example

from deploytool.chip.chips import CHIPS
from deploytool.ir.verdict import CoreLoad, Decision, Verdict
from deploytool.recipe import ValidateSection
from deploytool.report.headline import headlines
from deploytool.validate.ladder import judge


def measured() -> Verdict:
    """A verdict whose emulator has a load, an energy and decisions."""
    runs = {run.rung: run for run in example.recordings("torch", "emulator")}
    found = judge(runs, ValidateSection())
    loads = (CoreLoad("conv1", "conv1", 0, 1e5, 3e6, 2e6), CoreLoad("conv2", "conv2", 3, 2e5, 15.2e6, 8e6))
    known = {"load": loads, "energy_uj": 164.7, "power_mw": 1.65, "decision": Decision(60, 8.8, 2.0, 90.0)}
    rungs = [dataclasses.replace(rung, **known) if rung.name == "emulator" else rung for rung in found.rungs]
    return dataclasses.replace(found, rungs=tuple(rungs))


def test_every_figure_has_its_unit_and_what_it_is_of() -> None:
    verdict = measured()
    found = {each.title: (each.value, each.note) for each in headlines(verdict, example.program(), CHIPS["speck2e"])}
    run = verdict.ran["emulator"]
    assert found["Accuracy"] == ("100.00\u202f%", f"emulator, {run.right} of 60 right")
    assert found["Cores"] == ("4 of 9", "Speck2e")
    assert found["Energy"] == ("164.70\u202fµJ", "per sample, an estimate, 1.65\u202fmW")
    assert found["Latency"] == ("8.80\u202fms", "first event to decision, median of 60")
    assert found["Busiest core"] == ("15.20\u202fM/s", "SynOps in its busiest ms: core 3, conv2")
    assert found["Spike Difference"][1] == "output, pooled: torch from emulator"


def test_what_is_not_known_says_why() -> None:
    (run,) = example.recordings("torch", samples=2, rasters=0)
    verdict = judge({"r": dataclasses.replace(run, labels=np.full(2, -1))}, ValidateSection())
    found = headlines(verdict, example.program("simulator"), None)
    assert [each.value for each in found] == [None] * 6
    assert all(each.note for each in found)
