"""Threshold crossings between two inputs, for neurons with a decaying synaptic current or a high v_leak.

Between inputs V is the sum of a constant and two exponentials, with at most one extremum. A neuron fires at the first
whole microsecond at which V, in float32, reaches its threshold. Only products, sums and comparisons in float64 decide,
so every loop finds the same microsecond.

The functions are plain Python, and compiled where compiled loops call them. A ``cell`` is (threshold, V, I, v_leak,
tau_us, tau_syn_us) of one neuron, times 0 where it has no synapse.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numba.extending import register_jitable

from deploytool.run.reference.exponential import LONG, remains

Cell: TypeAlias = tuple[float, float, float, float, float, float]

NEVER: Final = 1 << 62
AT_REST: Final = LONG / 2
"""Number of time constants after which V in float32 equals v_leak; less than `LONG`, the limit of `remains`."""
SAME: Final = 1e-6
"""Time constants are treated as equal, to first order, if the numbers of them that passed differ by less than this."""
ROUNDING: Final = 1e-6
"""Relative bound on rounding up to float32."""


@register_jitable
def response(passed_us: int, tau_us: float, tau_syn_us: float) -> float:
    """Change of V caused by a synaptic current of 1: (exp(-x) - exp(-x_syn)) x / (x_syn - x), with x = t / tau."""
    return _response(passed_us, tau_us, tau_syn_us, remains(passed_us, tau_us), remains(passed_us, tau_syn_us))


@register_jitable
def _response(passed_us: int, tau_us: float, tau_syn_us: float, left: float, left_syn: float) -> float:
    x = passed_us / tau_us
    apart = passed_us / tau_syn_us - x
    if abs(apart) < SAME:
        return x * left * (1 - 0.5 * apart)
    return x * (left - left_syn) / apart


@register_jitable
def course(passed_us: int, cell: Cell) -> tuple[float, float]:
    """(V - v_leak, I) after ``passed_us`` without input."""
    _, v, current, v_leak, tau_us, tau_syn_us = cell
    left = remains(passed_us, tau_us)
    away = (v - v_leak) * left
    if tau_syn_us == 0:
        return away, 0.0
    left_syn = remains(passed_us, tau_syn_us)
    return away + current * _response(passed_us, tau_us, tau_syn_us, left, left_syn), current * left_syn


@register_jitable
def reaches(passed_us: int, cell: Cell) -> bool:
    """Whether V >= threshold after ``passed_us`` without input."""
    away, _ = course(passed_us, cell)
    return bool(np.float32(cell[3] + away) >= cell[0])


@register_jitable
def slope(passed_us: int, cell: Cell) -> float:
    """tau dV/dt = v_leak - V + I after ``passed_us`` without input."""
    away, current = course(passed_us, cell)
    return current - away


@register_jitable
def turn(sign: float, cell: Cell, end_us: int) -> int:
    """The last whole microsecond up to ``end_us`` at which dV/dt still has ``sign``, its sign at 0."""
    low, high = 0, end_us + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sign * slope(middle, cell) > 0:
            low = middle
        else:
            high = middle
    return low


@register_jitable
def earliest(cell: Cell) -> int:
    """A lower bound, at least 1, on the microseconds until V reaches the threshold; `NEVER` if it provably never does.

    V stays below the larger of its value and v_leak + I, and I adds no more to it than I tau_syn / tau. From its value
    on it rises no faster than by (v_leak - V + I) / tau.
    """
    threshold, v, current, v_leak, tau_us, tau_syn_us = cell
    drive, least = max(current, 0.0), threshold * (1 - ROUNDING)
    highest = min(max(v, v_leak + drive), max(v, v_leak) + drive * tau_syn_us / tau_us)
    if np.float32(v_leak) < threshold and highest < least:
        return NEVER
    rate = v_leak - v + drive
    if v >= least or rate <= 0:
        return 1
    return max(1, int(min((least - v) / rate, AT_REST) * tau_us))


@register_jitable
def first_crossing(cell: Cell) -> int:
    """Whole microseconds, at least 1, until V first reaches the threshold; `NEVER` if it does not.

    If the bounds of `earliest` do not exclude a crossing, this finds the extremum of V and searches for the crossing
    before it.
    """
    threshold, _, _, v_leak, tau_us, tau_syn_us = cell
    comes_to_rest_below = np.float32(v_leak) < threshold
    if earliest(cell) == NEVER:
        return NEVER
    if reaches(1, cell):
        return 1
    end_us = int(AT_REST * max(tau_us, tau_syn_us)) + 1
    low, high = 0, end_us
    if slope(0, cell) > 0:
        high = turn(1.0, cell, end_us)
        if high == 0 or not reaches(high, cell):
            return high + 1 if reaches(high + 1, cell) else NEVER
    elif comes_to_rest_below:
        return NEVER
    else:
        low = turn(-1.0, cell, end_us)
    while high - low > 1:
        middle = (low + high) // 2
        if reaches(middle, cell):
            high = middle
        else:
            low = middle
    return high
