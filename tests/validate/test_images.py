"""How close restored images are: against the equations written out, and where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.validate.images import C1, C2, WINDOW, psnr, ssim

SEEDS = st.integers(0, 2**32 - 1)


def some(seed: int, shape: tuple[int, ...] = (3, 2, 8, 9)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Of one map (H, W), window by window."""
    found = []
    for row in range(x.shape[0] - WINDOW + 1):
        for column in range(x.shape[1] - WINDOW + 1):
            a, b = (each[row : row + WINDOW, column : column + WINDOW].ravel() for each in (x, y))
            (va, covariance), (_, vb) = np.cov(a, b, bias=True)
            ma, mb = a.mean(), b.mean()
            alike = (2 * ma * mb + C1) * (2 * covariance + C2)
            found.append(alike / ((ma**2 + mb**2 + C1) * (va + vb + C2)))
    return float(np.mean(found))


@given(SEEDS, SEEDS)
def test_ssim_is_its_equation_window_by_window(a: int, b: int) -> None:
    x, y = some(a), some(b)
    wanted = [np.mean([slow_ssim(*maps) for maps in zip(*pair, strict=True)]) for pair in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ssim(x, y), ssim(y, x))
    assert (np.abs(ssim(x, y)) <= 1 + 1e-12).all()


@given(SEEDS, st.floats(1e-3, 1))
def test_psnr_of_a_constant_error_is_its_decibels(seed: int, error: float) -> None:
    x = some(seed)
    np.testing.assert_allclose(psnr(x, x + error), -20 * math.log10(error), atol=1e-6)


@given(SEEDS)
def test_an_image_is_like_itself(seed: int) -> None:
    x = some(seed)
    assert np.isposinf(psnr(x, x)).all()
    np.testing.assert_allclose(ssim(x, x), 1)


def test_structure_is_what_a_constant_grey_has_not() -> None:
    x = some(0)
    grey = np.broadcast_to(x.mean(axis=(1, 2, 3), keepdims=True), x.shape)
    faint = grey + 0.5 * (x - grey)
    assert (ssim(x, grey) < 0.1).all()
    assert (ssim(x, faint) > 0.7).all()


def test_other_shapes_and_small_images_are_refused() -> None:
    for measure in (psnr, ssim):
        with pytest.raises(InputError, match=r"images: shapes \(3, 2, 8, 9\) and \(3, 2, 8, 8\); need one shape"):
            measure(some(0), some(0, (3, 2, 8, 8)))
    with pytest.raises(InputError, match="images: 6x9 pixels; need at least 7x7"):
        ssim(some(0, (1, 1, 6, 9)), some(1, (1, 1, 6, 9)))
