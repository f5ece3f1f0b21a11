"""Errors of the values that a decoder reads, against targets, and the difference between the values of two runs.

With e = value - target over the N windows whose targets are known, and D values:

    rmse = sqrt(mean of e^2),  mae = mean of |e|,  r2 = 1 - sum e^2 / sum (target - mean target)^2

of each value, and of all values in a window. Of all values together, rmse and mae are over all N D errors, and r2 is
the mean of those of the values, as scikit-learn's r2_score computes it by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploytool.base.numbers import DECIMALS
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import WINDOWS_MAX, Regression, ValueDifference, ValueErrors, WindowErrors

Floats = NDArray[np.float64]


def regression(recording: Recording) -> Regression | None:
    """The errors of the values that ``recording`` reads; None if it reads none, or if no target is known."""
    windows = recording.windows
    if windows is None or windows.decoder is None or windows.decoded is None or not windows.targets.size:
        return None
    known = ~np.isnan(windows.targets).any(axis=1)
    if not known.any():
        return None
    targets, values = windows.targets[known].astype(np.float64), windows.decoded[known]
    places = windows.places[known]
    names = windows.decoder.values
    each = [ValueErrors(**_errors(values[:, [d]], targets[:, [d]]), value=name) for d, name in enumerate(names)]
    listed = range(int(places.max()) + 1) if places.max() < WINDOWS_MAX else ()
    return Regression(
        **_errors(values, targets),
        unit=windows.decoder.unit,
        windows=int(known.sum()),
        values=tuple(each),
        by_window=tuple(
            WindowErrors(**_errors(values[places == place], targets[places == place]), window=place) for place in listed
        ),
    )


def value_difference(reference: Recording, test: Recording) -> ValueDifference | None:
    """The difference of the values of ``test`` from those of ``reference``; None if not both read the same values."""
    one, other = reference.windows, test.windows
    if one is None or other is None or one.decoded is None or other.decoded is None or one.decoder is None:
        return None
    if one.decoded.shape != other.decoded.shape or not one.decoded.size:
        return None
    apart = other.decoded - one.decoded
    return ValueDifference(
        unit=one.decoder.unit,
        rms=round(float(np.sqrt(np.mean(apart**2))), DECIMALS),
        bias=round(float(apart.mean()), DECIMALS),
        equal=round(100 * float((apart == 0).all(axis=1).mean()), DECIMALS),
    )


def window_errors(recording: Recording) -> Floats | None:
    """(N,): the root mean square error of every window over its values, NaN without targets; None without values."""
    windows = recording.windows
    if windows is None or windows.decoded is None or not windows.targets.size:
        return None
    errors: Floats = np.sqrt(np.mean((windows.decoded - windows.targets) ** 2, axis=1))
    return errors


def _errors(values: Floats, targets: Floats) -> dict[str, Any]:
    """{"rmse", "mae", "r2"} of ``values`` (N, D)."""
    errors = values - targets
    found = [_r2(errors[:, d], targets[:, d]) for d in range(errors.shape[1])]
    return {
        "rmse": round(float(np.sqrt(np.mean(errors**2))), DECIMALS),
        "mae": round(float(np.abs(errors).mean()), DECIMALS),
        "r2": _mean(found),
    }


def _r2(errors: Floats, targets: Floats) -> float | None:
    variation = float(np.square(targets - targets.mean()).sum())
    return None if np.ptp(targets) == 0 else 1 - float(np.square(errors).sum()) / variation


def _mean(found: Sequence[float | None]) -> float | None:
    known = [value for value in found if value is not None]
    return round(float(np.mean(known)), DECIMALS) if len(known) == len(found) else None
