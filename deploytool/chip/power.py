"""What the chips draw and how many synaptic updates they have been seen to do, with a source for every number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

RESTING_UW: Final[Mapping[str, float]] = MappingProxyType(
    {"IO": 61.7, "RAM": 51.7, "LOGIC": 367.0, "PIX_DIG": 78.9, "PIX_ANA": 610.9}
)
"""Power of the rails of a devkit at rest, in uW: IO at 2.5 V, the others at 1.2 V. Source: the vendor's documents."""

PROCESSOR: Final = ("RAM", "LOGIC")
SENSOR: Final = ("PIX_DIG", "PIX_ANA")
IO: Final = ("IO",)

RESTING_MW: Final = 0.42
"""The processor at rest: RAM + LOGIC, without sensor and IO. Sources: RESTING_UW; M. Yao et al., Nature Communications
15, 4464 (2024)."""

PJ_PER_SYNOP: Final = 366.0
"""Energy of a synaptic update on RAM + LOGIC, in pJ; about 40 % of it is RAM.

Our least-squares fit of the power that a Speck2f's monitor measured (public notebook of an academic summer school,
2025) against the SynOps of our emulator: four N-MNIST networks of convolutions, 0.42 mW + 366 pJ per SynOp. Two others
were predicted within 3 and 6 %. The intercept, which the fit was not told, is the documented rest of these rails.
"""

IO_PJ_PER_SYNOP: Final = 11.0
"""What a synaptic update adds on the IO rail, in pJ, from the same fit; monitored spikes leave through it."""

FITTED_SYNOPS_PER_S: Final = (0.15e6, 0.86e6)
"""The rates of synaptic updates at which PJ_PER_SYNOP was fitted and tested."""

FIT_SOURCE: Final = "our fit to a Speck2f's power monitor"

DEMONSTRATED_SYNOPS_PER_S: Final = 200e6
"""Synaptic updates per second that a demonstration reached; no limit is published."""

DEMONSTRATION_SOURCE: Final = "a DynapCNN at CVPRW 2019"

LATENCY_US: Final = 3.36
LATENCY_LAYERS: Final = 9
LATENCY_SOURCE: Final = "the vendor's documents"
"""The time that one event takes through nine layers."""


def resting_mw(rails: tuple[str, ...]) -> float:
    """The power of ``rails`` at rest, in mW."""
    return sum(RESTING_UW[rail] for rail in rails) / 1000
