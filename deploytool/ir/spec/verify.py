"""The one table of what is legal at which level, and what asks it."""

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

ASKS: Final = {Level.EXECUTABLE: "every target", Level.INTEGER: "int8/int16", Level.MAPPED: "{chip}"}
"""Who asks for the rules of a level."""

BIASED: Final = ("bias",)
"""Rules that a program may break and be mapped: a chip has a bias, although no target of ours runs it."""

MISMATCHED: Final = ("threshold", "integers")
"""Rules that a program may break and be emulated: thresholds that differ stand for neurons that do not behave alike."""


def verify(program: Program, level: Level, chip: Chip | None = None, allow: Collection[str] = ()) -> None:
    """Raises UnsupportedError, telling all violations, unless ``program`` is legal at ``level``.

    ``chip`` is by default the one of its name; rules whose ids are in ``allow`` may be broken.
    """
    asked = tuple(rule for rule in RULES if rule.level <= level and rule.id not in allow)
    if found := violations(program, asked, chip):
        raise UnsupportedError.together(violation.error(UnsupportedError) for violation in found)


def level_of(program: Program) -> Level:
    """The level at which the engines run ``program``."""
    return Level.EXECUTABLE if program.arithmetic == "float32" else Level.INTEGER


def violations(program: Program, rules: Collection[Rule] = RULES, chip: Chip | None = None) -> tuple[Violation, ...]:
    """Everything in ``program`` that breaks ``rules``, rule by rule, on ``chip`` (by default the one of its name)."""
    if chip is None and program.chip in chip_names():
        chip = chip_named(program.chip)
    return tuple(
        Violation(rule.id, (where,), found, rule.need(chip), rule.hint)
        for rule in rules
        for where, found in rule.check(program, chip)
    )


def check_rules(program: Program, chip: Chip) -> tuple[Violation, ...]:
    """Everything that keeps ``program`` from ``chip`` and is known before it computes in integers and sits on cores."""
    return violations(program, [rule for rule in RULES if rule.early], chip)


def rules_named(*ids: str) -> tuple[Rule, ...]:
    """The rules of these ``ids``, in the order of the table."""
    return tuple(rule for rule in RULES if rule.id in ids)


def rules_manual(chip: Chip) -> str:
    """Every rule with the numbers of ``chip``, its own first, as text for a person."""
    parts = []
    for level in reversed(Level):
        entries = (f"{rule.id}\n  Need {rule.need(chip)}.\n  {rule.hint}" for rule in RULES if rule.level == level)
        parts.append(f"What {ASKS[level].format(chip=chip.title)} asks of a network\n\n" + "\n\n".join(entries))
    return "\n\n".join(parts) + "\n"
