"""From values to the rows and sentences of the page; every number gets its unit here or in the template."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.chip.chips import Chip, Core
from deploytool.ir.program import INPUT, Program, Route
from deploytool.ir.recording import RUNGS
from deploytool.ir.verdict import Rung, Verdict

RUNG_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "torch": "the trained network, in time steps",
        "quantised": "the chip's integers, in time steps",
        "simulator": "float32, event by event",
        "emulator": "the chip's integers, core by core, event by event",
        "board": "silicon",
    }
)

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

EVENT_DRIVEN: Final = ("board", "emulator", "simulator")
"""Rungs that run a program event by event, the one nearest to silicon first."""

CONFUSION_MAX: Final = 20
"""More classes than this are not drawn."""


def outcome(verdict: Verdict) -> tuple[str, str]:
    """(class, word) of the banner."""
    match verdict.passed, bool(verdict.checks):
        case True, _:
            return "good", "Passed"
        case False, _:
            return "bad", "Failed"
        case _, True:
            return "bad", "Not shown"
        case _:
            return "open", "No verdict"


def headline(verdict: Verdict) -> list[str]:
    """What a reader in a hurry should know, in at most three sentences."""
    sentences, ran = [], verdict.ran
    if deployed := next((ran[name] for name in EVENT_DRIVEN if name in ran), None):
        sentence = f"The {deployed.name} is right on {share(deployed.accuracy)} of {deployed.labelled:,} samples"
        trained = ran.get("torch")
        if trained and trained.accuracy is not None and deployed.accuracy is not None:
            sentence += f", the trained network on {share(trained.accuracy)}"
        sentences.append(sentence + "." if deployed.labelled else "No sample has a label, so accuracy is not known.")
    if "board" not in ran:
        sentences.append("No board was run: nothing in this report was measured on silicon.")
    return sentences


def ladder(verdict: Verdict) -> list[tuple[Rung, str]]:
    """The rungs, each with what it is."""
    return [(rung, RUNG_TITLES.get(rung.name, "another run of this rung")) for rung in verdict.rungs]


def differences(verdict: Verdict) -> dict[str, Any]:
    """Pairs, the layers they were compared on, one row of cells per layer, and the rungs that were not run."""
    pairs = verdict.differences
    names = list(dict.fromkeys(layer.layer for pair in pairs for layer in pair.layers))
    by_pair = [{layer.layer: layer for layer in pair.layers} for pair in pairs]
    return {
        "pairs": pairs,
        "rows": [(name, [layers.get(name) for layers in by_pair]) for name in names],
        "missing": [rung.name for rung in verdict.rungs if rung.name not in verdict.ran],
    }


def confusion(verdict: Verdict) -> dict[str, Any] | None:
    """The confusion matrix of the labelled rung that is nearest to silicon, with each row's total; None without one."""
    for rung in sorted(verdict.rungs, key=_distance):
        if matrix := rung.confusion:
            rows = [(row, sum(row)) for row in matrix] if len(matrix) <= CONFUSION_MAX else []
            return {"rung": rung.name, "classes": len(matrix), "rows": rows}
    return None


def _distance(rung: Rung) -> int:
    """How far ``rung`` is from silicon; another run of a rung is farther than any first one."""
    return -[*RUNGS].index(rung.name) if rung.name in RUNGS else len(RUNGS)


@dataclass(frozen=True)
class Memory:
    """One memory of a core in words: what the layer holds, what that takes up in powers of two, and what there is."""

    title: str
    held: int
    reserved: int
    total: int


@dataclass(frozen=True)
class CoreRow:
    """A core as the page draws it; ``layer`` is None where the core is free."""

    number: int
    core: Core
    layer: str | None
    says: str
    memories: tuple[Memory, ...]


def cores(program: Program, chip: Chip) -> list[CoreRow]:
    """Every core of the chip with the layer on it."""
    layer_on = {number: name for name, number in program.core_of.items()}
    return [_core(number, core, layer_on.get(number), program) for number, core in enumerate(chip.cores)]


def _core(number: int, core: Core, name: str | None, program: Program) -> CoreRow:
    if name is None:
        free = (Memory("kernel", 0, 0, core.kernel_words), Memory("neuron", 0, 0, core.neuron_words))
        return CoreRow(number, core, None, "free", free)
    layer = program.layers[name]
    synapses, taken = layer.single, layer.memory()
    memories = (
        Memory("kernel", synapses.weights.size, 1 << taken.kernel_bits, core.kernel_words),
        Memory("neuron", math.prod(layer.out_shape), 1 << taken.neuron_bits, core.neuron_words),
    )
    says = f"{synapses.in_shape[0]} → {layer.out_shape[0]} features, {_pair(synapses.kernel)}"
    if layer.part_of:
        logical, first = layer.part_of
        says += f"; {logical}’s features {first} … {first + layer.out_shape[0] - 1} of {program.map_of(logical)[0]}"
    return CoreRow(number, core, name, says, memories)


