"""Result tables of claims: mean and spread over seeds, and whether the expectations hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any, TypeAlias

from deploytool.bench.experiments.claim import Claim, Expectation

Measured: TypeAlias = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""{arm: {seed: {figure: value}}}."""


def rows(claim: Claim, measured: Measured) -> dict[str, Any]:
    """The claim with one row per arm and one per expectation; "not run" if nothing was measured."""
    head = {"says": claim.says, "source": claim.source, "paper": claim.paper, "cost": claim.cost}
    if not measured:
        return {**head, "status": f"not run: it needs the data set {claim.needs}, in a folder given by --root"}
    return {
        **head,
        "status": "run",
        "arms": [_arm(arm, measured.get(arm, {})) for arm in claim.arms],
        "expected": [_judged(expected, measured) for expected in claim.expect],
    }


def _arm(arm: str, by_seed: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    good = [figures for figures in by_seed.values() if "failed" not in figures]
    row: dict[str, Any] = {"arm": arm, "seeds": len(good)}
    for name in dict.fromkeys(name for figures in good for name in figures):
        row[name] = spread([figures[name] for figures in good if figures.get(name) is not None])
    if failed := {figures["failed"] for figures in by_seed.values() if "failed" in figures}:
        row["failed"] = "; ".join(sorted(failed))
    return row


def spread(values: list[Any]) -> str:
    """``values`` as "mean +- standard deviation"."""
    if not values or not all(isinstance(value, int | float) for value in values):
        return ", ".join(map(str, dict.fromkeys(values))) or "-"
    if 0 < max(abs(value) for value in values) < 1e-5:
        return f"at most {max(abs(value) for value in values):.0e}"
    digits = _digits(max(abs(value) for value in values))
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{deviation}"


def _digits(largest: float) -> int:
    """The number of decimal places worth showing, for numbers from 1e-5 on."""
    return 0 if largest >= 1000 else 1 if largest >= 10 else 3 if largest >= 0.01 or largest == 0 else 6


def _judged(expected: Expectation, measured: Measured) -> dict[str, Any]:
    """Whether the difference, seed by seed, is as expected: by more than two standard errors, or not."""
    differences = []
    for seed, figures in measured.get(expected.better, {}).items():
        other = measured.get(expected.than, {}).get(seed, {})
        one, two = figures.get(expected.figure), other.get(expected.than_figure or expected.figure)
        if one is not None and two is not None:
            differences.append(two - one if expected.smaller else one - two)
    row: dict[str, Any] = {"says": expected.says}
    if len(differences) < 2:
        return row | {"difference": "-", "verdict": "not run"}
    error = stdev(differences) / math.sqrt(len(differences))
    over = mean(differences) - expected.margin
    verdict = "agrees" if over > 2 * error else "disagrees" if over < -2 * error else "undecided"
    if over == error == 0:
        verdict = "no difference"
    return row | {"difference": spread(differences), "verdict": verdict}


def for_terminal(results: Mapping[str, Any]) -> dict[str, Any]:
    """``results`` with the figures of an arm in one column, which a terminal can wrap."""
    shown = {}
    for name, result in results.items():
        shown[name] = dict(result)
        if "arms" in result:
            shown[name]["arms"] = [
                {
                    "arm": row["arm"],
                    "seeds": row["seeds"],
                    "figures": " · ".join(f"{name} {row[name]}" for name in row if name not in ("arm", "seeds")),
                }
                for row in result["arms"]
            ]
    return shown


def as_markdown(found: Mapping[str, Claim], results: Mapping[str, Mapping[str, Any]]) -> str:
    """All claims as one page."""
    parts = [
        "# Claims of the papers, as measured\n",
        "Mean ± standard deviation over seeds; models are chosen on validation samples. Expected differences are taken"
        " seed by seed: they agree, or disagree, by more than two standard errors.\n",
    ]
    for name in found:
        result = results[name]
        parts += [f"## {name}\n", f"{result['says']} ({result['source']})\n", f"Paper: {result['paper']}\n"]
        parts.append(f"Comparable: {result['cost']}\n")
        if result["status"] != "run":
            parts.append(result["status"] + "\n")
            continue
        parts.append(_table(result["arms"]))
        if result["expected"]:
            parts.append(_table(result["expected"]))
    return "\n".join(parts)


def _table(listed: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in listed for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row.get(name, "-")) for name in names) + " |" for row in listed]
    return "\n".join(lines) + "\n"
