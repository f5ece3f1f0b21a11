"""AutoAugment: the policy of the paper, and its operations against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from deploytool.data.autoaugment import (
    CIFAR10,
    GREY,
    LEVELS,
    OPERATIONS,
    RANDOM,
    RANDOM_LEVELS,
    Draws,
    auto_augmented,
    draw_any,
    draw_pairs,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 12, 10)).astype(np.uint8)
STRENGTHS = {"brightness", "color", "contrast", "sharpness"}


def applied(name: str, level: int, negative: bool = False, pixels: np.ndarray = PIXELS) -> np.ndarray:
    """(C, H, W) int64."""
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return np.asarray(OPERATIONS[name].at(picture, level / LEVELS, negative)).transpose(2, 0, 1).astype(np.int64)


def test_the_policy_is_25_pairs_of_known_operations() -> None:
    assert len(CIFAR10) == 25
    steps = [step for pair in CIFAR10 for step in pair]
    assert {name for name, _, _ in steps} == {*OPERATIONS} - {"shear x"}
    assert all(0 <= probability <= 1 and 0 <= level <= LEVELS for _, probability, level in steps)
    assert CIFAR10[0] == (("invert", 0.1, 7), ("contrast", 0.2, 6))
    assert CIFAR10[-1] == (("translate y", 0.7, 9), ("autocontrast", 0.9, 1))


def test_operations_on_values() -> None:
    x = PIXELS.astype(np.int64)
    assert np.array_equal(applied("invert", 3), 255 - x)
    assert np.array_equal(applied("solarize", 0), x)
    assert np.array_equal(applied("solarize", 9), 255 - x)
    assert np.array_equal(applied("solarize", 5), np.where(x < 114, x, 255 - x))  # 256 (1 - 5/9)
    assert np.array_equal(applied("posterize", 0), x)
    assert np.array_equal(applied("posterize", 9), x // 16 * 16)
    assert np.array_equal(applied("posterize", 7), x // 8 * 8)  # 8 - 4 * 7/9 bits, to the nearest: 5
    for negative, factor in ((False, 1.6), (True, 0.4)):
        wanted = np.clip(factor * x, 0, 255)
        assert np.abs(applied("brightness", 6, negative) - wanted).max() <= 1
    lowest, highest = (bound(x, (1, 2), keepdims=True) for bound in (np.min, np.max))
    assert np.abs(applied("autocontrast", 0) - (x - lowest) * 255 / (highest - lowest)).max() <= 1
    grey = (0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]).round()
    assert np.abs(applied("color", 9, True) - (grey + 0.1 * (x - grey))).max() <= 2
    mean = grey.mean().round()
    assert np.abs(applied("contrast", 9, True) - (mean + 0.1 * (x - mean))).max() <= 2
    inner = x[:, 1:-1, 1:-1]
    around = sum(x[:, i : 10 + i, j : 8 + j] for i, j in np.ndindex(3, 3))
    smooth = ((around + 4 * inner) / 13).round()
    assert np.abs(applied("sharpness", 9, True)[:, 1:-1, 1:-1] - (smooth + 0.1 * (inner - smooth))).max() <= 2
    for name in STRENGTHS:
        assert np.array_equal(applied(name, 0), x)


def test_equalised_values_are_spread_evenly() -> None:
    dark = np.random.default_rng(1).integers(0, 32, (3, 64, 64)).astype(np.uint8)
    found = applied("equalize", 0, pixels=dark)
    assert found.min() < 10
    assert found.max() > 245
    for before, after in zip(dark, found, strict=True):
        order = np.argsort(before.ravel(), kind="stable")
        assert (np.diff(after.ravel()[order]) >= 0).all()


def test_operations_on_places() -> None:
    moved = applied("translate x", 9)  # by 150/331 of 10 pixels, 4.5
    assert np.array_equal(moved[:, :, :5], PIXELS[:, :, 5:])
    assert (moved[:, :, 5:] == GREY).all()
    back = applied("translate x", 9, negative=True)
    assert np.array_equal(back[:, :, 5:], PIXELS[:, :, :5])
    assert (back[:, :, :4] == GREY).all()
    up = applied("translate y", 9)
    assert (up[:, -5:] == GREY).all()
    line = np.zeros((3, 9, 9), np.uint8)
    line[:, 4] = 255
    sheared = applied("shear y", 9, pixels=line)
    rows = sheared[0].argmax(0)
    assert rows.tolist() == sorted(rows.tolist(), reverse=True)
    assert rows[0] - rows[-1] == pytest.approx(0.3 * 8, abs=1)
    turned = applied("rotate", 9, pixels=line)
    assert 255 in turned[0, :4, 8]  # counter-clockwise: the right end is higher
    assert 255 in applied("rotate", 9, True, line)[0, :4, 0]


def test_draws_decide_alone() -> None:
    draws = draw_pairs(np.random.default_rng(3), 6000)
    again = draw_pairs(np.random.default_rng(3), 6000)
    assert draws.steps == again.steps
    assert min(draws.steps.count(pair) for pair in CIFAR10) > 150
    assert abs(draws.negative.mean() - 0.5) < 0.03
    before = PIXELS.copy()
    for index in range(40):
        found = auto_augmented(PIXELS, draws, index)
        assert found.dtype == np.uint8
        assert np.array_equal(found, auto_augmented(PIXELS, again, index))
    assert np.array_equal(PIXELS, before)


@pytest.mark.parametrize("chance", [0.59, 0.61])
def test_an_operation_is_applied_with_its_probability(chance: float) -> None:
    """Pair 23: equalize with 0.8, invert with 0.1; pair 14: solarize with 0.5, invert never; pair 8: equalize twice."""
    certain = Draws((CIFAR10[14],), np.array([[chance, 0.0]]), np.zeros((1, 2), bool))
    assert np.array_equal(auto_augmented(PIXELS, certain, 0), PIXELS)
    drawn = Draws((CIFAR10[8],), np.array([[chance, 0.99]]), np.zeros((1, 2), bool))
    wanted = applied("equalize", 5) if chance < 0.6 else PIXELS
    assert np.array_equal(auto_augmented(PIXELS, drawn, 0), wanted)


def test_pictures_of_one_feature_and_of_few_levels() -> None:
    digits = np.random.default_rng(0).integers(0, 17, (1, 8, 8)).astype(np.uint8)
    inverted = Draws((CIFAR10[0],), np.array([[0.05, 0.9]]), np.zeros((1, 2), bool))
    assert np.array_equal(auto_augmented(digits, inverted, 0, top=16), 16 - digits)


def test_randaugment_draws_any_two_of_14_at_one_level() -> None:
    draws = draw_any(np.random.default_rng(4), 3000, 7)
    names = [name for pair in draws.steps for name, _, _ in pair]
    assert len(RANDOM) == 14
    assert min(names.count(name) for name in RANDOM) > 6000 / 14 * 0.8
    assert {(probability, level) for pair in draws.steps for _, probability, level in pair} == {(1.0, 7)}
    bright = ("brightness", 1.0, RANDOM_LEVELS)
    alone = Draws((((None, 1.0, 7), bright),), np.zeros((1, 2)), np.ones((1, 2), bool), RANDOM_LEVELS)
    assert np.array_equal(auto_augmented(PIXELS, alone, 0), applied("brightness", LEVELS, negative=True))