def layers(program: Program, verdict: Verdict) -> list[dict[str, Any]]:
    """One row per layer of the program, the input first; spikes per sample of the rung nearest to silicon.

    Spikes are counted per logical layer: "whole" is its name, and "spikes_in" the part in whose row they stand, where
    the row is a part.
    """
    nearest = min(verdict.ran.values(), key=_distance, default=None)
    spikes = nearest.spikes if nearest else {}
    rows: list[dict[str, Any]] = [
        {
            "name": INPUT,
            "map": _map(program.input_shape),
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
                "map": _map(layer.out_shape),
                "layer": layer,
                "feeds": feeds,
                "core": program.core_of.get(name),
                "spikes": spikes.get(logical),
                "whole": logical if layer.part_of else None,
                "spikes_in": program.parts[logical][0],
                "weights": sum(int(synapses.weights.size) for synapses in layer.synapses),
                "threshold": _threshold(layer.neurons.threshold),
                "stride": _pair(first.stride),
                "kernel": _pair(first.kernel),
                "padding": _pair(first.padding),
                "reset": "subtract" if layer.neurons.reset == "subtract" else "to zero",
            }
        )
    return rows


def _feeds(routes: Sequence[Route]) -> list[str]:
    return [
        route.to
        + (f", pooled {_pair(route.pool)}" if route.pool != (1, 1) else "")
        + (f", features +{route.feature_shift}" if route.feature_shift else "")
        for route in routes
    ]


def _map(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]}×{pair[1]}"


def _threshold(threshold: float | Array) -> str:
    if isinstance(threshold, np.ndarray):
        return f"{threshold.min():.4g} … {threshold.max():.4g}"
    return f"{threshold:.6g}"


def split(found: Mapping[str, Any]) -> dict[str, str]:
    """What was split, into what, and why, in words."""
    return {"layer": found["layer"], "why": found["why"], "into": " and ".join(_listed(found["into"]))}


def _listed(names: Sequence[str]) -> list[str]:
    """All names but the last in one, with commas, and the last."""
    return [", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names)


def quantisation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Headings, the cells of each row as (kind, value), and all warnings."""
    return {
        "headings": [(heading, kind) for _, heading, kind in QUANTISATION],
        "rows": [[(kind, row[key]) for key, _, kind in QUANTISATION] for row in rows],
        "warnings": [warning for row in rows for warning in row["warnings"]],
    }


def calibration(found: Mapping[str, Any]) -> dict[str, Any]:
    """What was found for each layer and at the output; differences read "plain → calibrated"."""
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
    return f"{difference(gain['plain'])} → {difference(gain['calibrated'])}"


def unknowns(program: Program, chip: Chip | None, verdict: Verdict) -> list[str]:
    """What nothing in this report can tell, in sentences."""
    sentences = []
    if "board" not in verdict.ran:
        sentences.append(
            "How this network behaves on silicon: no board was run. The emulator follows the documented and observed "
            "rules of the chip family; on recordings from a Speck (first layer of another network, ten samples) the "
            "same rules came within about 1 % of the measured spikes, and what the rest is due to is unexplained."
        )
    if chip is not None:
        sentences += _chip_unknowns(program, chip)
    sentences.append("Speed, latency and energy on the chip: they are neither measured nor estimated here.")
    if smallest := min((rung.labelled for rung in verdict.ran.values() if rung.labelled), default=0):
        sentences.append(
            f"Accuracy on other data: it was counted on {smallest:,} samples; the 95 % intervals are estimates of "
            "what more samples of the same kind would give."
        )
    return sentences


def _chip_unknowns(program: Program, chip: Chip) -> list[str]:
    top = chip.integers.state_range[1]
    lanes = [number for number, core in enumerate(chip.cores) if core.parallel_lanes]
    placed = [f"{name} on core {number}" for name, number in program.core_of.items() if number in lanes]
    here = f"Here: {', '.join(placed)}." if placed else "No layer of this network sits there."
    return [
        f"What a core does when a neuron's state would pass {top:,}: unknown. With thresholds of at "
        f"most {chip.integers.threshold_max:,}, no layer whose weights stay below its threshold gets there.",
        f"How cores {' and '.join(map(str, lanes))} order events: they compute in parallel lanes, and their leak is "
        f"reported to be unreliable (unconfirmed). {here}",
        "In which order the spikes leave that one event causes: not documented. The emulator takes them row by row, "
        "column by column, feature by feature. In simulation the choice moved counts by less than about 1 % (by up to "
        "6 % in random order where weights exceed thresholds).",
        "Events lost or delayed when a core or the router is overloaded: not modelled, and no limit is documented.",
        "How well the chip repeats itself: for one network, on N-MNIST, a second run on the same chip is reported to "
        "differ by 2.81 % at the output (arXiv 2503.17394), which is the yardstick for every difference above.",
        "Whether every version of the vendor's validator takes overlapping sources and a pooling of 8, and whether the "
        "sensor's crop comes before or after its pooling: not known, and not relied upon.",
    ]


def share(value: float | None) -> str:
    """``96.4 %``."""
    return _number(value, ".1f", "\u202f%")


def difference(value: float | None) -> str:
    """``1.03 %``."""
    return _number(value, ".2f", "\u202f%")


def whole(value: float | None) -> str:
    """``6,160``."""
    return _number(value, ",.0f")


def real(value: float | None) -> str:
    """Four digits that count."""
    return _number(value, ".4g")


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "undefined" if value is None else format(value, form).replace("-", "−") + unit


FILTERS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "share": share,
        "difference": difference,
        "whole": whole,
        "real": real,
    }
)
