"""The compiler: Graph to Program on a chip, pass by pass, and the check that needs no numbers but sizes.

group -> lower -> rules -> quantise -> place
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deploytool.chip import Chip
from deploytool.errors import FitError
from deploytool.fixedpoint import IntegerFormat
from deploytool.graph import Graph
from deploytool.map.group import group
from deploytool.map.lower import lower
from deploytool.map.memory import Memory, cores_for, memory_of
from deploytool.map.place import NO_PINS, misfit, place
from deploytool.map.quantise import LayerQuantisation, layer_report, quantise
from deploytool.map.rules import Violation, check_rules
from deploytool.map.suggest import Suggestion, suggestions
from deploytool.program import Program


@dataclass(frozen=True, eq=False)
class Mapped:
    """A network on a chip: ``program`` in integers on cores, ``float_program`` the same layers before rounding."""

    program: Program
    float_program: Program
    quantisation: tuple[LayerQuantisation, ...]


@dataclass(frozen=True)
class LayerFit:
    """What a layer takes, on which cores it would fit, and its core where the whole network could be placed."""

    name: str
    memory: Memory
    fits_cores: tuple[int, ...]
    core: int | None


@dataclass(frozen=True)
class CheckReport:
    """Whether a network fits ``chip``, what is in the way, and what would make it fit."""

    chip: str
    layers: tuple[LayerFit, ...]
    issues: tuple[Violation, ...]
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
            "suggestions": [{"says": s.says, "changes": [asdict(c) for c in s.changes]} for s in self.suggestions],
        }


def compile_graph(
    graph: Graph, chip: Chip, integers: IntegerFormat | None = None, pins: Mapping[str, int] = NO_PINS
) -> Mapped:  # fmt: skip
    """``graph`` on the cores of ``chip``, in ``integers`` (by default the chip's).

    Raises UnsupportedError for nodes without meaning on a target, FitError with every rule that is broken, or
    with the layers that no assignment of cores can hold.
    """
    lowered = lower(group(graph), chip)
    _refuse(check_rules(lowered, chip))
    quantised = quantise(lowered, integers or chip.integers)
    _refuse(check_rules(quantised, chip))
    placed = place(quantised, chip, pins)
    return Mapped(placed, lowered, layer_report(lowered, quantised))


def check(graph: Graph, chip: Chip, pins: Mapping[str, int] = NO_PINS) -> CheckReport:
    """Whether ``graph`` fits ``chip``, by sizes alone.

    Raises UnsupportedError for nodes without meaning on a target.
    """
    program = lower(group(graph), chip)
    issues = _issues(program, chip, pins)
    cores: Mapping[str, int] = {} if issues else place(program, chip, pins).core_of
    layers = tuple(
        LayerFit(name, memory_of(layer), cores_for(layer, chip), cores.get(name))
        for name, layer in program.layers.items()
    )
    changes = (
        suggestions(graph, chip, lambda changed: _issues(lower(group(changed), chip), chip, pins)) if issues else ()
    )
    return CheckReport(chip.name, layers, issues, changes)


def _issues(program: Program, chip: Chip, pins: Mapping[str, int]) -> tuple[Violation, ...]:
    """Every broken rule, and where each layer fits some core, the layers that together do not."""
    issues = check_rules(program, chip)
    if {"memory", "layers"} & {issue.rule for issue in issues}:
        return issues
    reason = misfit(program, chip, pins)
    return issues if reason is None else (*issues, reason)


def _refuse(violations: tuple[Violation, ...]) -> None:
    if violations:
        raise FitError.together(violation.error() for violation in violations)


def _layer_json(layer: LayerFit) -> dict[str, Any]:
    memory = layer.memory
    return {
        "name": layer.name, "kernel_bits": memory.kernel_bits, "neuron_bits": memory.neuron_bits,
        "kernel_words": memory.kernel_words, "neuron_words": memory.neuron_words,
        "fits_cores": list(layer.fits_cores), "core": layer.core,
    }  # fmt: skip
