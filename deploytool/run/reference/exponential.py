"""The exponential for leaks, computed from float64 products and sums only: bit-identical in every loop and machine.

Plain Python, and compiled where compiled loops call it.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba.extending import register_jitable

PER_LOG2: Final = 1 / math.log(2)
LOG2_HIGH: Final = float.fromhex("0x1.62e42fee00000p-1")
LOG2_LOW: Final = float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts; integer multiples of the first are exact."""
TERMS: Final = tuple(1 / math.factorial(n) for n in range(13, -1, -1))
HALVES: Final = 2.0 ** -np.arange(1001)
LONG: Final = 690.0
"""Number of time constants after which the result is 0 in float32; 2^-1000 is still representable in float64."""


@register_jitable
def remains(passed_us: int, tau_us: float) -> float:
    """exp(-``passed_us`` / ``tau_us``), within 2 units in the last place: 2^-k e^r, e^r as a series."""
    x = min(passed_us / tau_us, LONG)
    k = math.floor(x * PER_LOG2 + 0.5)
    r = k * LOG2_HIGH - x + k * LOG2_LOW
    power = 0.0
    for term in TERMS:
        power = power * r + term
    return power * float(HALVES[k])
