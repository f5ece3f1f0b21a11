"""The sets speech and voices: who speaks in which part, their lists, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.loader import loader
from deploytool.data.sets.speech import list_of, opened
from deploytool.data.sets.table import fingerprint, load, load_events, promised
from deploytool.data.speech import voices
from deploytool.recipe import DataSection


def speech(root: Path, speakers: int = 5, utterances: int = 4, **keys: Any) -> DataSection:
    for speaker in range(speakers):
        (root / f"s{speaker}").mkdir(parents=True, exist_ok=True)
        for number in range(utterances):
            wave = np.random.default_rng((speaker, number)).normal(size=1200).astype(np.float32)
            wavfile.write(root / f"s{speaker}" / f"{number}.wav", 8000, wave)
    return DataSection.model_validate(
        {"set": "speech", "root": str(root), "duration_ms": 100, "validation": 0.25, **keys}
    )


def speakers_in(names: set[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def test_test_speakers_are_unseen_and_validation_has_other_utterances(tmp_path: Path) -> None:
    pairs = opened(speech(tmp_path, train_samples=200, test_samples=50)).pairs()
    used = {part: {name for pair in found for name in pair.names} for part, found in pairs.items()}
    assert {part: len(found) for part, found in pairs.items()} == {"train": 200, "validation": 50, "test": 50}
    assert len(speakers_in(used["test"])) == 2
    assert not speakers_in(used["test"]) & speakers_in(used["train"] | used["validation"])
    assert speakers_in(used["validation"]) == speakers_in(used["train"])
    assert not used["validation"] & used["train"]


def test_a_set_is_what_it_promises(tmp_path: Path) -> None:
    spec = speech(tmp_path, train_samples=12, test_samples=3)
    data = load(spec, seed=0)
    assert (data.shape, data.rate_hz, data.kind) == ((1, 1, 800), 8000, "separate")
    assert promised(spec).shape == data.shape
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 3, 3)
    frames, sources = next(iter(loader(data.train, spec)(8, 5, None)))
    assert (frames.shape, sources.shape) == ((1, 5, 1, 1, 800), (5, 2, 800))
    assert frames[0, 2, 0, 0].numpy() == pytest.approx(data.train[2].sources.sum(0), abs=1e-6)


def test_the_list_gives_the_same_mixtures_again(tmp_path: Path) -> None:
    spec = speech(tmp_path / "wav", train_samples=12, test_samples=3)
    (tmp_path / "list.txt").write_text(list_of(spec))
    again = spec.model_copy(update={"mixtures": str(tmp_path / "list.txt"), "train_samples": None})
    assert opened(again).pairs() == opened(spec).pairs()
    assert load(again, 0).train[3].sources.tobytes() == load(spec, 0).train[3].sources.tobytes()
    before = fingerprint(again, 0)
    (tmp_path / "list.txt").write_text(list_of(spec).replace("test s", "train s", 1))
    assert fingerprint(again, 0) != before


def test_a_list_of_other_utterances_is_refused(tmp_path: Path) -> None:
    spec = speech(tmp_path / "wav")
    place = tmp_path / "list.txt"
    place.write_text("train s0/0.wav 1 nobody/0.wav -1\n")
    with pytest.raises(InputError, match=r"1 unknown utterances, first nobody/0\.wav"):
        opened(spec.model_copy(update={"mixtures": str(place)})).pairs()
    place.write_text("train s0/0.wav 1 s0/1.wav -1\n")
    with pytest.raises(InputError, match=r"1 mixtures of one speaker, first s0/0\.wav and s0/1\.wav"):
        opened(spec.model_copy(update={"mixtures": str(place)})).pairs()
    place.write_text("train s0/0.wav 1 s1/0.wav -1\n")
    with pytest.raises(InputError, match="no mixture for validation, test"):
        opened(spec.model_copy(update={"mixtures": str(place)})).pairs()


def test_too_few_speakers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 speaker: s0; need at least 4"):
        load(speech(tmp_path, speakers=1), 0)
    with pytest.raises(InputError, match="one utterance of s0, s1, s2, s3; need at least two"):
        load(speech(tmp_path / "few", speakers=4, utterances=1), 0)


def test_keys_that_speech_lacks_are_refused(tmp_path: Path) -> None:
    for key, value in (("pool", 2), ("coding", "count"), ("split", "names")):
        with pytest.raises(RecipeError, match=f"data.{key}: found .*; need none for the set speech"):
            load(speech(tmp_path).model_copy(update={key: value}), 0)
    with pytest.raises(RecipeError, match=r"data.rate_hz: found 8000; need none for the set digits"):
        load(DataSection(set="digits", rate_hz=8000), 0)
    with pytest.raises(RecipeError, match=r"data.root: found '/tmp'; need none for the set voices"):
        load(DataSection(set="voices", root="/tmp"), 0)
    with pytest.raises(RecipeError, match=r"data.root: missing for the set speech"):
        load(DataSection(set="speech"), 0)
    with pytest.raises(RecipeError, match="speech does not become events"):
        load_events(DataSection(set="voices"), 0)


def test_synthetic_voices_say_so_and_are_the_same_every_time() -> None:
    spec = DataSection(set="voices", duration_ms=100, train_samples=6, test_samples=2)
    data = load(spec, 0)
    assert data.notes == ("The set voices has synthetic voices, which are no speech.",)
    assert data.test[1].sources.tobytes() == load(spec, 0).test[1].sources.tobytes()
    wave = voices.voice("voice00/00", 8000, 8000)
    spectrum = np.abs(np.fft.rfft(wave))
    # The pitch of the lowest speaker is 90 Hz, and glides by at most 12 %; nothing is below it.
    assert np.square(spectrum[:75]).sum() < 0.02 * np.square(spectrum).sum()
