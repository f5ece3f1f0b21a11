"""Batch and chunk sizes of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploytool.run.record.checks import IN_FLIGHT_MAX


@dataclass(frozen=True)
class Limits:
    """Batch and chunk sizes of the engine; results do not depend on them.

    ``chunk`` is the number of input events of samples that run together, or of a part of a long sample; ``roots`` is
    that of a window of time. More than ``in_flight`` spikes on delayed routes at one time are refused (runaway
    excitation).
    """

    chunk: int = 1 << 14
    roots: int = 1 << 13
    in_flight: int = IN_FLIGHT_MAX


LIMITS: Final = Limits()
