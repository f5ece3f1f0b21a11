"""The program on the page: its cores, its layers, how it was quantised, calibrated and split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.base.numbers import percent, real, whole
from deploytool.chip.chips import Chip, Core
from deploytool.ir.program import INPUT, Program, Route
from deploytool.ir.verdict import Verdict
from deploytool.report.results import from_silicon

QUANTISATION: Final[tuple[tuple[str, str, str], ...]] = (
    ("layer", "Layer", "text"),
    ("scale", "Scale (per unit)", "real"),
    ("threshold", "θ (integer)", "whole"),
    ("floor", "Floor (integer)", "whole"),
    ("levels", "Levels used", "whole"),
    ("levels_before", "Levels before", "whole"),
    ("zeros", "Zeros", "percent"),
    ("zeros_before", "Zeros before", "percent"),
    ("relative_error", "Relative error of w/\u2060θ", "percent"),
    ("weight_max", "Largest w/\u2060θ", "real"),
    ("outlier", "Outlier", "real"),
)
"""(key, heading, kind) of the columns of the quantisation table; "percent" stands for a share of 1."""

GAINS: Final = ("alone", "alone_held_out", "network", "network_held_out")
"""Keys of the differences of a calibrated layer, in the order of the columns."""


@dataclass(frozen=True)
class Memory:
    """One memory of a core in words: what the layer uses, what that occupies in powers of two, and the capacity."""

    title: str
    held: int
    reserved: int
    total: int


@dataclass(frozen=True)
class CoreUse:
    """A core as the page draws it; ``layer`` is None if the core is free, ``note`` is a remark about it."""

    number: int
    core: Core
    layer: str | None
    note: str
    memories: tuple[Memory, ...]


def cores(program: Program, chip: Chip) -> list[CoreUse]:
    """Every core of the chip with the layer on it."""
    layer_on = {number: name for name, number in program.core_of.items()}
    return [_core(number, core, layer_on.get(number), program) for number, core in enumerate(chip.cores)]


def _core(number: int, core: Core, name: str | None, program: Program) -> CoreUse:
    if name is None:
        free = (Memory("kernel", 0, 0, core.kernel_words), Memory("neuron", 0, 0, core.neuron_words))
        return CoreUse(number, core, None, "free", free)
    layer = program.layers[name]
    synapses, taken = layer.single, layer.memory()
    memories = (
        Memory("kernel", synapses.weights.size, 1 << taken.kernel_bits, core.kernel_words),
        Memory("neuron", math.prod(layer.out_shape), 1 << taken.neuron_bits, core.neuron_words),
    )
    note = f"{synapses.in_shape[0]} → {layer.out_shape[0]} features, {pair_text(synapses.kernel)}"
    if layer.part_of:
        logical, first = layer.part_of
        note += f"; {logical}’s features {first} … {first + layer.out_shape[0] - 1} of {program.map_of(logical)[0]}"
    return CoreUse(number, core, name, note, memories)


def free_cores(cores: Sequence[CoreUse]) -> list[tuple[list[int], int, int]]:
    """(numbers of free cores, their words of kernel memory, their words of neuron memory), one per size."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for use in cores:
        if use.layer is None:
            by_size.setdefault((use.core.kernel_words, use.core.neuron_words), []).append(use.number)
    return [(numbers, *size) for size, numbers in by_size.items()]


def layers(program: Program, verdict: Verdict) -> list[dict[str, Any]]:
    """One row per layer of the program, the input first; spikes per sample of the rung nearest to silicon.

    Spikes are counted per logical layer: "whole" is its name. If the row is a part, "spikes_in" is the part whose row
    shows them.
    """
    spikes = next((rung.spikes for rung in from_silicon(verdict)), {})
    rows: list[dict[str, Any]] = [
        {
            "name": INPUT,
            "map": map_text(program.input_shape),
            "layer": None,
            "feeds": _feeds(program.input_routes),
            "core": None,
            "spikes": None,
        }
    ]
    for name, layer in program.layers.items():
        logical, _ = program.place_in(name)
        first = layer.synapses[0]
        feeds = _feeds(layer.routes) + (["answer"] if name in program.outputs else [])
        rows.append(
            {
                "name": name,
                "map": map_text(layer.out_shape),
                "layer": layer,
                "feeds": feeds,
                "core": program.core_of.get(name),
                "spikes": spikes.get(logical),
                "whole": logical if layer.part_of else None,
                "spikes_in": program.parts[logical][0],
                "weights": sum(int(synapses.weights.size) for synapses in layer.synapses),
                "threshold": _threshold(layer.neurons.threshold),
                "floor": _floor(layer.neurons.floor),
                "stride": pair_text(first.stride),
                "kernel": pair_text(first.kernel),
                "padding": pair_text(first.padding),
                "reset": "subtract" if layer.neurons.reset == "subtract" else "to zero",
            }
        )
    return rows


def _feeds(routes: Sequence[Route]) -> list[str]:
    return [
        route.to
        + (f", pooled {pair_text(route.pool)}" if route.pool != (1, 1) else "")
        + (f", features +{route.feature_shift}" if route.feature_shift else "")
        for route in routes
    ]


def map_text(shape: Shape) -> str:
    """``8×16×16``."""
    return "×".join(map(str, shape))


def pair_text(pair: tuple[int, int]) -> str:
    """``3×3``."""
    return f"{pair[0]}×{pair[1]}"


def _floor(floor: float | None) -> str:
    if floor is None:
        return "none"
    return whole(floor) if float(floor).is_integer() else real(floor)


def _threshold(threshold: float | Array) -> str:
    if isinstance(threshold, np.ndarray):
        return f"{threshold.min():.4g} … {threshold.max():.4g}"
    return f"{threshold:.6g}"


def split(found: Mapping[str, Any]) -> dict[str, str]:
    """The split layers, their parts, and the reason, in words."""
    return {"layer": found["layer"], "why": found["why"], "into": " and ".join(_listed(found["into"]))}


def _listed(names: Sequence[str]) -> list[str]:
    """[all names but the last joined by commas, the last name]; a single name alone."""
    return [", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names)


def quantisation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Headings, the cells of each row as (kind, value), and all warnings."""
    return {
        "headings": [(heading, kind) for _, heading, kind in QUANTISATION],
        "rows": [[(kind, row[key]) for key, _, kind in QUANTISATION] for row in rows],
        "warnings": [warning for row in rows for warning in row["warnings"]],
    }


def calibration(found: Mapping[str, Any]) -> dict[str, Any]:
    """The calibration result of each layer and of the output; differences read "plain → calibrated"."""
    return {
        "says": found["says"],
        "kept": found["kept"],
        "samples": found["samples"],
        "held_out": found["held_out"],
        "layers": [
            {**layer, "result": _result(layer), "gains": [_gain(layer[key]) for key in GAINS]}
            for layer in found["layers"]
        ],
        "output": [_gain(found[key]) for key in ("output", "output_held_out")],
    }


def _result(layer: Mapping[str, Any]) -> str:
    if layer["kept"]:
        return "kept"
    return "closer alone, not kept" if layer["found"] else "plain rule, none closer"


def _gain(gain: Mapping[str, float | None]) -> str:
    if gain["plain"] is None:
        return "no spikes"
    return f"{percent(gain['plain'])} → {percent(gain['calibrated'])}"
