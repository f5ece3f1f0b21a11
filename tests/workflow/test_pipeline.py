"""The whole chain: what training and running have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command import RECIPE, answer, invoke


@pytest.mark.parametrize("bins", ["time", "count"])
def test_integers_in_time_steps_are_what_was_trained(tmp_path: Path, bins: str) -> None:
    """Samples are binned as in training; steps of equal time would give other counts than steps of equal counts."""
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.partition("[validate]")[0])
    asked = (f"data.bins={bins}", 'run.on=["quantised"]', "train.epochs=1", "data.test_samples=12")
    options = [argument for option in asked for argument in ("--set", option)]
    found = answer(invoke(tmp_path, "pipeline", recipe, *options, "--json"))
    (difference,) = found["spike_difference"]
    assert (difference["reference"], difference["test"]) == ("quantised", "torch")
    assert difference["output"]["exact_counts"] == 100.0
    program = answer(invoke(tmp_path, "show", "--json"))["artifacts"]
    name = next(row["artifact"] for row in program if row["artifact"].startswith("program-"))
    asked = ("--data", "digits", "--samples", 12, "--on", "quantised", "--time-steps", 6, "--json")
    mine, other = (answer(invoke(tmp_path, "run", name, *asked, "--bins", each)) for each in (bins, "time"))
    assert (mine["artifact"] == other["artifact"]) == (bins == "time")
