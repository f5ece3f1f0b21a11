"""The compiler passes from a Graph to a Program on a chip, and the check, which needs only sizes.

group -> lower -> quantise -> split -> place; after each pass the result is verified against ir/spec
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deploytool.base.errors import FitError
from deploytool.chip.chips import Chip
from deploytool.chip.integers import IntegerFormat
from deploytool.chip.memory import Memory, cores_for
from deploytool.ir.graph import Graph
from deploytool.ir.program import Program
from deploytool.ir.spec.rule import Level, Violation
from deploytool.ir.spec.verify import check_rules, verify
from deploytool.map.calibrate import Calibrated, Calibration, calibrate
from deploytool.map.cores import NO_EXTRAS, Extras, with_balancers, with_extras
from deploytool.map.group import group, group_sizes
from deploytool.map.lower import lower
from deploytool.map.place import NO_PINS, NO_SYNOPS, place
from deploytool.map.quantise import LayerQuantisation, layer_report, quantise
from deploytool.map.split import Fit, Split, fit
from deploytool.map.split import split as split_program
from deploytool.map.suggest import Suggestion, free_features, suggestions


@dataclass(frozen=True, eq=False)
class Mapped:
    """A mapped network: ``program`` in integers on cores, and ``float_program`` before quantisation and splitting.

    ``splits`` lists the layers that were split or got relays. ``calibrated`` is the result of calibration, None if the
    plain rule was requested.
    """

    program: Program
    float_program: Program
    quantisation: tuple[LayerQuantisation, ...]
    splits: tuple[Split, ...]
    calibrated: Calibrated | None = None


@dataclass(frozen=True)
class LayerFit:
    """Memory of a layer, the cores that it fits, and its core if the whole network can be placed.

    ``free_features`` is the number of output features it could have at no extra cost, if more than it has.
    """

    name: str
    memory: Memory
    fits_cores: tuple[int, ...]
    core: int | None
    free_features: int | None


@dataclass(frozen=True)
class CheckReport:
    """Whether a network fits ``chip``, the broken rules, and suggestions.

    ``layers`` are the layers on the cores, including parts and relays if ``splits`` make the network fit. ``program``
    has their sizes, without weights.
    """

    chip: str
    program: Program
    layers: tuple[LayerFit, ...]
    issues: tuple[Violation, ...]
    splits: tuple[Split, ...]
    suggestions: tuple[Suggestion, ...]

    @property
    def fits(self) -> bool:
        return not self.issues

    def as_json(self) -> dict[str, Any]:
        return {
            "fits": self.fits,
            "chip": self.chip,
            "layers": [_layer_json(layer) for layer in self.layers],
            "issues": [{"rule": i.rule, "layer": i.layer, "says": i.says, "hint": i.hint} for i in self.issues],
            "growth": [
                f"{layer.name}: up to {layer.free_features} output features cost no more than those it has"
                for layer in self.layers
                if layer.free_features is not None
            ],
            "splits": [found.as_json() for found in self.splits],
            "suggestions": [{"number": number, **s.as_json()} for number, s in enumerate(self.suggestions, 1)],
        }


def compile_graph(
    graph: Graph,
    chip: Chip,
    integers: IntegerFormat | None = None,
    pins: Mapping[str, int] = NO_PINS,
    split: bool = True,
    synops: Mapping[str, float] = NO_SYNOPS,
    calibration: Calibration | None = None,
    extras: Extras = NO_EXTRAS,
) -> Mapped:
    """``graph`` mapped to the cores of ``chip``, with layers split only if necessary.

    Weights have the width that the graph states, or else the chip's; ``integers`` overrides both.
    ``synops`` {layer: measured SynOps per sample} guide the placement instead of an estimate. With a ``calibration``
    its samples determine scale and rounding if that is better than the plain rule. ``extras`` are the slow clock, the
    output decimators and the congestion balancers.
    Raises UnsupportedError for nodes that no target supports, and FitError with every broken rule, or with the layers
    that cannot all be placed.
    """
    lowered, fitting = fitted(graph, chip, pins, split, extras)
    fmt = integers or chip.integers_of(graph.weight_bits)
    calibrated = calibrate(lowered, fmt, calibration) if calibration else None
    quantised = with_balancers(calibrated.program if calibrated else quantise(lowered, fmt), extras.balance, chip)
    verify(quantised, Level.INTEGER, chip)
    cut = split_program(quantised, fitting.sizes, chip)
    _refuse(check_rules(cut, chip))
    placed = place(cut, chip, pins, synops)
    verify(placed, Level.MAPPED, chip)
    report = layer_report(lowered, quantised, fmt)
    if graph.dt_ms is None:
        report = tuple(replace(each, warnings=(*each.warnings, *_per_tick(lowered, each.layer))) for each in report)
    return Mapped(placed, lowered, report, fitting.splits, calibrated)


def refilled(program: Program, graph: Graph, chip: Chip) -> Program | None:
    """``program``, which `compile_graph` made, with the weights of ``graph``: what mapping ``graph`` to the same cores
    would give. None if that would change more than weights and neurons, or if layers are split.

    Raises as `quantise` does.
    """
    fresh = quantise(lower(group(graph), chip), chip.integers_of(graph.weight_bits))
    if _forms(fresh) != _forms(program):
        return None
    return program.with_layers(fresh.layers, graph_digest=fresh.graph_digest)


def _forms(program: Program) -> dict[str, Any]:
    """{layer: everything but its weights and neurons that decides where it can be}."""
    return {
        name: (layer.out_shape, layer.bias is None, [each.weights.shape for each in layer.synapses])
        for name, layer in program.layers.items()
    }


def _per_tick(program: Program, name: str) -> Iterator[str]:
    """A warning if layer ``name`` has a bias, for a network that does not state its time step."""
    if name in program.biased:
        yield (
            f"{name}: every tick of {program.slow_clock_hz} Hz adds its bias unchanged, because the network does not "
            "state the time step for which it was trained"
        )


def fitted(
    graph: Graph, chip: Chip, pins: Mapping[str, int] = NO_PINS, split: bool = True, extras: Extras = NO_EXTRAS
) -> tuple[Program, Fit]:
    """(``graph`` before weights are quantised, how its layers fit). Raises as `compile_graph` does, but for weights."""
    lowered = with_extras(lower(group(graph), chip), extras, graph.dt_ms)
    fitting = fit(lowered, chip, pins, split)
    _refuse(fitting.issues)
    verify(lowered, Level.EXECUTABLE, chip)
    return lowered, fitting


def check(graph: Graph, chip: Chip, pins: Mapping[str, int] = NO_PINS, split: bool = True) -> CheckReport:
    """Whether ``graph`` fits ``chip``, judged by sizes only.

    Raises UnsupportedError for nodes that no target supports.
    """

    def judge(changed: Graph, may_split: bool = split) -> Fit:
        return fit(lower(group_sizes(changed), chip), chip, pins, may_split)

    program = lower(group_sizes(graph), chip)
    found = fit(program, chip, pins, split)
    ways: tuple[Suggestion, ...] = ()
    cores: Mapping[str, int] = {}
    if found.issues:
        ways = suggestions(graph, chip, found, judge)
    else:
        program = place(split_program(program, found.sizes, chip), chip, pins)
        cores = program.core_of
    free = free_features(graph, program, chip)
    layers = tuple(
        LayerFit(name, layer.memory(), cores_for(layer.memory(), chip), cores.get(name), free.get(name))
        for name, layer in program.layers.items()
    )
    return CheckReport(chip.name, program, layers, found.issues, found.splits, ways)


def _refuse(violations: tuple[Violation, ...]) -> None:
    if violations:
        raise FitError.together(violation.error(FitError) for violation in violations)


def _layer_json(layer: LayerFit) -> dict[str, Any]:
    memory = layer.memory
    return {
        "name": layer.name,
        "kernel_bits": memory.kernel_bits,
        "neuron_bits": memory.neuron_bits,
        "kernel_words": memory.kernel_words,
        "neuron_words": memory.neuron_words,
        "fits_cores": list(layer.fits_cores),
        "core": layer.core,
        "free_features": layer.free_features,
    }
