"""What runs cost, in one line each: energy, time to the decision, and the busiest core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from deploytool.base.numbers import figure
from deploytool.ir.verdict import Rung
from deploytool.validate.activity import DECISION

NOT_KNOWN: Final = "not known: it was not measured"


def cost_lines(runs: Iterable[Rung]) -> dict[str, list[str]]:
    """{measure: a line for every run that was run}, for the measures that are known of at least one run."""
    ran = [run for run in runs if run.status == "run"]
    energy = [f"{run.name}: {run.energy}" for run in ran]
    decisions = [f"{run.name}: {_decision(run)}" for run in ran]
    busiest = [f"{run.name}: {run.busiest_core or NOT_KNOWN}" for run in ran]
    known = {
        "energy": energy if any(run.energy_uj is not None for run in ran) else [],
        "time to decision": decisions if any(run.decision and run.decision.samples for run in ran) else [],
        "busiest core": busiest if any(run.load for run in ran) else [],
    }
    return {name: lines for name, lines in known.items() if lines}


def _decision(run: Rung) -> str:
    found = run.decision
    if found is None or found.median_ms is None or found.min_ms is None or found.max_ms is None:
        return NOT_KNOWN
    span = f"{figure(found.min_ms)} to {figure(found.max_ms)}"
    return f"{figure(found.median_ms)} ms (median of {found.samples:,} samples, {span}), {DECISION}"
