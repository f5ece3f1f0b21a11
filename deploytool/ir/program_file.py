"""Programs on disk: ``program.json`` and ``program.safetensors``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.digest import canonical_json
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.ir.program import ARRAYS, Branch, Layer, Program, Route


def save_program(program: Program, folder: Path) -> None:
    """Writes ``program.json`` (everything but arrays) and ``program.safetensors`` (the arrays) into ``folder``."""
    arrays: dict[str, Array] = {}
    layers: dict[str, dict[str, Any]] = {}
    for name, layer in program.layers.items():
        fields = asdict(layer)
        for key in ARRAYS:
            if isinstance(fields[key], np.ndarray):
                arrays[f"{name}.{key}"] = fields[key]
                fields[key] = None
        for number, branch in enumerate(fields["branches"], start=1):
            arrays[f"{name}.branch{number}.weights"] = branch.pop("weights")
        layers[name] = fields
    described = {
        "chip": program.chip,
        "arithmetic": program.arithmetic,
        "input_shape": program.input_shape,
        "input_routes": [asdict(route) for route in program.input_routes],
        "outputs": program.outputs,
        "graph_digest": program.graph_digest,
        "core_of": dict(program.core_of),
        "order": list(program.layers),
        "layers": layers,
    }
    (folder / "program.json").write_text(canonical_json(described), encoding="utf-8")
    write_tensors(arrays, folder / "program.safetensors")


def load_program(folder: Path) -> Program:
    """The program that ``save_program`` wrote into ``folder``."""
    described = json.loads((folder / "program.json").read_text(encoding="utf-8"))
    arrays = read_tensors(folder / "program.safetensors")
    layers = {}
    for name in described["order"]:
        fields = described["layers"][name]
        for key in ARRAYS:
            if key in fields and fields[key] is None:
                fields[key] = arrays.get(f"{name}.{key}")
        branches = tuple(
            Branch(weights=arrays[f"{name}.branch{number}.weights"], **_tuples(branch))
            for number, branch in enumerate(fields.get("branches", ()), start=1)
        )
        part_of = fields.get("part_of")
        fields = _tuples(fields) | {
            "routes": _routes(fields["routes"]),
            "part_of": part_of and (str(part_of[0]), int(part_of[1])),
            "branches": branches,
        }
        layers[name] = Layer(**fields)
    return Program(
        chip=described["chip"],
        arithmetic=described["arithmetic"],
        input_shape=tuple(described["input_shape"]),
        input_routes=_routes(described["input_routes"]),
        layers=layers,
        outputs=tuple(described["outputs"]),
        graph_digest=described["graph_digest"],
        core_of=described["core_of"],
    )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def _routes(listed: list[dict[str, Any]]) -> tuple[Route, ...]:
    return tuple(Route(**_tuples(item)) for item in listed)
