"""Times as event files have them: their unit, clocks that overflow, and when a recording begins.

A recording begins at its first event: what a camera's clock showed at that moment says nothing about what it saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, all_finite, are_whole, doubles
from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.reading import UNITS_US, Reading

Times: TypeAlias = NDArray[np.int64]

CLOCK_BITS: Final = (32, 31, 24, 23)
"""Widths in bits of the time counters in cameras and files."""
NEARLY: Final = 0.95
"""A fall of the time by more than this share of the range of a clock is an overflow."""

YEARS_S: Final = (946_684_800, 4_102_444_800)
"""The years 2000 to 2100 in seconds since 1970."""
ENOUGH: Final = 100
"""Smallest number of events whose rate is used to judge the unit of their times."""
RATE_MAX_HZ: Final = 1000.0
"""Mean events per pixel and second of a recording above which its times are not microseconds."""
RATE_MIN_HZ: Final = 100.0
"""Events per second over all pixels below which times in whole thousands are not microseconds."""


@dataclass(frozen=True)
class Clock:
    """What the times of a file show of its clock, up to some event.

    The recording began ``removed_us`` after the zero of the clock; None before the first event. An event takes
    ``step_us``. The clock, of ``bits`` bits, overflowed ``overflows`` times. The file showed ``last`` as the time of
    the latest of its ``events``, in the unit of the file.
    """

    removed_us: int | None = None
    step_us: int = 1
    overflows: int = 0
    bits: int = 0
    last: int | float = 0
    events: int = 0


UNREAD: Final = Clock()
"""The clock of a file of which nothing was read."""


@dataclass(frozen=True, eq=False)
class Timed:
    """Times ``t_us`` (N,) since a recording's start, and its clock after them."""

    t_us: Times
    clock: Clock


def timed(t: Array, reading: Reading, stated: str | None, pixels: int, name: str, clock: Clock = UNREAD) -> Timed:
    """The times ``t`` (N,) in the file ``name``, in microseconds; ``pixels`` is the number of pixels of the map.

    ``stated`` is their unit if the format defines it.
    ``clock`` is that of the events of the file before them. A unit is judged by the first events of a file.
    Raises InputError for times that are not numbers, that fall as after a clock overflow, or that are implausible
    as microseconds if no unit is stated.
    """
    if t.dtype.kind in "mM" and reading.time_unit is not None:
        raise UsageError("--time-unit", f"given with {name}, whose times have dtype {t.dtype}", "times without a unit")
    unit = "us" if t.dtype.kind in "mM" else stated or reading.time_unit
    numbers = _numbers(t, unit, name)
    if not len(numbers):
        return Timed(np.empty(0, np.int64), clock)
    after = replace(clock, step_us=1000 if unit == "ms" else 1, last=numbers[-1].item(), events=clock.events + len(t))
    numbers, overflows, bits = _unwrapped(numbers, reading.unwrap, unit or "us", name, clock)
    t_us = _in_us(numbers, unit or "us", name)
    removed_us = clock.removed_us
    if removed_us is None:
        removed_us = _begin_us(t_us, reading, None if unit else pixels, name)
    t_us = t_us - removed_us if removed_us else t_us
    return Timed(t_us, replace(after, removed_us=removed_us, overflows=overflows, bits=bits))


def _begin_us(t_us: Times, reading: Reading, pixels: int | None, name: str) -> int:
    """When a recording begins whose first events are at ``t_us``; a map of ``pixels`` is given if no unit is.

    Raises InputError if their unit is unlikely, or for times of a day with --absolute-time.
    """
    if pixels is not None and (other := _other_unit(t_us, pixels)):
        todo = f"Add --time-unit {other[0]} if that is right, or --time-unit us if they are microseconds."
        raise InputError(name, other[1], "times in microseconds", todo)
    if not reading.absolute_time:
        return int(t_us.min())
    if since := date(int(t_us.min())):
        found = f"times since 1970, from {since} on"
        raise InputError(name, found, "times from the recording's start", "Leave out --absolute-time.")
    return 0


