"""Batch and chunk sizes of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.events import EVENT, Events
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


def chunks(samples: Sequence[Events], chunk: int) -> Iterator[tuple[Events, Array]]:
    """(events, end of each sample's events): of all ``samples`` at once, of a single one ``chunk`` at a time."""
    if len(samples) > 1:
        # Much faster than numpy's concatenation of records.
        events = np.frombuffer(b"".join(cast("list[bytes]", samples)), EVENT)
        yield events, np.cumsum([len(each) for each in samples])
        return
    (events,) = samples
    for start in range(0, len(events), chunk):
        part = events[start : start + chunk]
        yield part, np.array([len(part)])
