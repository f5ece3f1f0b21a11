"""Rules and their violations. Error texts, `deploytool check` and the manual are made from these records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from deploytool.base.errors import DeployError
from deploytool.chip.chips import Chip
from deploytool.chip.memory import memories_text
from deploytool.ir.program import Layer, Program


class Level(IntEnum):
    """The stage of a program on its way to a chip. Each level includes the rules of the levels below it."""

    EXECUTABLE = 1
    """The engines can run it, in its arithmetic."""
    INTEGER = 2
    """It computes in int8/int16."""
    MAPPED = 3
    """It is placed on the cores of a chip, and uses only what the chip has."""


Findings: TypeAlias = Iterator[tuple[str, str]]
"""(where, found); where is a layer, "input", "network", a route or the program."""

Check: TypeAlias = Callable[[Program, Chip | None], Findings]
"""Finds violations of a rule. Only checks of level MAPPED use the chip; they find none without a chip."""


@dataclass(frozen=True)
class Rule:
    """One rule. ``law`` completes "need ..." and refers to names of `numbers`; ``check`` yields violations.

    ``early`` rules are checked by `deploytool check`, before the program is quantised and placed.
    """

    id: str
    level: Level
    law: str
    check: Check
    hint: str
    early: bool = False

    def need(self, chip: Chip | None = None) -> str:
        """The law with the numbers of ``chip``."""
        return self.law if chip is None else self.law.format_map(numbers(chip))


@dataclass(frozen=True)
class Violation:
    """A broken rule, and where. ``layers`` has several entries if only their combination breaks the rule."""

    rule: str
    layers: tuple[str, ...]
    found: str
    need: str
    hint: str

    @property
    def layer(self) -> str:
        return ", ".join(self.layers)

    @property
    def says(self) -> str:
        return f"{self.layer}: {self.found}; need {self.need}."

    def error(self, kind: type[DeployError]) -> DeployError:
        """The violation as an error of this ``kind``."""
        return kind(self.layer, self.found, self.need, self.hint)


def on_program(check: Callable[[Program], Findings]) -> Check:
    """A check that does not use the chip."""
    return lambda program, _chip: check(program)


def on_chip(check: Callable[[Program, Chip], Findings]) -> Check:
    """A check that uses the chip."""
    return lambda program, chip: iter(()) if chip is None else check(program, chip)


def on_layers(check: Callable[[Layer], str | None]) -> Check:
    """The check of a program that applies ``found`` to each layer."""

    def each(program: Program) -> Findings:
        for name, layer in program.layers.items():
            if (found := check(layer)) is not None:
                yield name, found

    return on_program(each)


def numbers(chip: Chip) -> dict[str, str]:
    """The chip's numbers, as inserted into the laws."""
    lowest = chip.integers.state_range[0]
    return {
        "cores": str(len(chip.cores)),
        "memories": memories_text(chip, range(len(chip.cores))),
        "kernel": str(chip.kernel_max),
        "strides": _listed(chip.strides),
        "padding": str(chip.padding_max),
        "input_map": str(chip.input_map_max),
        "output_map": str(chip.output_map_max),
        "features": f"{chip.features_max:,}",
        "poolings": _listed(chip.poolings),
        "fan_out": str(chip.fan_out_max),
        "shift": f"{chip.feature_shift_max:,}",
        "sensor": str(chip.dvs_size),
        "dvs_features": str(chip.dvs_features),
        "dvs_poolings": _listed(chip.dvs_poolings),
        "threshold": f"{chip.integers.threshold_max:,}",
        "slow_clock": "{} to {}".format(*chip.slow_clock_hz),
        "decimations": _listed(chip.decimations) if chip.decimations else "no interval, because none is documented",
        "floor": f"{lowest:,}..{chip.integers.floor_max}",
    }


def _listed(values: Iterable[int]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}"
