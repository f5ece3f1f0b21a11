"""Program files: ``program.json``, and ``program.safetensors`` with the arrays that it refers to.

The JSON holds a Program field by field, with arrays as ``{"array": name}``. ``version`` is the format version; older
files are upgraded step by step when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import ArtifactError, InputError, UnsupportedError
from deploytool.base.json_text import canonical_json, read_json
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.chip.chips import chip_names
from deploytool.ir.decoder import Decoder
from deploytool.ir.neurons import Leak, Neurons
from deploytool.ir.program import Layer, Program, Route, Synapses
from deploytool.ir.program_schema import NEED, check
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import level_of, verify

FILE: Final = "program.json"
ARRAYS_FILE: Final = "program.safetensors"
VERSION: Final = 5
Described: TypeAlias = dict[str, Any]
"""The contents of ``program.json``, with arrays inserted."""


def save_program(program: Program, folder: Path) -> None:
    """Writes ``program.json`` (everything but arrays) and ``program.safetensors`` (the arrays) into ``folder``."""
    arrays: dict[str, Array] = {}
    described = {
        "version": VERSION,
        "chip": program.chip,
        "arithmetic": program.arithmetic,
        "input_shape": program.input_shape,
        "input_routes": _plain(program.input_routes, "input", arrays),
        "outputs": program.outputs,
        "graph_digest": program.graph_digest,
        "core_of": dict(program.core_of),
        "slow_clock_hz": program.slow_clock_hz,
        "decoder": _plain(program.decoder, "decoder", arrays),
        "order": list(program.layers),
        "layers": {name: _plain(layer, name, arrays) for name, layer in program.layers.items()},
    }
    (folder / FILE).write_text(canonical_json(described), encoding="utf-8")
    write_tensors(arrays, folder / ARRAYS_FILE)


def load_program(folder: Path) -> Program:
    """The program in ``folder``, written by ``save_program`` of this or an older version.

    Raises ArtifactError for a file of a newer version, and, naming the field, for one that describes no program.
    """
    path = folder / FILE
    described, arrays = _described(path), read_tensors(folder / ARRAYS_FILE)
    version = described.pop("version", 1)
    try:
        for older in range(version, VERSION):
            described = UPGRADES[older](described, arrays)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArtifactError(str(path), f"not readable as version {version} ({error!r})", NEED) from None
    check(described, arrays, str(path))
    try:
        program = _program(_with_arrays(described, arrays))
        verify(program, Level.MAPPED if program.chip in chip_names() else level_of(program))
    except (InputError, UnsupportedError) as error:
        raise ArtifactError.of_problems(error.reworded(lambda says: f"{path}: {says}").problems) from None
    return program


def _described(path: Path) -> Described:
    """The JSON object in ``path``, of this or an older version, not yet validated."""
    described = read_json(path)
    version = described.get("version", 1) if isinstance(described, dict) else 0
    if type(version) is not int or version < 1:
        raise ArtifactError(str(path), "no JSON object with the version of its format", NEED)
    if version > VERSION:
        found, need = f"a program of format version {version}", f"version {VERSION} or older"
        raise ArtifactError(str(path), found, need, "Update deploytool, or map the network again.")
    return dict(described)


def _program(described: Described) -> Program:
    layers = {name: _layer(described["layers"][name]) for name in described.pop("order")}
    decoder = described["decoder"] and Decoder(**described["decoder"])
    made = {"layers": layers, "input_routes": _routes(described["input_routes"]), "decoder": decoder}
    return Program(**described | made)


def _plain(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """``value`` as JSON values; its arrays are added to ``arrays`` under names that begin with ``name``."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value):
        values = {field.name: getattr(value, field.name) for field in fields(value)}
        return {key: _plain(item, f"{name}.{key}", arrays) for key, item in values.items()}
    if isinstance(value, tuple):
        return [_plain(item, f"{name}.{number}", arrays) for number, item in enumerate(value)]
    return value


def _with_arrays(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The inverse of `_plain`: inserts arrays and turns lists into tuples."""
    if isinstance(value, dict):
        if value.keys() == {"array"} and isinstance(value["array"], str):
            return arrays[value["array"]]
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    return tuple(_with_arrays(item, arrays) for item in value) if isinstance(value, list) else value


def _layer(described: Described) -> Layer:
    neurons = described["neurons"]
    leak = (given := neurons.get("leak")) and Leak(**given)
    return Layer(
        **described
        | {
            "synapses": tuple(Synapses(**each) for each in described["synapses"]),
            "neurons": Neurons(**neurons | {"leak": leak}),
            "routes": _routes(described.get("routes", ())),
        }
    )


def _routes(described: tuple[Described, ...]) -> tuple[Route, ...]:
    return tuple(Route(**each) for each in described)


def branches_to_synapses(described: Described, arrays: Mapping[str, Array]) -> Described:
    """Version 1 to 2: ``synapses`` and ``neurons`` replace the flat fields of a layer and its ``branches``.

    In version 1 null stands for an array, which is named after its field.
    """

    def field(name: str, layer: Described, key: str) -> Any:
        return {"array": f"{name}.{key}"} if f"{name}.{key}" in arrays else layer.get(key)

    def some(name: str, layer: Described, *keys: str) -> Described:
        return {key: field(name, layer, key) for key in keys if key in layer}

    def layer(name: str, old: Described) -> Described:
        leak = None if field(name, old, "tau_ms") is None else some(name, old, "tau_ms", "v_leak", "tau_syn_ms")
        geometry = "in_shape", "out_shape", "stride", "padding", "dilation", "groups"
        first = some(name, old, "weights", *geometry)
        others = (
            {**branch, "weights": {"array": f"{name}.branch{number}.weights"}}
            for number, branch in enumerate(old.get("branches", ()), start=1)
        )
        neurons = some(name, old, "threshold", "floor", "reset", "v_init", "v_reset", "at_most_one") | {"leak": leak}
        others_of_layer = some(name, old, "bias", "scale", "sources", "part_of")
        return others_of_layer | {"synapses": [first, *others], "neurons": neurons, "routes": routes(old["routes"])}

    def routes(old: list[Described]) -> list[Described]:
        return [{"synapses" if key == "branch" else key: item for key, item in route.items()} for route in old]

    layers = {name: layer(name, old) for name, old in described["layers"].items()}
    return {**described, "layers": layers, "input_routes": routes(described["input_routes"])}


def without_clock(described: Described, _arrays: Mapping[str, Array]) -> Described:
    """Version 2 to 3: no program has a slow clock, and no layer an output decimator."""
    layers = {name: {**layer, "decimation": 1} for name, layer in described["layers"].items()}
    return {**described, "layers": layers, "slow_clock_hz": None}


def without_balancers(described: Described, _arrays: Mapping[str, Array]) -> Described:
    """Version 3 to 4: no layer has a congestion balancer."""
    layers = {name: {**layer, "balancer": None} for name, layer in described["layers"].items()}
    return {**described, "layers": layers}


def without_decoder(described: Described, _arrays: Mapping[str, Array]) -> Described:
    """Version 4 to 5: no program reads values from its output."""
    return {**described, "decoder": None}


UPGRADES: Final[Mapping[int, Callable[[Described, Mapping[str, Array]], Described]]] = {
    1: branches_to_synapses,
    2: without_clock,
    3: without_balancers,
    4: without_decoder,
}
"""{version: function that upgrades its JSON to the next version}."""
