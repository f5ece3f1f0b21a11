"""The output of `check` on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploytool.base.numbers import figure


def fit_for_terminal(report: Mapping[str, Any]) -> dict[str, Any]:
    """The output of `check --json` for a terminal: problems first, empty parts left out."""
    broken, cost = len(report["issues"]), report.get("cost", {})
    sentence = (
        f"does not fit {report['chip']}: {broken} problem{'s' if broken > 1 else ''}"
        if broken
        else f"fits {report['chip']}"
    )
    if not broken and not report["fits"]:
        sentence += ", and map refuses its weights"
    originals = any(layer.get("original") for layer in report["layers"])
    parts = {
        "applied": _numbered([report["applied"]]) if "applied" in report else [],
        "written": report.get("written"),
        "problems": [f"{issue['says']} {issue['hint']}" for issue in report["issues"]],
        "refused later": [f"{refusal['command']}: {refusal['says']}" for refusal in report["refused_later"]],
        "warnings": report["warnings"],
        "suggestions": _numbered(report["suggestions"]),
        "split": [f"{split['layer']} into {', '.join(split['into'])}: {split['why']}" for split in report["splits"]],
        "free growth": report["growth"],
        "energy": cost.get("energy"),
        "busiest core": cost.get("busiest_core"),
        "latency": cost.get("latency"),
        "load": cost.get("load"),
        "layers": [
            {
                "layer": layer["name"],
                **({"original": layer["original"]} if originals else {}),
                "kernel words": layer["kernel_words"],
                "neuron words": layer["neuron_words"],
                "fits cores": _ranges(layer["fits_cores"]),
                "core": layer["core"],
            }
            for layer in report["layers"]
        ],
    }
    found = {name: part for name, part in parts.items() if part}
    return {"network": sentence, **found, **_recordings(report.get("data"))}


def _recordings(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a recipe's own recordings are."""
    if data is None:
        return {}
    formats = ", ".join(f"{number:,} {name}" for name, number in data["formats"].items())
    read = "all" if data["looked_at"] == data["recordings"] else f"{data['looked_at']:,}"
    samples = "" if data["samples"] is None else f", {data['samples']:,} samples"
    return {
        "data": f"{data['recordings']:,} recordings{samples} on a map of {'x'.join(map(str, data['map']))}",
        "formats": formats,
        "split": f"by {data['split']}",
        f"events per sample ({read} read)": _spread(data["events_per_sample"]),
        "duration in ms": _spread(data["duration_ms"]),
        **({"about the data": data["warnings"]} if data["warnings"] else {}),
        "classes": data["classes"],
    }


def _spread(values: Mapping[str, float]) -> str:
    return f"{figure(values['least'])} to {figure(values['most'])}, median {figure(values['median'])}"


def _numbered(suggestions: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{each['number']}. {each['says']} ({each['cost']['says']})" for each in suggestions]


def _ranges(numbers: Sequence[int]) -> str:
    """``0-2, 5`` for [0, 1, 2, 5]."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "none"
