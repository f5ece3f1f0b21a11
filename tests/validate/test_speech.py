"""How well voices are separated, as a verdict states it."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.data.speech import voices
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import read_recording, write_recording
from deploytool.ir.score import score_of
from deploytool.ir.speech import Separated
from deploytool.ir.verdict_file import load_verdict, save_verdict
from deploytool.recipe import ValidateSection
from deploytool.validate import speech
from deploytool.validate.ladder import judge

RNG = np.random.default_rng(0)
SOURCES = RNG.normal(size=(3, 2, 4000)).astype(np.float32)
REST = RNG.normal(size=(3, 2, 4000)).astype(np.float32)


def heard(**keys: Any) -> Recording:
    """Sources with a tenth of noise, in exchanged order for the second mixture, and a worse network."""
    good = SOURCES + 0.1 * REST
    good[1] = good[1, ::-1]
    estimates = {"PTL": good, "ReLUs": SOURCES + REST}
    empty = np.zeros((3, 0), np.int64)
    return Recording(
        rung="torch",
        samples=("a", "b", "c"),
        labels=np.full(3, -1),
        outputs=(),
        counts={},
        synops=np.full(3, 10),
        spikes={},
        aliases={},
        potentials=empty.astype(np.float32),
        speech=Separated(SOURCES, estimates, 8000, "synthetic voices, which are no speech", **keys),
    )


def test_figures_are_those_of_the_best_order() -> None:
    found = speech.separation(heard(synthetic=True))
    assert found is not None
    by_name = {each.network: each for each in found.networks}
    assert list(by_name) == ["mixture", "PTL", "ReLUs"]
    assert by_name["mixture"].si_sdr_db == pytest.approx(0, abs=0.3)
    assert by_name["PTL"].si_sdr_db == pytest.approx(20, abs=0.3)
    assert by_name["ReLUs"].si_sdr_db == pytest.approx(0, abs=0.3)
    improved = by_name["PTL"].si_sdr_db - by_name["mixture"].si_sdr_db
    assert by_name["PTL"].si_sdr_improvement_db == pytest.approx(improved)
    assert found.ran is by_name["PTL"]


def test_sdr_is_that_of_bss_eval() -> None:
    pytest.importorskip("fast_bss_eval", reason="fast_bss_eval is not installed")
    found = speech.separation(heard(synthetic=True))
    assert found is not None
    # White noise of a tenth: 20 dB, and a little more, because the filter of 512 samples takes its share of the noise.
    assert found.ran.sdr_db == pytest.approx(20.6, abs=0.4)


def test_voices_without_an_sdr_have_none() -> None:
    pytest.importorskip("fast_bss_eval", reason="fast_bss_eval is not installed")
    separated = heard(synthetic=True)
    assert separated.speech is not None
    alike = np.repeat(separated.speech.sources[:, :1], separated.speech.sources.shape[1], axis=1)
    found = speech.separation(replace(separated, speech=replace(separated.speech, sources=alike)))
    assert found is not None
    assert found.ran.sdr_db is None


def test_pesq_is_of_speech_only_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic = speech.separation(heard(synthetic=True))
    assert synthetic is not None
    assert synthetic.ran.pesq is None
    assert "PESQ is not measured: it is about speech, and these are synthetic voices." in synthetic.not_measured
    monkeypatch.setattr(speech, "find_spec", lambda _: None)
    bare = speech.separation(heard())
    assert bare is not None
    assert (bare.ran.sdr_db, bare.ran.pesq) == (None, None)
    assert [says.partition(" ")[0] for says in bare.not_measured] == ["SDR", "PESQ"]
    assert all("deploytool[speech]" in says for says in bare.not_measured)


def test_pesq_falls_with_noise() -> None:
    pytest.importorskip("pesq", reason="pesq is not installed")
    # The measure does not know that these voices are made.
    sources = np.stack([voices.voice(name, 8000, 16_000) for name in ("voice03/00", "voice15/00")])[None]
    noise = np.random.default_rng(1).normal(size=sources.shape)
    recording = replace(
        heard(),
        samples=("a",),
        labels=np.array([-1]),
        synops=np.array([1]),
        potentials=np.zeros((1, 0), np.float32),
        speech=Separated(sources, {"PTL": sources + 0.01 * noise, "ReLUs": sources + 0.3 * noise}, 8000, "speech"),
    )
    found = speech.separation(recording)
    assert found is not None
    better, worse = (each.pesq for each in found.networks[1:])
    assert better is not None
    assert worse is not None
    assert 4.6 > better > worse > 0.9


def test_a_recording_keeps_its_voices() -> None:
    file, recording = BytesIO(), heard(synthetic=True)
    write_recording(recording, file)
    again = read_recording(file, "memory").speech
    assert recording.speech is not None
    assert again is not None
    assert again.sources.tobytes() == recording.speech.sources.tobytes()
    assert list(again.estimates) == ["PTL", "ReLUs"]
    assert again.estimates["ReLUs"].tobytes() == recording.speech.estimates["ReLUs"].tobytes()
    assert (again.rate_hz, again.says, again.synthetic) == (8000, recording.speech.says, True)


def test_estimates_of_another_shape_or_size_are_refused() -> None:
    with pytest.raises(InputError, match="estimates of 'PTL' of shape"):
        Separated(SOURCES, {"PTL": SOURCES[:, :1]}, 8000, "speech")
    for value in (np.nan, np.inf, 3e38):
        with pytest.raises(InputError, match="waves that are not finite, or huge; need values up to 1,000,000,000"):
            Separated(SOURCES, {"PTL": np.full_like(SOURCES, value)}, 8000, "speech")
    with pytest.raises(InputError, match="estimates of no network; need those of one at least"):
        Separated(SOURCES, {}, 8000, "speech")
    with pytest.raises(InputError, match="voices of 3 samples; need 2"):
        replace(heard(), samples=("a", "b"), labels=np.full(2, -1))


def test_a_verdict_has_limits_on_voices_and_is_read_again(tmp_path: Any) -> None:
    limits = ValidateSection(min_si_sdr_db=15, min_si_sdr_improvement_db=25)
    verdict = judge({"r": heard(synthetic=True)}, limits)
    assert {check.id: check.passed for check in verdict.checks} == {
        "min_si_sdr_db": True,
        "min_si_sdr_improvement_db": False,
    }
    save_verdict(verdict, tmp_path)
    again = load_verdict(tmp_path).ran["torch"]
    assert again.separation == verdict.ran["torch"].separation
    score = score_of(again)
    assert score.title == "SI-SDR"
    assert "synthetic voices" in score.says
    assert (again.accuracy, again.decision) == (None, None)
