"""The page of a network that separates voices: no program, no chip, and mixtures to listen to."""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploytool.base.json_text import canonical_json
from deploytool.base.numbers import FILTERS, figure, whole
from deploytool.base.printable import printable_lines
from deploytool.ir.speech import Waves
from deploytool.ir.verdict import Rung, Separation, Verdict
from deploytool.ir.verdict_file import as_json
from deploytool.recipe.task import ON_TORCH
from deploytool.report.content import Origin
from deploytool.report.figures.curves import training_curves
from deploytool.report.headline import Headline
from deploytool.report.results import outcome

HERE: Final = Path(__file__).parent
GLOSSARY: Final = {
    "SI-SDR": "scale-invariant signal-to-distortion ratio: 10 log10(|a s|² / |a s − e|²) of an estimate e of a voice "
    "s, with a = <e, s> / <s, s>; the mean over all voices (arXiv 1811.02508).",
    "SDR": "signal-to-distortion ratio of BSS Eval, which forgives a filter of 512 samples.",
    "PESQ": "the quality of speech by ITU-T P.862, narrowband, from 1 to 4.5.",
    "Plain conversion": "the network with ReLUs as spikes, without any training of its spiking layers.",
    "SynOp": "a synaptic operation: one weight added to one membrane.",
    "Digest": "the SHA-256 that identifies an artifact by its content.",
}


@dataclass(frozen=True, eq=False)
class Heard:
    """One mixture to listen to: its ``name``, and {what: (N,) sound}."""

    name: str
    sounds: Mapping[str, Waves]


@dataclass(frozen=True, eq=False)
class VoicesContent:
    """The content of the page: the ``verdict`` on a run that separates voices, ``history`` with a row for each epoch of
    its training, and ``heard`` mixtures at the rate of the verdict."""

    title: str
    verdict: Verdict
    heard: tuple[Heard, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    origin: Origin = field(default_factory=Origin)


def write_voices(content: VoicesContent, folder: Path) -> None:
    """Writes ``report.html``, for a person, and ``report.json``, the verdict's payload, into ``folder``."""
    (folder / "report.html").write_text(printable_lines(render(content)), encoding="utf-8")
    (folder / "report.json").write_text(canonical_json(as_json(content.verdict)), encoding="utf-8")


def render(content: VoicesContent) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    css = f"\n{(HERE / 'page.css').read_text(encoding='utf-8')}"
    run = next(run for run in content.verdict.ran.values() if run.separation)
    found = run.separation
    assert found is not None
    style = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    return environment.get_template("voices.html").render(
        css=Markup(css),
        policy=f"default-src 'none'; media-src data:; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'",
        title=content.title,
        verdict=content.verdict,
        outcome=outcome(content.verdict),
        sentences=[f"The voices are {found.says}.", ON_TORCH],
        headlines=_headlines(run, found),
        voices=found,
        time_steps=run.time_steps,
        heard=[(each.name, _players(each, found.rate_hz)) for each in content.heard],
        curves=training_curves(content.history) if content.history else [],
        origin=content.origin,
        program=None,
        glossary=GLOSSARY,
    )


def _headlines(run: Rung, voices: Separation) -> list[Headline]:
    ran = voices.ran
    of = f"{whole(voices.mixtures)} mixtures"
    return [
        Headline("SI-SDR", f"{figure(ran.si_sdr_db)}\u202fdB", f"{ran.network}, {of}", "accuracy"),
        Headline("Improvement", f"{figure(ran.si_sdr_improvement_db)}\u202fdB", "SI-SDR above the mixture", "accuracy"),
        Headline("SDR", None if ran.sdr_db is None else f"{figure(ran.sdr_db)}\u202fdB", "BSS Eval", "accuracy"),
        Headline("PESQ", None if ran.pesq is None else figure(ran.pesq), "ITU-T P.862, narrowband", "accuracy"),
        Headline(
            "SynOps", None if run.synops is None else figure(run.synops / 1e6), "millions per mixture", "accuracy"
        ),
    ]


def _players(heard: Heard, rate_hz: int) -> list[tuple[str, str]]:
    """(what, address of the sound) of each sound of a mixture, all as loud as the loudest fits."""
    return [(name, _address(sound, rate_hz)) for name, sound in heard.sounds.items()]


def _address(sound: Waves, rate_hz: int) -> str:
    """``sound``, its largest sample 0.9, as a WAV file of 16 bits in a data address."""
    peak = max(float(np.abs(sound).max()), 1e-9)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, rate_hz, len(sound), "NONE", ""))
        written.writeframes((sound * (0.9 * 32_767 / peak)).astype("<i2").tobytes())
    return f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
