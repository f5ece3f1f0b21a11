"""The active speech level: how loud an utterance is, without its pauses."""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.data.speech.utterances import Wave

TIME_CONSTANT_S: Final = 0.03
HANGOVER_S: Final = 0.2
MARGIN_DB: Final = 15.9
THRESHOLDS: Final = 15
"""The constants of ITU-T P.56."""


def active_level_db(wave: Wave, rate_hz: int) -> float:
    """The level of ``wave`` in dB by ITU-T P.56 (12/2011), method B, relative to a mean square of 1.

    The envelope q is |x| after two exponential averages of 30 ms each. With c a threshold, a(c) is the number of
    samples at which q >= c, or was in the 200 ms before. A(c) = 10 log10(sum x^2 / a(c)) is the level of these samples;
    the result is A(c) at the threshold at which A(c) is 15.9 dB above c, interpolated between powers of two. Thresholds
    are relative to the peak here, so that the level of a scaled wave is exactly as much higher.
    Without such a threshold, as in a single click, it is the level of the whole wave.
    """
    peak = float(np.abs(wave).max())
    envelope = _envelope(np.abs(wave) / peak, rate_hz)
    energy = float(np.square(wave / peak).sum())
    above_db, levels_db = [], []
    for threshold in 2.0 ** -np.arange(THRESHOLDS, 0, -1):
        active = _active(envelope >= threshold, round(HANGOVER_S * rate_hz))
        if not active:
            break
        levels_db.append(10 * np.log10(energy / active))
        above_db.append(levels_db[-1] - 20 * np.log10(threshold))
    peak_db = 20 * np.log10(peak)
    crossing = np.flatnonzero(np.array(above_db) <= MARGIN_DB)
    if not len(crossing) or crossing[0] == 0:
        return float(peak_db + 10 * np.log10(energy / len(wave)))
    before, after = crossing[0] - 1, crossing[0]
    share = (above_db[before] - MARGIN_DB) / (above_db[before] - above_db[after])
    return float(peak_db + levels_db[before] + share * (levels_db[after] - levels_db[before]))


def _envelope(magnitude: Wave, rate_hz: int) -> Wave:
    """``magnitude`` after two exponential averages: convolved with (1 - g)^2 (n + 1) g^n, g = exp(-1 / (30 ms))."""
    decay = np.exp(-1 / (TIME_CONSTANT_S * rate_hz))
    n = np.arange(min(len(magnitude), round(20 * TIME_CONSTANT_S * rate_hz)))
    kernel = (1 - decay) ** 2 * (n + 1) * decay**n
    size = len(magnitude) + len(kernel)
    spectrum = np.fft.rfft(magnitude, size) * np.fft.rfft(kernel, size)
    found: Wave = np.fft.irfft(spectrum, size)[: len(magnitude)]
    return found


def _active(above: np.ndarray[tuple[int], np.dtype[np.bool_]], hangover: int) -> int:
    """The number of samples that are ``above``, or at most ``hangover`` samples after one that is."""
    places = np.arange(len(above))
    last = np.maximum.accumulate(np.where(above, places, -hangover - 1))
    return int((places - last <= hangover).sum())
