"""The table of all rules, and the functions that check programs against it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from deploytool.base.errors import UnsupportedError
from deploytool.chip.chips import Chip, chip_named, chip_names
from deploytool.ir.program import Program
from deploytool.ir.spec.executable import EXECUTABLE
from deploytool.ir.spec.integer import INTEGER
from deploytool.ir.spec.mapped import MAPPED
from deploytool.ir.spec.rule import Level, Rule, Violation

RULES: Final[tuple[Rule, ...]] = (*EXECUTABLE, *INTEGER, *MAPPED)

REQUIRED_BY: Final = {Level.EXECUTABLE: "every target", Level.INTEGER: "int8/int16", Level.MAPPED: "{chip}"}
"""What requires the rules of a level."""

ALLOW_MISMATCH: Final = ("threshold", "integers")
"""Rules that an emulated program may break: different thresholds model mismatch between neurons."""


def verify(program: Program, level: Level, chip: Chip | None = None, allow: Collection[str] = ()) -> None:
    """Raises UnsupportedError with all violations unless ``program`` is legal at ``level``.

    ``chip`` defaults to the program's chip. Rules whose ids are in ``allow`` may be broken.
    """
    asked = tuple(rule for rule in RULES if rule.level <= level and rule.id not in allow)
    if found := violations(program, asked, chip):
        raise UnsupportedError.together(violation.error(UnsupportedError) for violation in found)


def level_of(program: Program) -> Level:
    """The level at which the engines run ``program``."""
    return Level.EXECUTABLE if program.arithmetic == "float32" else Level.INTEGER


def violations(program: Program, rules: Collection[Rule] = RULES, chip: Chip | None = None) -> tuple[Violation, ...]:
    """All violations of ``rules`` in ``program``, rule by rule, on ``chip`` (default: the program's chip)."""
    if chip is None and program.chip in chip_names():
        chip = chip_named(program.chip)
    return tuple(
        Violation(rule.id, (where,), found, rule.need(chip), rule.hint)
        for rule in rules
        for where, found in rule.check(program, chip)
    )


def check_rules(program: Program, chip: Chip) -> tuple[Violation, ...]:
    """All violations on ``chip`` that are known before ``program`` is quantised and placed."""
    return violations(program, [rule for rule in RULES if rule.early], chip)


def rules_named(*ids: str) -> tuple[Rule, ...]:
    """The rules with these ``ids``, in table order."""
    return tuple(rule for rule in RULES if rule.id in ids)


def rules_manual(chip: Chip) -> str:
    """All rules as readable text, with the numbers of ``chip``; the chip's own rules come first."""
    parts = []
    for level in reversed(Level):
        entries = (f"{rule.id}\n  Need {rule.need(chip)}.\n  {rule.hint}" for rule in RULES if rule.level == level)
        parts.append(f"Requirements of {REQUIRED_BY[level].format(chip=chip.title)}\n\n" + "\n\n".join(entries))
    return "\n\n".join(parts) + "\n"
