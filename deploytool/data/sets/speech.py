"""Mixtures of two speakers: of utterances in a folder, or of synthetic voices, which are made here.

Test speakers speak in no other part. Training and validation share speakers, and no utterance. Speakers of the test and
utterances of the validation are those whose names have the lowest hash, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.digest import digest
from deploytool.base.errors import InputError, RecipeError
from deploytool.data.samples import Held, Part, Samples, hash_split
from deploytool.data.sets.source import PARTS
from deploytool.data.speech import voices
from deploytool.data.speech.mixing import Mixer, Pair, drawn_pairs, parsed, written
from deploytool.data.speech.utterances import LAYOUT, Wave, read_wav, utterances_in
from deploytool.ir.speech import SPEAKERS, Mixture
from deploytool.recipe import DataSection

SPEECH: Final = "speech"
VOICES: Final = "voices"
RATE_HZ: Final = 8000
DURATION_MS: Final = 4000.0
TEST_SHARE: Final = 0.2
"""The defaults of [data]."""
HELD_SAMPLES: Final = 2**27
"""Number of audio samples kept in memory, at four bytes each; further mixtures are made again on each access."""
_PAIRS_SEED: Final = 2


def rate_of(spec: DataSection) -> int:
    """The samples per second of the mixtures of ``spec``."""
    return spec.rate_hz or RATE_HZ


def length_of(spec: DataSection) -> int:
    """The number of samples of each mixture of ``spec``."""
    return round((spec.duration_ms or DURATION_MS) / 1000 * rate_of(spec))


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Mixtures as ``spec`` asks for them, of {speaker: names of utterances} that ``read(name)`` gives.

    ``content`` is the fingerprint of the utterances.
    """

    spec: DataSection
    speakers: Mapping[str, Sequence[str]]
    read: Callable[[str], Wave]
    content: str
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, 1, N): the samples of a mixture."""
        return 1, 1, length_of(self.spec)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the content and of the list of mixtures."""
        return digest((self.content, "" if self.spec.mixtures is None else _text(self.spec.mixtures)))

    def parts(self, wanted: Collection[Part]) -> Mapping[Part, Samples[Mixture]]:
        """The mixtures of the ``wanted`` parts. Raises InputError for a list of other utterances, or without a part."""
        mixer = Mixer(self.read, rate_of(self.spec), length_of(self.spec), self.spec.length)
        return {part: _samples(mixer, pairs) for part, pairs in self.pairs().items() if part in wanted}

    def pairs(self) -> Mapping[Part, tuple[Pair, ...]]:
        """The pairs of every part: those of the list that ``spec`` names, or random ones."""
        if self.spec.mixtures is not None:
            return self._listed(self.spec.mixtures)
        seen, unseen = self._split()
        learnt: dict[str, Sequence[str]] = {}
        held: dict[str, Sequence[str]] = {}
        for speaker, names in seen.items():
            kept, out = hash_split(names, np.zeros(len(names), np.int64), self.spec.validation)
            learnt[speaker], held[speaker] = ([names[i] for i in chosen.tolist()] for chosen in (kept, out))
        number = self.spec.train_samples or sum(map(len, seen.values()))
        counts = number, max(1, round(self.spec.validation * number)), self.spec.test_samples
        found: dict[Part, tuple[Pair, ...]] = {}
        split: tuple[dict[str, Sequence[str]], ...] = (learnt, held, unseen)
        for place, (part, speakers) in enumerate(zip(PARTS, split, strict=True)):
            count = counts[place] or sum(len(names) for names in speakers.values())
            found[part] = drawn_pairs(part, speakers, count, _PAIRS_SEED + place)
        return found

    def _split(self) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
        """The utterances of (speakers of training and validation, speakers of the test)."""
        names, least = sorted(self.speakers), 2 * SPEAKERS
        if len(names) < least:
            found = f"{len(names)} speaker{'s' * (len(names) > 1)}: {', '.join(names)}"
            need = f"at least {least}, {SPEAKERS} to train on and {SPEAKERS} for the test"
            raise InputError(f"data.set {self.spec.set}", found, need, LAYOUT)
        if few := [name for name in names if len(self.speakers[name]) < 2]:
            found = f"one utterance of {', '.join(few)}"
            raise InputError(f"data.set {self.spec.set}", found, "at least two of every speaker")
        share = max(self.spec.test_share or TEST_SHARE, SPEAKERS / len(names))
        kept, held = hash_split(names, np.zeros(len(names), np.int64), min(share, 1 - SPEAKERS / len(names)))
        seen, unseen = ({names[i]: self.speakers[names[i]] for i in chosen.tolist()} for chosen in (kept, held))
        return seen, unseen

    def _listed(self, place: str) -> Mapping[Part, tuple[Pair, ...]]:
        """The pairs in the list ``place``."""
        pairs = parsed(_text(place), place)
        speaker_of = {name: speaker for speaker, names in self.speakers.items() for name in names}
        if unknown := sorted({name for pair in pairs for name in pair.names} - speaker_of.keys()):
            found = f"{len(unknown)} unknown utterances, first {unknown[0]}"
            raise InputError(f"data.mixtures {place}", found, "files in data.root, named from there")
        if alone := [pair for pair in pairs if len({speaker_of[name] for name in pair.names}) == 1]:
            found = f"{len(alone)} mixtures of one speaker, first {' and '.join(alone[0].names)}"
            raise InputError(f"data.mixtures {place}", found, "two speakers in every mixture")
        by_part = {part: tuple(pair for pair in pairs if pair.part == part) for part in PARTS}
        if empty := [part for part in PARTS if not by_part[part]]:
            raise InputError(f"data.mixtures {place}", f"no mixture for {', '.join(empty)}", "some for every part")
        return by_part


