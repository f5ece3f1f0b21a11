"""A invocation at the command line: a workspace whose results go to stdout, for a person or as one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.base.errors import NEGATIVE_VERDICT, FitError
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.store.file_names import PAGE

if TYPE_CHECKING:
    from deploytool.map.compile import CheckReport


class Invocation(StageCache):
    """Where commands get their store and leave their results. Everything but the result goes to stderr."""

    def __init__(self, store: Path, as_json: bool, quiet: bool) -> None:
        super().__init__(store, quiet)
        self.as_json = as_json

    def result(self, value: Any) -> None:
        """Puts the result on stdout."""
        if self.as_json:
            print(json.dumps(value, indent=2))
        else:
            from deploytool.cli.tables import show

            show(value)

    def artifact(self, artifact: Artifact, whole: bool = False) -> None:
        """Shows an artifact: its name and its content in short; with --json, or ``whole``, also where it came from."""
        from deploytool.workflow.show import PROVENANCE, summary

        shown = summary(self.store, artifact)
        if not (whole or self.as_json):
            shown = {key: value for key, value in shown.items() if key not in PROVENANCE}
        self.result(shown)

    def verdict(self, verdict: Artifact, report: Artifact | None = None) -> int:
        """Shows a verdict, and the ``report`` made of it; the exit code is 9 when it is negative."""
        from deploytool.ir.verdict import load_verdict
        from deploytool.workflow.show import summary

        loaded = load_verdict(verdict.path)
        if self.as_json:
            self.result(loaded.report | {"artifact": verdict.name, "report": report and str(report.path)})
        else:
            shown = summary(self.store, verdict)
            keys = ("verdict", "checks", "rungs", "spike_difference")
            page = {"report": str(report.path / PAGE)} if report else {"artifact": verdict.name}
            self.result({**{key: shown[key] for key in keys}, **page})
        return NEGATIVE_VERDICT if loaded.negative else 0

    def fit(self, report: CheckReport) -> int:
        """Shows whether a network fits; the exit code is 7 when it does not."""
        from deploytool.workflow.show import fit

        self.result(report.as_json() if self.as_json else fit(report.as_json()))
        return 0 if report.fits else FitError.exit_code

    def fail(self, problems: Sequence[str], exit_code: int) -> None:
        """Tells what went wrong; with --json also as the one object on stdout."""
        for problem in problems:
            print(problem, file=sys.stderr)
        if self.as_json:
            print(json.dumps({"error": {"exit_code": exit_code, "problems": list(problems)}}, indent=2))
