"""How close restored images are to the original ones; both (S, C, H, W), with values from 0, black, to 1, white."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError

WINDOW: Final = 7
"""Pixels, each way, of the window of `ssim`."""
C1: Final = 0.01**2
C2: Final = 0.03**2


def psnr(images: NDArray[Any], restored: NDArray[Any]) -> NDArray[np.float64]:
    """(S,): the peak signal-to-noise ratio of each restored image in dB, infinite where it equals the original.

        PSNR = 10 log10(1 / MSE),   MSE = mean over features and pixels of (x - y)^2

    The peak is 1. Source: Huynh-Thu and Ghanbari, Electronics Letters 44 (2008) 800-801; Wu et al., TPAMI 44(11),
    2022, table 3, give it for an autoencoder of spikes. Raises InputError when shapes differ.
    """
    x, y = _same_shape(images, restored)
    error = ((x - y) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        found: NDArray[np.float64] = -10 * np.log10(error)
    return found


def ssim(images: NDArray[Any], restored: NDArray[Any]) -> NDArray[np.float64]:
    """(S,): the structural similarity of each restored image, -1 to 1, and 1 where it equals the original.

        SSIM = mean of (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    over features and all places of a window inside the image, in which m are means, s^2 variances and s_xy the
    covariance, C1 = 0.01^2 and C2 = 0.03^2. Source: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Processing
    13 (2004) 600-612, equations 13 and 17. Their window is 11x11 and Gaussian, which images of 8x8 have no room for;
    this one is 7x7 with equal weights, so that an image of 8x8 has four places. Raises InputError when shapes differ,
    or an image is smaller than the window.
    """
    x, y = _same_shape(images, restored)
    if min(x.shape[2:]) < WINDOW:
        raise InputError("images", f"{x.shape[2]}x{x.shape[3]} pixels", f"at least {WINDOW}x{WINDOW}")
    mean_x, mean_y = _windows(x), _windows(y)
    variance_x, variance_y = _windows(x * x) - mean_x**2, _windows(y * y) - mean_y**2
    covariance = _windows(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    places = alike / ((mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2))
    found: NDArray[np.float64] = places.mean(axis=(1, 2, 3))
    return found


def _windows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, C, H', W'): the mean of every window."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (WINDOW, WINDOW), axis=(2, 3))
    found: NDArray[np.float64] = windows.mean(axis=(4, 5))
    return found


def _same_shape(images: NDArray[Any], restored: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if images.shape != restored.shape or images.ndim != 4:
        raise InputError("images", f"shapes {images.shape} and {restored.shape}", "one shape (S, C, H, W)")
    return images.astype(np.float64), restored.astype(np.float64)
