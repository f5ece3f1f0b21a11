"""The verdict: what validation thinks, check by check, with what was found beside what was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploytool.base.digest import canonical_json
from deploytool.base.errors import ArtifactError


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
    def passed(self) -> bool | None:
        """True when all that was asked ran and held, False when a check failed, None otherwise.

        None says that nothing was asked, or that a check was not run and those that ran held.
        """
        if any(check.passed is False for check in self.checks):
            return False
        return True if self.checks and all(check.passed for check in self.checks) else None

    @property
    def negative(self) -> bool:
        """True when something was asked and not shown to hold: a failed check, or one that was not run."""
        return bool(self.checks) and not self.passed


def save_verdict(verdict: Verdict, folder: Path) -> None:
    """Writes ``verdict.json``, the payload with the checks in it, into ``folder``."""
    (folder / "verdict.json").write_text(canonical_json(verdict.report), encoding="utf-8")


def load_verdict(folder: Path) -> Verdict:
    """The verdict that ``save_verdict`` wrote into ``folder``. Raises ArtifactError when it is damaged."""
    path = folder / "verdict.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return Verdict(tuple(Check(**check) for check in report["verdict"]["checks"]), report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(str(path), f"not readable ({error})", "a verdict that deploytool wrote") from None
