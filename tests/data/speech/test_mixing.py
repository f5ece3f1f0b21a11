"""Mixtures of two speakers: levels, lengths, who is mixed with whom, and the list."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.data.speech.level import active_level_db
from deploytool.data.speech.mixing import LEVEL_MAX_DB, PEAK, Mixer, Pair, drawn_pairs, parsed, written
from deploytool.data.speech.utterances import Wave

RATE_HZ = 8000
SPEAKERS = {"anna": ("anna/1.wav", "anna/2.wav"), "ben": ("ben/1.wav",), "cleo": ("cleo/1.wav", "cleo/2.wav")}


def noise(seed: int, samples: int = 8000) -> Wave:
    return np.random.default_rng(seed).normal(size=samples)


WAVES = {"a": noise(1), "b": 0.01 * noise(2, 12_000)}


def db(wave: Wave) -> float:
    return float(10 * np.log10(np.mean(np.square(wave))))


def test_the_level_of_a_steady_sound_is_that_of_its_mean_square() -> None:
    sine = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / RATE_HZ)
    assert active_level_db(sine, RATE_HZ) == pytest.approx(db(sine), abs=0.1)


def test_pauses_do_not_lower_the_level() -> None:
    wave = noise(3, 16_000)
    paused = np.concatenate([wave, np.zeros(48_000)])
    assert db(paused) == pytest.approx(db(wave) - 6.02, abs=0.01)
    # The envelope falls by 15.9 dB, and 200 ms of hangover count: at most 0.9 dB for one pause after 2 s.
    assert active_level_db(paused, RATE_HZ) == pytest.approx(active_level_db(wave, RATE_HZ), abs=0.9)


def test_a_louder_wave_has_a_level_that_is_exactly_as_much_higher() -> None:
    wave = np.concatenate([noise(4), np.zeros(4000)])
    assert active_level_db(wave / 8, RATE_HZ) == pytest.approx(active_level_db(wave, RATE_HZ) - 20 * np.log10(8))


def test_a_click_has_the_level_of_its_mean_square() -> None:
    click = np.zeros(8000)
    click[10] = 1
    assert active_level_db(click, RATE_HZ) == pytest.approx(db(click))


def test_sources_differ_by_the_levels_of_the_pair() -> None:
    mixture = Mixer(WAVES.__getitem__, RATE_HZ, 8000, "min")(Pair("train", ("a", "b"), (2.0, -2.0)))
    first, second = mixture.sources
    assert db(first) - db(second) == pytest.approx(4.0, abs=0.2)
    assert mixture.mixed == pytest.approx(first + second)
    assert max(np.abs(mixture.sources).max(), np.abs(mixture.mixed).max()) == pytest.approx(PEAK, abs=1e-6)


@pytest.mark.parametrize(("length", "end"), [("min", 8000), ("max", 12_000)])
def test_a_mixture_is_as_long_as_the_shorter_or_the_longer_utterance(length: str, end: int) -> None:
    mixture = Mixer(WAVES.__getitem__, RATE_HZ, 16_000, length)(Pair("train", ("a", "b"), (0.0, 0.0)))  # type: ignore[arg-type]
    first, second = mixture.sources
    assert mixture.shape == (1, 1, 16_000)
    assert np.flatnonzero(first)[-1] == 7999
    assert np.flatnonzero(second)[-1] == end - 1


def test_pairs_are_of_two_speakers_at_0_to_5_db_and_the_same_every_time() -> None:
    pairs = drawn_pairs("train", SPEAKERS, 300, seed=5)
    assert pairs == drawn_pairs("train", SPEAKERS, 300, seed=5)
    assert pairs != drawn_pairs("train", SPEAKERS, 300, seed=6)
    assert all(pair.names[0].split("/")[0] != pair.names[1].split("/")[0] for pair in pairs)
    assert {name for pair in pairs for name in pair.names} == {name for names in SPEAKERS.values() for name in names}
    levels = np.array([pair.levels_db for pair in pairs])
    assert (levels[:, 0] == -levels[:, 1]).all()
    assert levels[:, 0].min() >= 0
    assert 2 * LEVEL_MAX_DB - 0.2 < np.ptp(levels, axis=1).max() <= 2 * LEVEL_MAX_DB


def test_a_list_is_read_as_it_was_written() -> None:
    pairs = drawn_pairs("validation", SPEAKERS, 20, seed=1) + drawn_pairs("test", SPEAKERS, 5, seed=2)
    assert parsed("# a comment\n\n" + written(pairs), "list.txt") == pairs
    assert written([Pair("test", ("a/1.wav", "b/2.wav"), (1.5, -1.5))]) == "test a/1.wav 1.5 b/2.wav -1.5\n"


def test_every_wrong_line_of_a_list_is_named() -> None:
    text = "train a 1 b -1\nlater a 1 b -1\ntrain a loud b -1\ntrain a 1 b\n"
    with pytest.raises(InputError) as caught:
        parsed(text, "list.txt")
    assert [problem.partition(":")[2].partition(":")[0] for problem in caught.value.problems] == ["2", "3", "4"]
