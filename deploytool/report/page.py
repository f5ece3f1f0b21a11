"""The report: `write_report` writes everything known about one deployment to one self-contained page.

Figures and styles are inside the file, there is no script, and equal content gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploytool.base.json_text import canonical_json
from deploytool.base.numbers import FILTERS
from deploytool.chip.chips import chip_named
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Verdict
from deploytool.ir.verdict_file import as_json
from deploytool.report import figures, network, results, samples
from deploytool.report.unknowns import unknowns


@dataclass(frozen=True)
class Provenance:
    """One artifact: its name in the store, its kind, its full digest, and the names of its inputs."""

    name: str
    kind: str
    digest: str
    made_from: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The content of a report.

    ``program`` is the one on the chip, or on the simulator. ``history`` has one row per epoch with "epoch",
    "loss", "validation_loss", "accuracy" and "validation_accuracy" (% right). ``quantisation`` has one row per
    layer with the keys of network.QUANTISATION and "warnings", sentences without full stop. ``splits`` has "layer",
    "into" and "why" of each layer that was split or got relays; ``calibration`` is what calibration found, as
    map/calibrate.py reports it, None if the plain rule was used. ``samples`` is the number of samples shown,
    ``recipe`` the recipe's text, ``versions`` {package: version} what it was made with.
    """

    title: str
    verdict: Verdict
    recordings: tuple[Recording, ...]
    program: Program
    history: tuple[Mapping[str, Any], ...] = ()
    quantisation: tuple[Mapping[str, Any], ...] = ()
    splits: tuple[Mapping[str, Any], ...] = ()
    calibration: Mapping[str, Any] | None = None
    provenance: tuple[Provenance, ...] = ()
    recipe: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    samples: int = 4


def write_report(content: ReportContent, folder: Path) -> None:
    """Writes ``report.html``, for a person, and ``report.json``, the verdict's payload, into ``folder``."""
    (folder / "report.html").write_text(render(content), encoding="utf-8")
    (folder / "report.json").write_text(canonical_json(as_json(content.verdict)), encoding="utf-8")


def render(content: ReportContent) -> str:
    """The page as HTML."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    verdict, program = content.verdict, content.program
    chip = None if program.chip == SIMULATOR else chip_named(program.chip)
    return environment.get_template("page.html").render(
        css=Markup((here / "page.css").read_text(encoding="utf-8")),
        title=content.title,
        verdict=verdict,
        outcome=results.outcome(verdict),
        headline=results.headline(verdict),
        ladder=results.ladder(verdict),
        differences=results.differences(verdict),
        confusion=results.confusion(verdict),
        program=program,
        chip=chip,
        cores=network.cores(program, chip) if chip else [],
        layers=network.layers(program, verdict),
        splits=[network.split(found) for found in content.splits],
        samples=samples.cards(content.recordings, program, content.samples),
        curves=figures.training_curves(content.history) if content.history else [],
        quantisation=network.quantisation(content.quantisation),
        calibration=network.calibration(content.calibration) if content.calibration else None,
        provenance=content.provenance,
        recipe=content.recipe,
        versions=content.versions,
        unknowns=unknowns(program, chip, verdict),
    )
