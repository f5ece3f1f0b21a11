"""Timing of several functions in turn, so that drifts of the machine's speed affect all of them equally.

Other load only adds time, so the shortest of several measurements is closest to the time of the code itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

REPETITIONS: Final = 5


def in_turn(
    *sides: Callable[[], Any], repetitions: int = REPETITIONS, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Shortest time in seconds by ``clock`` of each of ``sides``, run in turn after one round that is not counted.

    `time.thread_time` excludes the time that other processes use on the core.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    for round_ in range(repetitions + 1):
        for side, taken in zip(sides, seconds, strict=True):
            start = clock()
            side()
            if round_:
                taken.append(clock() - start)
    return [min(taken) for taken in seconds]
