"""The verdict: what validation thinks, check by check, with what was found beside what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One requirement. ``passed`` None means not run, which is never the same as passed.

    ``value`` is what was found (None when not run), ``limit`` what was asked, both in ``unit``.
    """

    id: str
    value: float | None
    limit: float
    unit: str
    passed: bool | None
    says: str


@dataclass(frozen=True)
class Verdict:
    """Every check of a validation. ``report`` is the payload of report.json (rungs, spike differences, SynOps)."""

    checks: tuple[Check, ...]
    report: dict[str, Any]

    @property
    def passed(self) -> bool:
        """True when at least one check ran and none that ran failed."""
        ran = [check.passed for check in self.checks if check.passed is not None]
        return bool(ran) and all(ran)
