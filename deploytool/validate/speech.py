"""How well voices are separated: SI-SDR, SDR and PESQ of the estimates, in the order that fits the sources best.

SI-SDR of an estimate e of a source s is 10 log10(|a s|^2 / |a s - e|^2) with a = <e, s> / <s, s>, for signals without
their means (Le Roux, Wisdom, Erdogan and Hershey, ICASSP 2019, arXiv 1811.02508). Its improvement is that above the
SI-SDR of the mixture itself. SDR is that of BSS Eval version 3 with distortion filters of 512 samples (Vincent,
Gribonval and Fevotte, IEEE TASLP 14(4), 2006), by fast_bss_eval. PESQ is ITU-T P.862, narrowband, by the package pesq.
The last two are measured where `deploytool[speech]` is installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.numbers import DECIMALS
from deploytool.ir.recording import Recording
from deploytool.ir.speech import Separated, Waves
from deploytool.ir.verdict import MIXTURE, Separation, SeparationFigures

PESQ_HZ: Final = (8000, 16000)
"""The rates at which PESQ is defined."""
PESQ_LEAST_S: Final = 0.25
_FILTER: Final = 512

Floats = NDArray[np.float64]


def si_sdr(estimates: Waves, sources: Waves) -> Floats:
    """(...): the SI-SDR of ``estimates`` (..., N) of ``sources`` (..., N), in dB."""
    estimate, source = (np.asarray(waves, np.float64) for waves in (estimates, sources))
    estimate, source = (waves - waves.mean(axis=-1, keepdims=True) for waves in (estimate, source))
    scale = (estimate * source).sum(-1, keepdims=True) / np.maximum(np.square(source).sum(-1, keepdims=True), 1e-12)
    wanted = scale * source
    rest = np.square(wanted - estimate).sum(-1)
    found: Floats = 10 * np.log10(np.maximum(np.square(wanted).sum(-1), 1e-12) / np.maximum(rest, 1e-12))
    return found


def in_best_order(estimates: Waves, sources: Waves) -> Waves:
    """(S, K, N): ``estimates`` (S, K, N), those of each mixture in the order with the largest mean SI-SDR."""
    orders = list(permutations(range(sources.shape[1])))
    means = np.stack([si_sdr(estimates[:, order], sources).mean(axis=1) for order in orders])
    chosen = np.array(orders)[means.argmax(axis=0)]
    found: Waves = np.take_along_axis(estimates, chosen[:, :, None], axis=1)
    return found


def si_sdr_of(recording: Recording) -> dict[str, float]:
    """{network: mean SI-SDR in dB} of the voices of ``recording``, the `MIXTURE` itself first; empty without voices."""
    speech = recording.speech
    if speech is None or not len(speech.sources):
        return {}
    waves = {name: in_best_order(found, speech.sources) for name, found in _all(speech).items()}
    return {name: round(float(si_sdr(found, speech.sources).mean()), DECIMALS) for name, found in waves.items()}


def separation(recording: Recording) -> Separation | None:
    """How well the voices of ``recording`` are separated, by every network; None if it has no voices."""
    speech, means = recording.speech, si_sdr_of(recording)
    if speech is None or not means:
        return None
    waves = {name: in_best_order(found, speech.sources) for name, found in _all(speech).items()}
    networks = tuple(
        SeparationFigures(
            network=name,
            si_sdr_db=means[name],
            si_sdr_improvement_db=round(means[name] - means[MIXTURE], DECIMALS),
            sdr_db=_mean(list(_sdr(found, speech.sources))) if _has("fast_bss_eval") else None,
            pesq=_mean(list(_pesq(found, speech))) if _has("pesq") and _is_for_pesq(speech) else None,
        )
        for name, found in waves.items()
    )
    lacks = list(_not_measured(speech))
    if _has("pesq") and _is_for_pesq(speech) and any(each.pesq is None for each in networks):
        lacks.append("PESQ is not measured: it finds no utterance in these voices.")
    return Separation(speech.says, speech.rate_hz, len(speech.sources), networks, tuple(lacks))


def _all(speech: Separated) -> dict[str, Waves]:
    """{network: its estimates}, the mixture taken for each of its voices first."""
    mixed = np.broadcast_to(speech.mixtures[:, None], speech.sources.shape)
    return {MIXTURE: mixed, **speech.estimates}


def _has(package: str) -> bool:
    return find_spec(package) is not None


def _is_for_pesq(speech: Separated) -> bool:
    return not speech.synthetic and speech.rate_hz in PESQ_HZ and not _is_short(speech)


def _is_short(speech: Separated) -> bool:
    return bool(speech.sources.shape[-1] < PESQ_LEAST_S * speech.rate_hz)


def _not_measured(speech: Separated) -> Iterator[str]:
    """What is not measured, and why, in sentences."""
    install = "pip install 'deploytool[speech]'"
    if not _has("fast_bss_eval"):
        yield f"SDR is not measured: fast_bss_eval is not installed ({install})."
    if speech.synthetic:
        yield "PESQ is not measured: it is about speech, and these are synthetic voices."
    elif speech.rate_hz not in PESQ_HZ:
        yield f"PESQ is not measured: it is defined at 8000 and 16000 samples per second, not at {speech.rate_hz}."
    elif _is_short(speech):
        yield f"PESQ is not measured: it needs {PESQ_LEAST_S:g} s of speech."
    elif not _has("pesq"):
        yield f"PESQ is not measured: pesq is not installed ({install})."


def _sdr(estimates: Waves, sources: Waves) -> Iterator[float]:
    """The SDR of every mixture, without those whose sources are not independent: it is not defined there."""
    from fast_bss_eval import bss_eval_sources

    length = min(_FILTER, sources.shape[-1] // 2)
    for estimate, source in zip(estimates, sources, strict=True):
        with np.errstate(divide="ignore"):  # A source that another estimate has nothing of.
            try:
                ratios = bss_eval_sources(source.astype(np.float64), estimate.astype(np.float64), filter_length=length)
            except np.linalg.LinAlgError:
                continue
        yield float(np.mean(ratios[0]))


def _pesq(estimates: Waves, speech: Separated) -> Iterator[float]:
    """The PESQ of every voice, without those in which it finds no utterance."""
    from pesq import NoUtterancesError, pesq

    for estimate, source in zip(estimates, speech.sources, strict=True):
        for heard, said in zip(estimate, source, strict=True):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    yield float(pesq(speech.rate_hz, said, heard, "nb"))
            except NoUtterancesError:
                continue


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), DECIMALS) if values else None
