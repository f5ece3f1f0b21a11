"""Mixtures of two speakers by the rules of WSJ0-2mix.

Hershey, Chen, Le Roux and Watanabe, "Deep clustering: discriminative embeddings for segmentation and separation",
ICASSP 2016, arXiv 1508.04306, and the scripts that make their data: two utterances of different speakers; each is
scaled to the same active speech level, the first then raised and the second lowered by x dB, x uniform from 0 to 2.5,
so that their levels differ by 0 to 5 dB; both are cut to the shorter ("min") or filled up to the longer ("max");
mixture and sources are scaled together so that the largest absolute sample is 0.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.samples import Part
from deploytool.data.speech.level import active_level_db
from deploytool.data.speech.utterances import Wave
from deploytool.ir.speech import Mixture

LEVEL_MAX_DB: Final = 2.5
PEAK: Final = 0.9
PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")

Length: TypeAlias = Literal["min", "max"]


@dataclass(frozen=True)
class Pair:
    """The two utterances of a mixture of ``part``, and the level in dB by which each is raised."""

    part: Part
    names: tuple[str, str]
    levels_db: tuple[float, float]


def drawn_pairs(part: Part, speakers: Mapping[str, Sequence[str]], count: int, seed: int) -> tuple[Pair, ...]:
    """``count`` random mixtures of the utterances {speaker: names}, the same for the same ``seed``."""
    owners = [(speaker, name) for speaker, names in sorted(speakers.items()) for name in names]
    others = {speaker: [name for owner, name in owners if owner != speaker] for speaker in speakers}
    # A bit generator's raw stream is the same in every version of numpy, a Generator's methods are not.
    draws = (np.random.PCG64(seed).random_raw((count, 3)) >> np.uint64(11)) / 2**53
    found = []
    for first, second, level in draws.tolist():
        speaker, name = owners[int(first * len(owners))]
        level_db = round(LEVEL_MAX_DB * level, 4)
        found.append(Pair(part, (name, others[speaker][int(second * len(others[speaker]))]), (level_db, -level_db)))
    return tuple(found)


@dataclass(frozen=True)
class Mixer:
    """Makes mixtures at ``rate_hz``, each of ``samples``, of utterances that ``read(name)`` gives.

    A mixture that is longer is cut after ``samples``; a shorter one is followed by silence.
    """

    read: Callable[[str], Wave]
    rate_hz: int
    samples: int
    length: Length

    def __call__(self, pair: Pair) -> Mixture:
        """The mixture of ``pair``. Raises as ``read``."""
        waves = [self.read(name) for name in pair.names]
        whole = (min if self.length == "min" else max)(map(len, waves))
        # The level is that of the whole utterance, as in the scripts.
        raised = [
            wave * 10 ** ((level - active_level_db(wave, self.rate_hz)) / 20)
            for wave, level in zip(waves, pair.levels_db, strict=True)
        ]
        sources = np.stack([_of_length(wave, whole) for wave in raised])
        peak = max(float(np.abs(sources).max()), float(np.abs(sources.sum(axis=0)).max()))
        cut = np.stack([_of_length(wave, self.samples) for wave in sources * (PEAK / peak)])
        return Mixture(cut.astype(np.float32), self.rate_hz, " + ".join(pair.names))


def _of_length(wave: Wave, samples: int) -> Wave:
    """The first ``samples`` of ``wave``, followed by silence if there are fewer."""
    return np.pad(wave[:samples], (0, max(0, samples - len(wave))))


def written(pairs: Iterable[Pair]) -> str:
    """``pairs`` as text, which `parsed` reads: a line for each, `PART FIRST DB SECOND DB`.

    Without the part, it is the form of the lists of WSJ0-2mix. Names must have no spaces.
    """
    lines = [
        f"{pair.part} {pair.names[0]} {pair.levels_db[0]:g} {pair.names[1]} {pair.levels_db[1]:g}" for pair in pairs
    ]
    return "".join(f"{line}\n" for line in lines)


def parsed(text: str, where: str) -> tuple[Pair, ...]:
    """The pairs in ``text``, a file called ``where``. Raises InputError with every line that is none."""
    found, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        try:
            part, first, first_db, second, second_db = fields
            levels_db = float(first_db), float(second_db)
        except ValueError:
            part, levels_db = "", (np.nan, np.nan)
        if part not in PARTS or not np.isfinite(levels_db).all():
            need = "PART FIRST DB SECOND DB, for example: train anna/1.wav 1.5 ben/2.wav -1.5"
            problems.append(InputError(f"{where}:{number}", f"found {line!r}", need))
            continue
        found.append(Pair(part, (first, second), levels_db))
    if problems:
        raise InputError.together(problems)
    return tuple(found)
