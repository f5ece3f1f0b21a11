"""Batch and chunk sizes of the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from deploytool.run.record.checks import IN_FLIGHT_MAX


def unheard(_share: float) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class Limits:
    """Batch and chunk sizes of the engine, and who hears of a long sample; results do not depend on them.

    ``chunk`` is the number of input events of samples that run together, or of a part of a long sample; ``roots`` is
    that of a window of time. More than ``in_flight`` spikes on delayed routes at one time are refused (runaway
    excitation). ``heard`` is called with the share of a single sample's events that have passed, after every part.
    """

    chunk: int = 1 << 14
    roots: int = 1 << 13
    in_flight: int = IN_FLIGHT_MAX
    heard: Callable[[float], None] = unheard


LIMITS: Final = Limits()
