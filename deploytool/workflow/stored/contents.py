"""The content of an artifact in a few lines: a function per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.arrays import format_shape
from deploytool.base.numbers import figure, rounded
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import DROPPED, Recording
from deploytool.ir.recording_file import load_recording
from deploytool.ir.score import score_of
from deploytool.ir.streams_file import load_streams
from deploytool.store.artifact import Artifact
from deploytool.store.file_names import (
    CALIBRATION,
    HISTORY,
    NETWORK,
    PAGE,
    QUANTISATION,
    SELFTEST,
    SELFTEST_PAGE,
    SPLITS,
)
from deploytool.store.manifest import Kind
from deploytool.workflow.sources.networks import originals_of
from deploytool.workflow.sources.stated import stated
from deploytool.workflow.stored.scores import answers, decisions, errors_of, separations_of, validation_score

if TYPE_CHECKING:
    from deploytool.ir.sweep import Curve
    from deploytool.ir.verdict import LayerFigures


def content_of(artifact: Artifact) -> dict[str, Any]:
    """The content of ``artifact`` in short, as plain values."""
    return CONTENTS[artifact.kind](artifact)


def _model(artifact: Artifact) -> dict[str, Any]:
    history = artifact.stored_json(HISTORY)
    return {
        "epochs": len(history),
        **validation_score(history),
        "history": history,
    }


def _graph(artifact: Artifact) -> dict[str, Any]:
    from deploytool.convert.nir import read_nir

    graph, originals = read_nir(artifact.path / NETWORK), originals_of(artifact)

    def row(name: str) -> dict[str, Any]:
        known = {"original": originals.get(name)} if originals else {}
        return {
            "node": name,
            **known,
            "type": type(graph.nodes[name]).__name__,
            "shape": format_shape(graph.shapes[name]),
        }

    return {"nodes": [row(name) for name in graph.order]}


def _program(artifact: Artifact) -> dict[str, Any]:
    program = load_program(artifact.path)
    return {
        "target": program.chip,
        "arithmetic": program.arithmetic,
        "input": format_shape(program.input_shape),
        **({} if program.slow_clock_hz is None else {"slow_clock_hz": program.slow_clock_hz}),
        "layers": [_layer(program, name) for name in program.layers],
        "splits": artifact.read_json(SPLITS) or [],
        "warnings": [warning for layer in artifact.read_json(QUANTISATION) or () for warning in layer["warnings"]],
        **_calibration(artifact),
    }


def _calibration(artifact: Artifact) -> dict[str, Any]:
    found = artifact.read_json(CALIBRATION)
    if found is None:
        return {}
    rows = [
        {
            "layer": row["layer"],
            "kept": row["kept"],
            "alone_percent": _gain(row["alone_held_out"]),
            "in_network_percent": _gain(row["network_held_out"]),
        }
        for row in found["layers"]
    ]
    return {"calibration": found["says"], "spike_difference": rows}


def _gain(gain: dict[str, float | None]) -> str:
    plain, calibrated = gain["plain"], gain["calibrated"]
    return f"{'-' if plain is None else figure(plain)} -> {'-' if calibrated is None else figure(calibrated)}"


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
    if any(layer.decimation > 1 for layer in program.layers.values()):
        row["decimation"] = layer.decimation
    if any(layer.balancer for layer in program.layers.values()):
        row["balancer_synops_per_s"] = layer.balancer
    if program.biased:
        row["leaks"] = name in program.biased
    return row


def _samples(artifact: Artifact) -> dict[str, Any]:
    streams = load_streams(artifact.path)
    durations_us, labels = streams.columns["durations_us"], streams.labels
    return {
        "data": stated(artifact, "data").get("set"),
        "samples": len(streams),
        "events": len(streams.events),
        "map": ", ".join(map(format_shape, streams.shapes)),
        "classes": len(set(labels[labels >= 0].tolist())),
        "duration_ms": float(durations_us.mean()) / 1000 if len(streams) else None,
        "megabytes": rounded(streams.events.nbytes / 1e6),
    }


def _recording(artifact: Artifact) -> dict[str, Any]:
    from deploytool.validate.activity import layer_figures
    from deploytool.validate.energy import energy
    from deploytool.validate.load import core_loads, load_sentence
    from deploytool.validate.metrics import synops_per_sample

    recording = load_recording(artifact.path)
    figures, estimated, loads = layer_figures(recording), energy(recording), core_loads(recording)
    return {
        "rung": recording.rung,
        "samples": len(recording),
        **answers(recording),
        "synops_per_sample": rounded(synops_per_sample(recording)),
        "perturbation": recording.setup.perturbation or None,
        **({"imported_from": recording.setup.imported} if recording.setup.imported else {}),
        **decisions(recording),
        "energy": estimated.says,
        "energy_uj_per_sample": estimated.uj_per_sample,
        "power_mw": estimated.mw,
        "busiest_core": load_sentence(loads),
        **_measured(recording),
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
        "load": [asdict(load) for load in loads],
    }


def _measured(recording: Recording) -> dict[str, Any]:
    """The events that congestion balancers dropped, and the figures that only a board has, if there are any.

    A figure is taken over the samples that have it.
    """
    rows, dropped = [], []
    for name, values in recording.measured.items():
        known = values[~np.isnan(values)]
        if name.startswith(DROPPED) and len(known):
            dropped.append(
                {"layer": name.removeprefix(DROPPED), "dropped": int(known.sum()), "most_per_sample": int(known.max())}
            )
        elif len(known):
            rows.append(
                {"figure": name, "mean": float(known.mean()), "min": float(known.min()), "max": float(known.max())}
            )
    return {key: found for key, found in (("dropped_events", dropped), ("board", rows)) if found}


def _range(layer: LayerFigures) -> str:
    """The range of V before reset, measured or possible."""
    return layer.v_is if layer.v_lowest is None else f"{layer.v_lowest}..{layer.v_highest} ({layer.v_is})"


def _verdict(artifact: Artifact) -> dict[str, Any]:
    from deploytool.ir.verdict_file import load_verdict
    from deploytool.validate.cost import cost_lines

    verdict = load_verdict(artifact.path)
    scored = list(dict.fromkeys(name for rung in verdict.ran.values() for name in score_of(rung).columns))
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
                "time_steps": rung.time_steps,
                **{name: score_of(rung).columns.get(name) for name in scored},
                "samples": rung.samples,
                "synops_per_sample": rung.synops,
            }
            for rung in verdict.rungs
        ],
        **errors_of(verdict),
        **separations_of(verdict),
        "spike_difference": [
            {
                "reference": pair.reference,
                "test": pair.test,
                "output_pooled_percent": pair.output.pooled,
                "output_mean_percent": pair.output.mean,
                **({} if pair.values is None else {"values_rms": pair.values.rms}),
            }
            for pair in verdict.differences
        ],
        **cost_lines(verdict.rungs),
    }


def _sweep(artifact: Artifact) -> dict[str, Any]:
    from deploytool.ir.sweep_file import load_sweep

    sweep = load_sweep(artifact.path)
    return {"data": sweep.data, "samples": sweep.samples, **{_title(curve): _points(curve) for curve in sweep.curves}}


def _title(curve: Curve) -> str:
    varied = f", early exit by {curve.quantity}" if curve.of.how == "exit" else ""
    reference = f"; difference from {curve.reference}" if curve.reference and not varied else ""
    return f"{curve.model} on {curve.on}{varied}{reference}"


def _points(curve: Curve) -> list[dict[str, Any]]:
    """A row for each point. A figure that is known of no point has no column."""
    rows = []
    for point in curve.points:
        perturbed, exits = curve.of.how == "perturb", curve.of.how == "exit"
        row: dict[str, Any] = {
            "accuracy": point.accuracy,
            "of_draws" if perturbed else "95_%": _span(point.range if perturbed else point.interval_95),
            "difference": None if exits else point.spike_difference,
            "SynOps": point.synops,
            "events": None if curve.quantity == "events" else point.events,
            "ms": None if curve.quantity == "until_ms" else point.ms,
        }
        rows.append(row)
    known = {key for row in rows for key, value in row.items() if value is not None} | {"accuracy"}
    varied = "ms" if curve.quantity == "until_ms" else curve.quantity
    return [
        {varied: point.value, **{key: value for key, value in row.items() if key in known}}
        for point, row in zip(curve.points, rows, strict=True)
    ]


def _span(span: tuple[float, float] | None) -> str | None:
    return None if span is None else f"{figure(span[0])}-{figure(span[1])}"


def _selftest(artifact: Artifact) -> dict[str, Any]:
    return selftest_in_short(artifact.stored_json(SELFTEST)) | {"page": str(artifact.path / SELFTEST_PAGE)}


def selftest_in_short(found: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON values of a self-test for a terminal: what is wrong, every answer, and the rates."""
    wrong = [row for row in found["cases"] if not row["passed"]]
    return {
        "device": found["device"],
        "selftest": found["selftest"],
        "wrong": [{"test": row["id"], "core": row["core"], "found": row["says"]} for row in wrong],
        "questions": [
            {
                "test": row["id"],
                "core": row["core"],
                "answer": "not run" if row["found"] is None else row["found"],
                "as_assumed": {True: "yes", False: "NO", None: "not run"}[row["as_assumed"]],
            }
            for row in found["questions"]
        ],
        "speed": [
            {"core": row["core"], "events_per_s": row["events_per_s"], "synops_per_s": row["synops_per_s"]}
            for row in found["speeds"]
        ],
        "spread_percent": found["spread_percent"],
    }


def _report(artifact: Artifact) -> dict[str, Any]:
    return {"page": str(artifact.path / PAGE)}


CONTENTS: Final[Mapping[Kind, Callable[[Artifact], dict[str, Any]]]] = MappingProxyType(
    {
        "model": _model,
        "graph": _graph,
        "program": _program,
        "samples": _samples,
        "recording": _recording,
        "verdict": _verdict,
        "sweep": _sweep,
        "selftest": _selftest,
        "report": _report,
    }
)
