"""The verb report: a verdict, and everything in the store that led to it, as one page."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from deploytool.base.errors import UsageError
from deploytool.base.json_text import canonical_json
from deploytool.ir.program_file import load_program
from deploytool.ir.verdict_file import load_verdict
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import CALIBRATION, CONFIGURATION, HISTORY, QUANTISATION, SPLITS
from deploytool.store.lineage import ancestors, lineage
from deploytool.workflow.recordings import load

if TYPE_CHECKING:
    from deploytool.report.page import ReportContent


def report(cache: StageCache, reference: str, samples: int, title: str | None = None) -> Artifact:
    """The HTML page of a verdict and everything in the store behind it; its title is the verdict's name by default."""
    verdict = cache.store.get(reference, "verdict")

    def write(content: ReportContent, folder: Path) -> None:
        from deploytool.report.page import write_report

        write_report(content, folder)

    return cache.stored(
        Request("report", {"verdict": verdict.digest}, {"samples": samples, "title": title}),
        lambda: _content(cache, verdict, samples, title),
        write,
    )


def _content(cache: StageCache, verdict: Artifact, samples: int, title: str | None) -> ReportContent:
    from deploytool.report.page import Provenance, ReportContent

    made_from = ancestors(cache.store, verdict)
    programs = [artifact for artifact in made_from if artifact.kind == "program"]
    if not programs:
        raise UsageError(verdict.name, "its programs are not in the store", "the store it was made in")
    on_chip = next((artifact for artifact in programs if (artifact.path / CONFIGURATION).exists()), programs[0])
    model = next((artifact for artifact in made_from if artifact.kind == "model"), None)
    recordings = [load(cache.store, artifact) for artifact in made_from if artifact.kind == "recording"]
    return ReportContent(
        title=title or verdict.name,
        verdict=load_verdict(verdict.path),
        recordings=tuple(recordings),
        program=load_program(on_chip.path),
        history=tuple(model.read_json(HISTORY)) if model else (),
        quantisation=tuple(on_chip.read_json(QUANTISATION) or ()),
        splits=tuple(on_chip.read_json(SPLITS) or ()),
        calibration=on_chip.read_json(CALIBRATION),
        provenance=tuple(
            Provenance(artifact.name, artifact.kind, artifact.digest, lineage(cache.store, artifact))
            for artifact in (verdict, *made_from)
        ),
        recipe=canonical_json(model.manifest.recipe) if model else "",
        versions={package: version(package) for package in ("deploytool", "numpy", "numba")},
        samples=samples,
    )
