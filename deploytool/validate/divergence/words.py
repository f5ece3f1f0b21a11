"""Words for places, times and potentials in the sentences about two runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.ir.divergence import Place
from deploytool.ir.program import CLOCK, INPUT

DIGITS_MIN: Final = 3
DIGITS_MAX: Final = 9
LARGE: Final = 1000
"""From here on, numbers are shown to the last whole digit."""


def apart(*values: float) -> list[str]:
    """``values`` with as few significant digits as tell them apart, at least three."""
    for digits in range(DIGITS_MIN, DIGITS_MAX + 1):
        shown = [_plain(value, digits) for value in values]
        if len(set(shown)) == len(set(values)):
            return shown
    return shown


def number(value: float, sign: bool = False) -> str:
    """``value`` with three significant digits; with a ``sign`` also if it is positive."""
    shown = _plain(value, DIGITS_MIN)
    return f"+{shown}" if sign and value >= 0 else shown


def _plain(value: float, digits: int) -> str:
    shown = f"{value:.{digits}g}" if abs(value) < LARGE else f"{value:,.{digits - DIGITS_MIN}f}"
    return shown.replace("-", "\N{MINUS SIGN}")


def moment(t_us: int) -> str:
    """``12.345 ms``."""
    return f"{t_us / 1000:.3f} ms"


def neuron(place: Place, shape: Shape) -> str:
    """``the neuron at feature 3, row 5, column 6 of conv1``, on a map of ``shape`` (C, H, W), or a pixel of the input.

    On a map of one place, it is ``neuron 3 of fc``.
    """
    one_place = shape[1:] == (1, 1)
    at = f"feature {place.feature}" + ("" if one_place else f", row {place.row}, column {place.column}")
    if place.layer == CLOCK:
        return "the slow clock"
    if place.layer == INPUT:
        return f"the input pixel at {at}"
    return f"neuron {place.feature} of {place.layer}" if one_place else f"the neuron at {at} of {place.layer}"


def times(spikes: int) -> str:
    """How often a neuron fires: ``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(spikes, f"{spikes} times")


def counted(amount: int, noun: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{amount} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def sentence(text: str) -> str:
    """``text`` with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def joined(items: Sequence[str]) -> str:
    """``a, b and c``."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