def _text(place: str) -> str:
    try:
        return Path(place).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data.mixtures {place}", f"cannot be read ({error})", "a list of mixtures") from None


def _samples(mixer: Mixer, pairs: Sequence[Pair]) -> Samples[Mixture]:
    made = Held(Samples(np.zeros(len(pairs), np.int64), lambda i: mixer(pairs[i])), _size, HELD_SAMPLES)
    return Samples(np.zeros(len(pairs), np.int64), made.__getitem__)


def _size(mixture: Mixture) -> int:
    return mixture.sources.size


def opened(spec: DataSection) -> Mixtures:
    """The mixtures of the utterances that ``spec`` names, or of synthetic voices.

    Raises RecipeError without a root, InputError for a folder without utterances.
    """
    if spec.set == VOICES:
        if spec.root is not None:
            raise RecipeError("data.root", f"found {spec.root!r}", f"none for the set {VOICES}, whose voices are made")
        read = partial(voices.voice, rate_hz=rate_of(spec), samples=length_of(spec))
        note = f"The set {VOICES} has {voices.SAYS}."
        return Mixtures(spec, voices.speakers(), read, voices.fingerprint(), (note,))
    if spec.root is None:
        raise RecipeError("data.root", f"missing for the set {SPEECH}", "the folder of the utterances", LAYOUT)
    found = utterances_in(Path(spec.root).expanduser())
    if spaced := [name for names in found.speakers.values() for name in names if len(name.split()) != 1]:
        raise InputError(f"data.root {spec.root}", f"a space in the name {spaced[0]!r}", "names without spaces")
    return Mixtures(spec, found.speakers, lambda name: read_wav(found.root / name, rate_of(spec)), found.fingerprint)


def list_of(spec: DataSection) -> str:
    """The list of all mixtures of ``spec``, as a text that `data.mixtures` takes."""
    return written(pair for pairs in opened(spec).pairs().values() for pair in pairs)


def says_of(spec: DataSection) -> str:
    """What the voices of ``spec`` are."""
    return voices.SAYS if spec.set == VOICES else f"utterances in the folder {Path(spec.root or '').name}"


def located(root: str | None) -> object:
    """The utterances in ``root``. Raises as `opened`."""
    return opened(DataSection(set=SPEECH, root=root))


def parts_at(name: str, root: str | None) -> tuple[Samples[Mixture], Samples[Mixture]]:
    """The (training, test) mixtures of the set ``name``, by its defaults."""
    found = opened(DataSection.model_validate({"set": name, "root": root})).parts(("train", "test"))
    return found["train"], found["test"]


def fingerprint_at(name: str, root: str | None) -> str:
    """The fingerprint of the set ``name``, by its defaults."""
    return opened(DataSection.model_validate({"set": name, "root": root})).fingerprint