def date(t_us: int) -> str:
    """The date and time of ``t_us`` as microseconds since 1970; empty if it is not in 2000 to 2100."""
    if not YEARS_S[0] <= t_us // 10**6 < YEARS_S[1]:
        return ""
    return datetime.fromtimestamp(t_us // 10**6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _numbers(t: Array, unit: str | None, name: str) -> Array:
    """``t`` as integers, or as float64 if it has fractions and a unit is stated."""
    if t.dtype.kind in "mM":
        return t.astype(f"{t.dtype.kind}8[us]").astype(np.int64)
    if t.dtype.kind not in "iuf" or t.ndim != 1:
        raise InputError(name, f"field t has dtype {t.dtype}", "integers, times in microseconds")
    if t.dtype.kind == "f":
        t = doubles(t)
        if not all_finite(t):
            raise InputError(name, "times that are not finite", "numbers")
        if np.abs(t).max(initial=0) < 2**53 and are_whole(t).all():
            return t.astype(np.int64)
        if unit is None:
            since = date(int(t.min() * 1e6)) if np.abs(t).max() < 1e12 else ""
            as_date = f", as seconds since 1970 from {since} on" if since else ""
            found = f"times with fractions, {t.min():g} to {t.max():g}{as_date}"
            todo = "Add --time-unit s if they are seconds, ms for milliseconds; us rounds them."
            raise InputError(name, found, "times in whole microseconds", todo)
        return t
    if t.dtype.kind == "u" and len(t) and int(t.max()) > np.iinfo(np.int64).max:
        raise InputError(name, f"field t goes up to {t.max()}", "signed 64-bit integers")
    return t.astype(np.int64, copy=False)


def _unwrapped(t: Array, unwrap: bool, unit: str, name: str, clock: Clock) -> tuple[Array, int, int]:
    """(``t`` without overflows, the number of overflows in the file so far, the bits of its clock)."""
    falls = -np.diff(t, prepend=clock.last if clock.events else t[0])
    worst = falls.max(initial=0)
    bits = next((bits for bits in CLOCK_BITS if NEARLY * 2**bits < worst <= 2**bits and _fits(t, bits)), 0)
    if clock.bits not in (0, bits) or not bits:
        return (t + (clock.overflows << clock.bits) if clock.overflows else t), clock.overflows, clock.bits
    over = falls > NEARLY * 2**bits
    if not unwrap:
        row = int(np.argmax(over))
        found = f"time goes back at event {clock.events + row}, from {t[row] + falls[row]} to {t[row]} {unit}"
        raise InputError(
            name,
            f"{found}, as when a {bits}-bit clock overflows",
            "events in order of time",
            f"Add --unwrap, which adds 2^{bits} {unit} from there on.",
        )
    overflows = clock.overflows + np.cumsum(over)
    return t + (overflows << bits), int(overflows[-1]), bits


def _fits(t: Array, bits: int) -> bool:
    """Whether a counter of N ``bits``, signed or unsigned, can hold every value of ``t``."""
    low, high = float(t.min()), float(t.max())
    return (low >= 0 and high < 1 << bits) or (low >= -(1 << bits - 1) and high < 1 << bits - 1)


def _in_us(t: Array, unit: str, name: str) -> Times:
    """``t``, given in ``unit``, as whole microseconds."""
    factor = UNITS_US[unit]
    largest = max(-float(t.min()), float(t.max()))
    if largest * factor >= 2**62:
        raise InputError(name, f"times up to {largest:g} {unit}", "times that fit 62 bits in microseconds")
    if factor == 1 and t.dtype.kind == "i":
        return t
    if t.dtype.kind == "f":
        return np.rint(t * factor).astype(np.int64)
    return t // round(1 / factor) if factor < 1 else t * int(factor)


def _other_unit(t: Times, pixels: int) -> tuple[str, str] | None:
    """(likely unit, evidence for it) if times ``t`` (N,), N > 0, are implausible as microseconds; otherwise None."""
    first, last = int(t.min()), int(t.max())
    if since := date(first // 1000):
        return "ns", f"times that are nanoseconds since 1970, from {since} on"
    if since := date(first * 1000):
        return "ms", f"times that begin at {since} if they are milliseconds since 1970"
    if len(t) < ENOUGH or last == first or (t[1:] < t[:-1]).any():
        return None
    gaps, seconds = np.diff(t), (last - first) / 1e6
    if len(t) > 2 * (np.count_nonzero(gaps) + 1) and len(t) / seconds / pixels > RATE_MAX_HZ:
        return "ms", f"{len(t)} events within {last - first} us, several at each time, as if times were milliseconds"
    if len(t) / seconds < RATE_MIN_HZ and np.gcd.reduce(gaps) == 1000:
        return "ns", f"{len(t)} events in {seconds:,.0f} s, all whole milliseconds apart, as if times were nanoseconds"
    return None
