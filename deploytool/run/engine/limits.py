"""How much goes through the engine at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploytool.run.record.checks import IN_FLIGHT_MAX


@dataclass(frozen=True)
class Limits:
    """How much goes through all layers before the next does; no result depends on it.

    ``chunk`` input events of samples together, or of a long one; ``roots`` of a window of time. More spikes than
    ``in_flight`` on delayed routes at one time are refused: a network that excites itself without end.
    """

    chunk: int = 1 << 14
    roots: int = 1 << 13
    in_flight: int = IN_FLIGHT_MAX


LIMITS: Final = Limits()
