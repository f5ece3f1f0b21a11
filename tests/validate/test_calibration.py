"""Scores of changed emulators, against figures that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.validate.calibration import conclusion, difference, drop_rate, ranked, score

MEASURED = np.array([[4, 0, 6], [5, 5, 0]] * 4)
PLAIN = MEASURED + np.array([1, 0, -1])


def test_the_difference_is_pooled() -> None:
    assert difference(MEASURED, PLAIN) == 100 * 16 / 80
    assert difference(np.zeros((1, 2)), np.zeros((1, 2))) == 0
    assert difference(np.zeros((1, 2)), np.ones((1, 2))) == 100


def test_verdicts() -> None:
    half = MEASURED + np.array([1, 0, 0])
    further = MEASURED + np.array([2, 0, -1])
    scores = {
        name: score(MEASURED, PLAIN, counts[None], name, f"{name}.")
        for name, counts in {"same": PLAIN, "right": MEASURED, "half": half, "further": further}.items()
    }
    assert {name: each.verdict for name, each in scores.items()} == {
        "same": "cannot be told apart",
        "right": "explains",
        "half": "helps",
        "further": "does not help",
    }
    assert (scores["half"].difference, scores["half"].gain, scores["half"].interval) == (10, 10, (10, 10))
    assert (scores["half"].better, scores["half"].worse) == (8, 0)
    medians = {"same": PLAIN, "right": MEASURED, "half": half, "further": further}
    found = ranked(MEASURED, list(scores.values()), medians)
    assert [each.id for each in found] == ["right", "half", "same", "further"]
    assert conclusion(20, found, 8) == "right. This explains the difference: 20.00 % now, 0.00 % with it."
    assert conclusion(20, found[1:], 3) == (
        "None of the 3 assumptions explains the difference of 20.00 %. The best is 'half', which leaves 10.00 %. "
        "3 samples are few: take the interval as rough."
    )


def test_a_random_change_explains_what_its_draws_differ_by() -> None:
    rng = np.random.default_rng(0)
    plain = np.full((8, 50), 100)
    draws = plain - rng.binomial(40, 0.5, (9, 8, 50))
    found = score(plain - rng.binomial(40, 0.5, (8, 50)), plain, draws, "random", "")
    assert found.verdict == "explains"
    assert 0 < found.difference <= found.expected < 5
    assert score(plain - 40, plain, draws, "random", "").verdict == "helps"


def test_one_sample_has_no_interval() -> None:
    found = score(MEASURED[:1], PLAIN[:1], MEASURED[None, :1], "right", "")
    assert (found.interval, found.verdict) == (None, "explains")


def test_the_rate_of_lost_events_is_estimated() -> None:
    rng = np.random.default_rng(1)
    plain = np.full((20, 30), 200)
    drawn = {share: rng.binomial(200, 1 - share, (9, 20, 30)) for share in (0.01, 0.05, 0.1)}
    found = drop_rate(rng.binomial(200, 0.97, (20, 30)), plain, drawn)
    assert found is not None
    assert found.percent == pytest.approx(3, abs=0.3)
    assert 0 < found.low < found.percent < found.high < 4
    assert found.certain
    scattered = drop_rate(plain - rng.integers(0, 2, (20, 1)) * 20, plain, drawn)
    assert scattered is not None
    assert scattered.dispersion > 3
    assert not scattered.certain
    assert drop_rate(plain, plain, {0.1: np.array([plain] * 3)}) is None
