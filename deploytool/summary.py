"""What an artifact says in a few lines, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from deploytool.artifact import Artifact, Kind, Store
from deploytool.chip import CHIPS
from deploytool.digest import read_json
from deploytool.events import format_shape
from deploytool.lineage import ancestors, lineage
from deploytool.program import Program, load_program
from deploytool.recording import load_recording
from deploytool.verdict import load_verdict


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


def contents(store: Store) -> list[dict[str, Any]]:
    """One row per artifact of ``store``, newest first."""
    found = [store.get(str(path)) for path in store.folders()]
    return [
        {"artifact": artifact.name, "made_from": ", ".join(lineage(store, artifact)) or "-"} for artifact in found
    ]  # fmt: skip


def _model(path: Path) -> dict[str, Any]:
    history = read_json(path / "history.json")
    best = max(history, key=lambda epoch: epoch["validation_accuracy"])
    return {"epochs": len(history), "validation_accuracy_percent": best["validation_accuracy"]}


def _graph(path: Path) -> dict[str, Any]:
    from deploytool.convert.nir import read_nir

    graph = read_nir(path / "network.nir")
    return {
        "nodes": [
            {"node": name, "type": type(graph.nodes[name]).__name__, "shape": format_shape(graph.shapes[name])}
            for name in graph.order
        ]
    }


def _program(path: Path) -> dict[str, Any]:
    program = load_program(path)
    return {
        "target": program.chip, "arithmetic": program.arithmetic, "input": format_shape(program.input_shape),
        "layers": [_layer(program, name) for name in program.layers],
        "splits": read_json(path / "splits.json") if (path / "splits.json").exists() else [],
        **_calibration(path / "calibration.json"),
    }  # fmt: skip


def _calibration(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    told = read_json(path)
    rows = [
        {"layer": row["layer"], "kept": row["kept"], "alone_percent": _gain(row["alone_held_out"]),
         "in_network_percent": _gain(row["network_held_out"])}
        for row in told["layers"]
    ]  # fmt: skip
    return {"calibration": told["says"], "spike_difference": rows}


def _gain(gain: dict[str, float | None]) -> str:
    return " -> ".join("-" if gain[rule] is None else f"{gain[rule]:.2f}" for rule in ("plain", "calibrated"))


def _layer(program: Program, name: str) -> dict[str, Any]:
    layer = program.layers[name]
    row: dict[str, Any] = {
        "layer": name, "weights": "x".join(map(str, layer.weights.shape)), "in": format_shape(layer.in_shape),
        "out": format_shape(layer.out_shape), "to": ", ".join(route.to for route in layer.routes) or "readout",
    }  # fmt: skip
    if program.chip in CHIPS:
        row |= {"core": program.core_of[name], "threshold": layer.threshold, "floor": layer.floor}
    return row


def _recording(path: Path) -> dict[str, Any]:
    recording = load_recording(path)
    labelled = recording.labels >= 0
    right = recording.predictions[labelled] == recording.labels[labelled]
    return {
        "rung": recording.rung,
        "samples": len(recording),
        "accuracy_percent": round(100 * float(right.mean()), 2) if labelled.any() else None,
        "synops_per_sample": round(float(recording.synops.mean())) if len(recording) else None,
        "layers": [
            {"layer": name, "shape": format_shape(counts.shape[1:]),
             "spikes_per_sample": round(float(counts.sum() / max(len(recording), 1)), 1)}
            for name, counts in recording.counts.items()
        ],
    }  # fmt: skip


def _verdict(path: Path) -> dict[str, Any]:
    report = load_verdict(path).report
    return {
        "verdict": report["verdict"]["says"],
        "checks": [
            {"check": check["says"], "passed": {True: "yes", False: "NO", None: "not run"}[check["passed"]]}
            for check in report["verdict"]["checks"]
        ],
        "rungs": [
            {"rung": rung["name"], "status": rung["status"], "accuracy_percent": rung["accuracy"],
             "samples": rung["samples"], "synops_per_sample": rung["synops"]}
            for rung in report["rungs"]
        ],
        "spike_difference": [
            {"reference": pair["reference"], "test": pair["test"], "output_pooled_percent": pair["output"]["pooled"],
             "output_mean_percent": pair["output"]["mean"]}
            for pair in report["spike_difference"]
        ],
    }  # fmt: skip


def _report(path: Path) -> dict[str, Any]:
    return {"page": str(path / "report.html")}


SUMMARIES: Final[Mapping[Kind, Callable[[Path], dict[str, Any]]]] = MappingProxyType({
    "model": _model, "graph": _graph, "program": _program, "recording": _recording, "verdict": _verdict,
    "report": _report,
})  # fmt: skip
