"""The times of foreign spikes: their unit, and whether they are from the start of their sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, are_whole
from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.reading import UNITS_US
from deploytool.data.spikes.rows import Rows
from deploytool.ir.events import DURATION_MAX_US

LATE_MAX_US: Final = 1_000_000
"""Spikes up to this long after the end of a sample are kept; later ones show another clock or another unit."""
ENOUGH: Final = 100
SHORT: Final = 100
"""Times of `ENOUGH` spikes or more are not microseconds if all are below the longest duration divided by `SHORT`."""
_START: Final = "Subtract the time of the sample's first event."
_UNIT: Final = "If they have another unit, add --time-unit."


def times_us(rows: Rows, unit: str | None, lasts_us: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(N,): the times of ``rows``, in the stated ``unit`` or else in microseconds, as microseconds.

    ``lasts_us`` (N,) are the durations of their samples, if known. Raises InputError for times that are no numbers,
    have fractions without a unit, or are outside the sample, and UsageError for another unit than the column's.
    """
    t = rows.integers("t_us")
    if rows.header.states_us and unit not in (None, "us"):
        raise UsageError("--time-unit", f"found {unit}, but {rows.where} has a column t_us", "us")
    if t.dtype.kind == "f":
        rows.need(np.isfinite(t), "t_us", "a number")
        if unit is None:
            todo = "Add --time-unit s if they are seconds, ms for milliseconds; us rounds them."
            rows.need(are_whole(t), "t_us", "times in whole microseconds", todo)
    factor = UNITS_US[unit or "us"]
    most = DURATION_MAX_US / factor
    rows.need((t >= 0) & (t <= most), "t_us", f"0..{most:.0f} {unit or 'us'} from the start of the sample", _START)
    times = np.rint(t * factor).astype(np.int64) if t.dtype.kind == "f" or factor < 1 else t * int(factor)
    if lasts_us is not None:
        inside = times <= lasts_us + LATE_MAX_US
        need = f"times within the sample, which lasts {lasts_us[np.argmin(inside)]} us"
        rows.need(inside, "t_us", need, f"{_START} {_UNIT}")
    return times


def check_unit(spikes: Mapping[str, Array], durations_us: NDArray[np.int64], where: str) -> None:
    """Raises InputError if the times of all ``spikes`` {layer: (N,)} are implausible as microseconds."""
    number = sum(map(len, spikes.values()))
    last = max((int(each["t"].max(initial=0)) for each in spikes.values()), default=0)
    longest = int(durations_us.max(initial=0))
    if number >= ENOUGH and 0 < last * SHORT < longest:
        found = f"times up to {last} in samples of {longest} us, as if they were milliseconds"
        todo = "Add --time-unit ms if that is right, or --time-unit us if they are microseconds."
        raise InputError(where, found, "times in microseconds", todo)
