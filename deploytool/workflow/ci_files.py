"""What continuous integration is told: a JUnit file, and the summary of a step of GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploytool.base.errors import ArtifactError, UsageError
from deploytool.base.files import require_writable, write_file
from deploytool.ir.verdict import Verdict

GITHUB_SUMMARY: Final = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file of a step's summary."""


@dataclass(frozen=True)
class CiFiles:
    """The files that results go to: ``junit`` in JUnit XML, and ``summary``, which gets Markdown added."""

    junit: Path | None = None
    summary: Path | None = None

    def tell(self, verdict: Verdict) -> None:
        """Writes ``verdict``. Raises ArtifactError where that fails."""
        if self.junit is None and self.summary is None:
            return
        from deploytool.report.ci_text import junit, verdict_markdown

        if self.junit:
            write_file(self.junit, junit(verdict))
        if self.summary:
            _append(self.summary, f"{verdict_markdown(verdict)}\n")

    def tell_fit(self, network: str, report: Mapping[str, Any]) -> None:
        """Adds the ``report`` of `check` about ``network`` to the summary. Raises ArtifactError where that fails."""
        if self.summary:
            from deploytool.report.ci_text import fit_markdown

            _append(self.summary, f"{fit_markdown(network, report)}\n")


def ci_files(junit: Path | None, github_summary: bool) -> CiFiles:
    """The files that were asked for.

    Raises UsageError for a summary outside of GitHub Actions, and ArtifactError for a file that cannot be written.
    """
    if junit is not None:
        require_writable(junit)
    if not github_summary:
        return CiFiles(junit)
    if not (named := os.environ.get(GITHUB_SUMMARY)):
        need = f"a step of GitHub Actions, or a file that {GITHUB_SUMMARY} names"
        raise UsageError("--github-summary", f"{GITHUB_SUMMARY} is not set", need)
    _append(Path(named), "")
    return CiFiles(junit, Path(named))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ArtifactError(str(path), f"cannot be written ({error.strerror})", "a writable place") from None
