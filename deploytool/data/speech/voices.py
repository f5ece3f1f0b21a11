"""Synthetic voices, which are no speech: harmonics of a varying pitch under the formants of vowels, in syllables.

They stand for speech where there is none to train on. A speaker has a mean pitch and a length of the vocal tract; an
utterance is a row of syllables, each a vowel with a pitch that glides, and short pauses between them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.base.digest import digest
from deploytool.data.speech.utterances import Wave

SAYS: Final = "synthetic voices, which are no speech"
SPEAKERS: Final = 20
UTTERANCES: Final = 30
"""Utterances of each speaker."""
PITCH_HZ: Final = (90.0, 290.0)
"""The mean pitch of the lowest and of the highest speaker; the others lie between, evenly in octaves."""
VOWELS_HZ: Final = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""The first three formants of a, i, u, e and o of men (Peterson and Barney, JASA 1952)."""
BANDWIDTH_HZ: Final = (80.0, 100.0, 140.0)
SYLLABLE_S: Final = (0.12, 0.28)
PAUSE_S: Final = 0.04
PROCEDURE: Final = 1
"""Version of how voices are made. Raise it with every change of a wave."""


def speakers() -> dict[str, tuple[str, ...]]:
    """{speaker: the names of the utterances}."""
    return {
        f"voice{speaker:02}": tuple(f"voice{speaker:02}/{number:02}" for number in range(UTTERANCES))
        for speaker in range(SPEAKERS)
    }


def fingerprint() -> str:
    """The fingerprint of all voices: the parameters of the procedure."""
    ranges = (PITCH_HZ, VOWELS_HZ, BANDWIDTH_HZ, SYLLABLE_S, PAUSE_S)
    return digest((PROCEDURE, SPEAKERS, UTTERANCES, *ranges))


def voice(name: str, rate_hz: int, samples: int) -> Wave:
    """(``samples``,): the utterance called ``name``, the same every time."""
    speaker = int(name.partition("/")[0].removeprefix("voice"))
    place = speaker / (SPEAKERS - 1)
    pitch_hz = PITCH_HZ[0] * (PITCH_HZ[1] / PITCH_HZ[0]) ** place
    tract = 1 + 0.25 * place
    draw = _Draws(name)
    parts: list[Wave] = []
    while sum(map(len, parts)) < samples:
        parts += [_syllable(draw, pitch_hz, tract, rate_hz), np.zeros(round(draw.uniform(0, PAUSE_S) * rate_hz))]
    wave = np.concatenate(parts)[:samples]
    loudest: Wave = wave / np.abs(wave).max()
    return loudest


class _Draws:
    """Random numbers that depend only on ``name``."""

    def __init__(self, name: str) -> None:
        # A bit generator's raw stream is the same in every version of numpy, a Generator's methods are not.
        self._bits = np.random.PCG64(int(digest(name)[:15], 16))

    def uniform(self, least: float, most: float) -> float:
        """A number from ``least`` to ``most``."""
        return least + (most - least) * float(self._bits.random_raw() >> 11) / 2**53


def _syllable(draw: _Draws, pitch_hz: float, tract: float, rate_hz: int) -> Wave:
    """A vowel: the sum over harmonics k of A(k f) sin(2 pi k int f dt), with A the formants' resonances."""
    count = round(draw.uniform(*SYLLABLE_S) * rate_hz)
    glide = np.linspace(draw.uniform(0.88, 1.12), draw.uniform(0.88, 1.12), count)
    pitch = pitch_hz * glide
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz + draw.uniform(0, 2 * np.pi)
    formants = tract * np.array(VOWELS_HZ[int(draw.uniform(0, len(VOWELS_HZ)))])
    harmonics = np.arange(1, int(rate_hz / 2 / pitch.max()) + 1)[:, None]
    wave = (_resonance(harmonics * pitch, formants) * np.sin(harmonics * phase)).sum(axis=0)
    rise = np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * rate_hz)
    loudness = np.minimum(rise, 1) * draw.uniform(0.4, 1)
    syllable: Wave = loudness * wave
    return syllable


def _resonance(hz: Wave, formants_hz: Wave) -> Wave:
    """The gain at ``hz``: the formants' resonances above a spectrum that falls by 6 dB per octave."""
    widths = np.array(BANDWIDTH_HZ)
    each = 1 / np.sqrt(1 + ((hz[..., None] - formants_hz) / widths) ** 2)
    gain: Wave = (each.sum(axis=-1) + 0.02) * (100 / np.maximum(hz, 100))
    return gain
