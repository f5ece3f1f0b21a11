"""What an artifact says in a few lines, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.arrays import format_shape
from deploytool.base.digest import read_json
from deploytool.base.errors import ArtifactError
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.program_file import load_program
from deploytool.ir.recording_file import load_recording
from deploytool.ir.verdict import LayerFigures
from deploytool.ir.verdict_file import load_verdict
from deploytool.store.artifact import Artifact, Kind, Store
from deploytool.store.file_names import CALIBRATION, HISTORY, NETWORK, PAGE, QUANTISATION, SPLITS
from deploytool.store.lineage import ancestors, lineage

PROVENANCE: Final = ("digest", "made_by", "files", "recipe", "lineage")
"""The keys of a summary that say where an artifact came from."""


def summary(store: Store, artifact: Artifact) -> dict[str, Any]:
    """The name, the content in short and the whole lineage of ``artifact``."""
    return {
        "artifact": artifact.name,
        "kind": artifact.kind,
        "path": str(artifact.path),
        **SUMMARIES[artifact.kind](artifact.path),
        "digest": artifact.digest,
        "made_by": artifact.manifest.made_by,
        "files": sorted(artifact.manifest.files),
        "recipe": artifact.manifest.recipe,
        "lineage": [
            {"artifact": source.name, "made_from": ", ".join(lineage(store, source)) or "-"}
            for source in (artifact, *ancestors(store, artifact))
        ],
    }


def fit(report: Mapping[str, Any]) -> dict[str, Any]:
    """What `check --json` says, for a person: what is in the way first, empty parts left out."""
    broken = len(report["issues"])
    says = f"does not fit {report['chip']}: {broken} in the way" if broken else f"fits {report['chip']}"
    if not broken and not report["fits"]:
        says += ", and map refuses its weights"
    parts = {
        "in the way": [f"{issue['says']} {issue['hint']}" for issue in report["issues"]],
        "refused later": [f"{refusal['command']}: {refusal['says']}" for refusal in report["refused_later"]],
        "warnings": report["warnings"],
        "what would make it fit": [suggestion["says"] for suggestion in report["suggestions"]],
        "split": [f"{split['layer']} into {', '.join(split['into'])}: {split['why']}" for split in report["splits"]],
        "free growth": report["growth"],
        "layers": [
            {
                "layer": layer["name"],
                "kernel words": layer["kernel_words"],
                "neuron words": layer["neuron_words"],
                "fits cores": _ranges(layer["fits_cores"]),
                "core": layer["core"],
            }
            for layer in report["layers"]
        ],
    }
    return {"network": says, **{name: part for name, part in parts.items() if part}}


def _ranges(numbers: Sequence[int]) -> str:
    """``0-2, 5`` for [0, 1, 2, 5]."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "none"


def contents(store: Store) -> list[dict[str, Any]]:
    """One row per artifact of ``store``, newest first."""
    return [{"artifact": path.name, "made_from": _made_from(store, path)} for path in store.folders()]


def _made_from(store: Store, path: Path) -> str:
    """The names of what the artifact in ``path`` was made from, or what is wrong with it."""
    try:
        return ", ".join(lineage(store, store.get(str(path)))) or "-"
    except ArtifactError as error:
        return f"damaged: {error}"


def _model(path: Path) -> dict[str, Any]:
    history = read_json(path / HISTORY)
    best = max(history, key=lambda epoch: epoch.get("validation_accuracy", 0))
    best = next((epoch for epoch in history if "chosen" in epoch), best)
    return {"epochs": len(history), "validation_accuracy_percent": best.get("validation_accuracy")}


def _graph(path: Path) -> dict[str, Any]:
    from deploytool.convert.nir import read_nir

    graph = read_nir(path / NETWORK)
    return {
        "nodes": [
            {"node": name, "type": type(graph.nodes[name]).__name__, "shape": format_shape(graph.shapes[name])}
            for name in graph.order
        ]
    }


def _program(path: Path) -> dict[str, Any]:
    program = load_program(path)
    return {
        "target": program.chip,
        "arithmetic": program.arithmetic,
        "input": format_shape(program.input_shape),
        "layers": [_layer(program, name) for name in program.layers],
        "splits": read_json(path / SPLITS) if (path / SPLITS).exists() else [],
        "warnings": _quantisation_warnings(path / QUANTISATION),
        **_calibration(path / CALIBRATION),
    }


