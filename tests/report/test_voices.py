"""The page of a network that separates voices."""

from __future__ import annotations

import base64
import io
import re
import wave

import numpy as np

from deploytool.ir.recording import Recording
from deploytool.ir.speech import Separated
from deploytool.recipe import ValidateSection
from deploytool.report.voices import Heard, VoicesContent, render
from deploytool.validate.ladder import judge

RATE_HZ = 8000
SINE = np.sin(2 * np.pi * 200 * np.arange(800) / RATE_HZ).astype(np.float32)


def content(synthetic: bool = True) -> VoicesContent:
    sources = np.random.default_rng(0).normal(size=(2, 2, 800)).astype(np.float32)
    says = "synthetic voices, which are no speech" if synthetic else "utterances in the folder wsj0"
    recording = Recording(
        rung="torch",
        samples=("one", "two"),
        labels=np.full(2, -1),
        outputs=(),
        counts={},
        synops=np.full(2, 3_000_000),
        spikes={},
        aliases={},
        speech=Separated(sources, {"PTL": sources, "ReLUs": sources}, RATE_HZ, says, synthetic),
    )
    verdict = judge({"r": recording}, ValidateSection(min_si_sdr_db=200))
    rows = [{"epoch": epoch, "loss": -epoch, "si_sdr": epoch} for epoch in (1.0, 2.0)]
    history = tuple(row | {f"validation_{key}": row[key] for key in ("loss", "si_sdr")} for row in rows)
    return VoicesContent("voices & more", verdict, (Heard("one <b>", {"mixture": SINE / 4}),), history)


def test_the_page_says_what_the_voices_are_and_that_no_chip_runs_it() -> None:
    page = render(content())
    assert "<h1>voices &amp; more</h1>" in page
    assert "The voices are synthetic voices, which are no speech." in page
    assert "the network stays on torch" in page
    assert "PESQ is not measured: it is about speech, and these are synthetic voices." in page
    assert "SI-SDR per epoch, in dB" in page
    assert "✗ fails" in page
    assert "synthetic" not in render(content(synthetic=False)).partition("<main")[2]


def test_mixtures_can_be_listened_to() -> None:
    page = render(content())
    assert "media-src data:" in page
    assert "one &lt;b&gt;" in page
    (address,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    with wave.open(io.BytesIO(base64.b64decode(address))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (RATE_HZ, 1, 800)
        samples = np.frombuffer(file.readframes(800), "<i2")
    assert np.abs(samples).max() == round(0.9 * 32_767) - 1 or np.abs(samples).max() == int(0.9 * 32_767)
    assert np.corrcoef(samples, SINE)[0, 1] > 0.9999


def test_equal_content_gives_an_equal_page() -> None:
    assert render(content()) == render(content())
