"""How close restored pictures are to the pictures themselves; both (S, C, H, W), of values 0, black, to 1, white."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError

WINDOW: Final = 7
"""Pixels, each way, of the window of `ssim`."""
C1: Final = 0.01**2
C2: Final = 0.03**2


def psnr(pictures: NDArray[Any], restored: NDArray[Any]) -> NDArray[np.float64]:
    """(S,): the peak signal-to-noise ratio of each restored picture in dB, infinite where it is the picture itself.

        PSNR = 10 log10(1 / MSE),   MSE = mean over features and pixels of (x - y)^2

    The peak is 1. Source: Huynh-Thu and Ghanbari, Electronics Letters 44 (2008) 800-801; Wu et al., TPAMI 44(11),
    2022, table 3, have it of an autoencoder of spikes. Raises InputError when shapes differ.
    """
    x, y = _pair(pictures, restored)
    error = ((x - y) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        found: NDArray[np.float64] = -10 * np.log10(error)
    return found


def ssim(pictures: NDArray[Any], restored: NDArray[Any]) -> NDArray[np.float64]:
    """(S,): the structural similarity of each restored picture, -1 to 1, and 1 where it is the picture itself.

        SSIM = mean of (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    over features and all places of a window inside the picture, in which m are means, s^2 variances and s_xy the
    covariance, C1 = 0.01^2 and C2 = 0.03^2. Source: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Processing
    13 (2004) 600-612, equations 13 and 17. Their window is 11x11 and Gaussian, which pictures of 8x8 have no room for;
    this one is 7x7 with equal weights, so that a picture of 8x8 has four places. Raises InputError when shapes differ,
    or a picture is smaller than the window.
    """
    x, y = _pair(pictures, restored)
    if min(x.shape[2:]) < WINDOW:
        raise InputError("pictures", f"{x.shape[2]}x{x.shape[3]} pixels", f"at least {WINDOW}x{WINDOW}")
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


def _pair(pictures: NDArray[Any], restored: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if pictures.shape != restored.shape or pictures.ndim != 4:
        raise InputError("pictures", f"shapes {pictures.shape} and {restored.shape}", "one shape (S, C, H, W)")
    return pictures.astype(np.float64), restored.astype(np.float64)
