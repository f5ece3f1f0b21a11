"""Batch and chunk sizes of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploytool.run.record.checks import IN_FLIGHT_MAX


@dataclass(frozen=True)
class Limits:
    """Batch and chunk sizes of the engine; results do not depend on them.

    ``chunk`` input events of samples together, or of a long one; ``roots`` of a window of time. More spikes than
    ``in_flight`` on delayed routes at one time are refused (runaway excitation).
    """

    chunk: int = 1 << 14
    roots: int = 1 << 13
    in_flight: int = IN_FLIGHT_MAX


LIMITS: Final = Limits()