def _quantisation_warnings(path: Path) -> list[str]:
    return [warning for layer in read_json(path) for warning in layer["warnings"]] if path.exists() else []


def _calibration(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    told = read_json(path)
    rows = [
        {
            "layer": row["layer"],
            "kept": row["kept"],
            "alone_percent": _gain(row["alone_held_out"]),
            "in_network_percent": _gain(row["network_held_out"]),
        }
        for row in told["layers"]
    ]
    return {"calibration": told["says"], "spike_difference": rows}


def _gain(gain: dict[str, float | None]) -> str:
    return " -> ".join("-" if gain[rule] is None else f"{gain[rule]:.2f}" for rule in ("plain", "calibrated"))


def _layer(program: Program, name: str) -> dict[str, Any]:
    layer = program.layers[name]
    row: dict[str, Any] = {
        "layer": name,
        "weights": " + ".join("x".join(map(str, synapses.weights.shape)) for synapses in layer.synapses),
        "in": format_shape(layer.synapses[0].in_shape),
        "out": format_shape(layer.out_shape),
        "to": ", ".join(route.to for route in layer.routes) or "readout",
    }
    if program.chip != SIMULATOR:
        row |= {"core": program.core_of[name], "threshold": layer.neurons.threshold, "floor": layer.neurons.floor}
    return row


def _recording(path: Path) -> dict[str, Any]:
    from deploytool.validate.activity import decision, energy, layer_figures
    from deploytool.validate.metrics import accuracy

    recording = load_recording(path)
    figures = layer_figures(recording)
    right = accuracy(recording)
    return {
        "rung": recording.rung,
        "samples": len(recording),
        "accuracy_percent": None if right is None else round(right, 2),
        "synops_per_sample": round(float(recording.synops.mean())) if len(recording) else None,
        "perturbation": recording.perturbation or None,
        "decision": asdict(decision(recording)),
        "energy": energy(recording),
        "layers": [
            {
                "layer": layer.layer,
                "shape": format_shape(recording.counts[layer.layer].shape[1:]),
                "spikes_per_sample": layer.spikes_per_sample,
                "synops_per_sample": layer.synops_per_sample,
                "rate_hz": layer.rate_hz,
            }
            for layer in figures
        ],
        "neurons": [
            {
                "layer": layer.layer,
                "neurons": layer.neurons,
                "silent_neurons": layer.silent_neurons,
                "saturated_neurons": layer.saturated_neurons,
                "v_in_int16": _range(layer),
                "weights_above_threshold": layer.weights_above,
            }
            for layer in figures
        ],
    }


def _range(layer: LayerFigures) -> str:
    """How far V went, or can go, before reset."""
    return layer.v_is if layer.v_lowest is None else f"{layer.v_lowest}..{layer.v_highest} ({layer.v_is})"


def _verdict(path: Path) -> dict[str, Any]:
    verdict = load_verdict(path)
    return {
        "verdict": verdict.sentence,
        "checks": [
            {"check": check.says, "passed": {True: "yes", False: "NO", None: "not run"}[check.passed]}
            for check in verdict.checks
        ],
        "rungs": [
            {
                "rung": rung.name,
                "status": rung.status,
                "accuracy_percent": rung.accuracy,
                "samples": rung.samples,
                "synops_per_sample": rung.synops,
            }
            for rung in verdict.rungs
        ],
        "spike_difference": [
            {
                "reference": pair.reference,
                "test": pair.test,
                "output_pooled_percent": pair.output.pooled,
                "output_mean_percent": pair.output.mean,
            }
            for pair in verdict.differences
        ],
    }


def _report(path: Path) -> dict[str, Any]:
    return {"page": str(path / PAGE)}


SUMMARIES: Final[Mapping[Kind, Callable[[Path], dict[str, Any]]]] = MappingProxyType(
    {
        "model": _model,
        "graph": _graph,
        "program": _program,
        "recording": _recording,
        "verdict": _verdict,
        "report": _report,
    }
)
