"""The page: `write_report` writes everything known about one deployment to one self-contained file.

Figures, styles and the script are inside the file, which loads nothing, and equal content gives equal bytes. The
page's policy admits exactly the style and the script that are in it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploytool.base.json_text import canonical_json
from deploytool.base.numbers import FILTERS
from deploytool.base.printable import printable_lines
from deploytool.chip.chips import chip_named
from deploytool.ir.program import SIMULATOR
from deploytool.ir.verdict_file import as_json
from deploytool.report import differences, headline, network, results, samples
from deploytool.report.content import ReportContent
from deploytool.report.figures.curves import training_curves
from deploytool.report.figures.divergence import divergence_charts, moment
from deploytool.report.figures.histogram import weight_histogram
from deploytool.report.figures.ladder import ladder
from deploytool.report.figures.load import loads
from deploytool.report.figures.placement import placement
from deploytool.report.figures.sweeps import sweep_charts
from deploytool.report.glossary import GLOSSARY
from deploytool.report.unknowns import unknowns
from deploytool.report.values import values_section

HERE: Final = Path(__file__).parent


def write_report(content: ReportContent, folder: Path) -> None:
    """Writes ``report.html``, for a person, and ``report.json``, the verdict's payload, into ``folder``."""
    (folder / "report.html").write_text(printable_lines(render(content)), encoding="utf-8")
    (folder / "report.json").write_text(canonical_json(as_json(content.verdict)), encoding="utf-8")


def render(content: ReportContent) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    names = content.verdict.class_names or ()
    environment.filters |= {**FILTERS, "moment": moment, "class_name": partial(results.class_name, names)}
    css, script = (_inside(HERE / name) for name in ("page.css", "page.js"))
    verdict, program = content.verdict, content.program
    chip = None if program.chip == SIMULATOR else chip_named(program.chip)
    compared = differences.main_difference(verdict)
    loaded = next((run for run in results.from_silicon(verdict) if run.load), None)
    cores = network.cores(program, chip) if chip else []
    return environment.get_template("page.html").render(
        css=Markup(css),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(css)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        title=content.title,
        verdict=verdict,
        outcome=results.outcome(verdict),
        sentences=results.headline(verdict),
        headlines=headline.headlines(verdict, program, chip),
        ladder=results.ladder(verdict),
        tracks=ladder(verdict.rungs),
        ties=results.ties(content.runs),
        divergence=content.divergence,
        divergence_charts=[(found, divergence_charts(found)) for found in content.divergence.explained],
        differences=differences.differences(verdict),
        compared=compared,
        maps=differences.difference_maps(compared, content.runs),
        confusion=results.confusion(verdict),
        values=values_section(verdict, content.runs),
        program=program,
        chip=chip,
        cores=cores,
        free=network.free_cores(cores),
        placement=placement(program, cores),
        layers=network.layers(program, verdict),
        originals=content.originals,
        splits=[network.split(found) for found in content.splits],
        energies=results.energies(verdict),
        loaded=loaded,
        loads=loads(loaded.load) if loaded else None,
        samples=samples.cards(content.runs, content.replayed, program, content.chosen),
        sweeps=[(sweep, sweep_charts(sweep)) for sweep in content.sweeps],
        sweep_command=_sweep_command(content),
        curves=training_curves(content.history) if content.history else [],
        quantisation=network.quantisation(content.quantisation),
        histograms=[weight_histogram(name, layer, chip) for name, layer in program.layers.items()] if chip else [],
        calibration=network.calibration(content.calibration) if content.calibration else None,
        origin=content.origin,
        unknowns=unknowns(program, chip, verdict),
        glossary=GLOSSARY,
    )


def _sweep_command(content: ReportContent) -> str:
    """The command whose result this page lacks."""
    sources = {item.kind: item.name for item in content.origin.artifacts}
    source = sources.get("model") or sources.get("graph") or sources.get("program") or "MODEL"
    return f"deploytool sweep {source} --time-steps 1,2,4,...,64"


def _inside(path: Path) -> str:
    """The text of ``path`` as it stands between the tags of the page, with the line breaks that are there."""
    return f"\n{path.read_text(encoding='utf-8')}"


def _hash(text: str) -> str:
    """The source expression of a policy that admits exactly ``text``."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
