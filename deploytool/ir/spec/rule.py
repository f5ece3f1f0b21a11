"""A rule as one record, and what breaks it. Error texts, `deploytool check` and the manual come from these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from deploytool.base.errors import DeployError
from deploytool.chip.chips import Chip
from deploytool.chip.memory import memories
from deploytool.ir.program import Layer, Program


class Level(IntEnum):
    """How far a program has come on its way to a chip. Each level asks for all that those below it do."""

    EXECUTABLE = 1
    """The engines run it, in its arithmetic."""
    INTEGER = 2
    """It computes in int8/int16."""
    MAPPED = 3
    """It sits on the cores of a chip, and asks for nothing that the chip does not have."""


Findings: TypeAlias = Iterator[tuple[str, str]]
"""(where, what was found there); where is a layer, "input", "network", a route or the program."""

Check: TypeAlias = Callable[[Program, Chip | None], Findings]
"""What breaks a rule. Only checks of MAPPED look at the chip, and find nothing where there is none."""


@dataclass(frozen=True)
class Rule:
    """``law`` completes "need ..." and holds names of `numbers`; ``check`` yields what breaks it.

    ``early``: whether `deploytool check` judges it, before the program computes in integers or sits on cores.
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
    """What of a program breaks which rule; ``layers`` are several where only together they do."""

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
    """A check that looks at no chip."""
    return lambda program, _chip: check(program)


def on_chip(check: Callable[[Program, Chip], Findings]) -> Check:
    """A check that looks at the chip."""
    return lambda program, chip: iter(()) if chip is None else check(program, chip)


def on_layers(check: Callable[[Layer], str | None]) -> Check:
    """A check of a program out of a check of one layer."""

    def each(program: Program) -> Findings:
        for name, layer in program.layers.items():
            if (found := check(layer)) is not None:
                yield name, found

    return on_program(each)


def numbers(chip: Chip) -> dict[str, str]:
    """The chip's numbers as they stand in the laws."""
    lowest = chip.integers.state_range[0]
    return {
        "cores": str(len(chip.cores)),
        "memories": memories(chip, range(len(chip.cores))),
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
        "floor": f"{lowest:,}..{chip.integers.floor_max}",
    }


def _listed(values: Iterable[int]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}"
