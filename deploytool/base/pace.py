"""How fast work advances and how long the rest takes, from recent steps without the slow first ones."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

GRAIN_S: Final = 0.05
"""Steps that end within this time of each other are taken as one: results often arrive together."""

RECENT_S: Final = 20.0
"""The rate is that of at least this time, and of at least the last half of the work, so that it includes pauses that
come back, such as validation."""

FIRST_STEPS: Final = 3
SLOW: Final = 4.0
"""Of the first steps, those that take more than `SLOW` times the median of the next `COMPARED` ones are left out."""

COMPARED: Final = 64

KNOWN_S: Final = 1.0
"""The shortest time from which a rate is computed."""

MARKS_MAX: Final = 4096


@dataclass(eq=False)
class Pace:
    """The pace of work, of which ``at`` is told how much is done at which time.

    Work before the first report never counts: it contains compilation, and what an earlier run had done. The pace is
    unknown until two more steps, which took `KNOWN_S` together, have followed.
    """

    _begun_s: list[float] = field(default_factory=list)
    _ended_s: list[float] = field(default_factory=list)
    _done: list[float] = field(default_factory=list)

    def at(self, t_s: float, done: float) -> None:
        """``done`` units are done at ``t_s``."""
        if self._done and done < self._done[-1]:
            self._keep(slice(0))
        if self._done and done == self._done[-1]:
            return
        if self._done and t_s - self._begun_s[-1] < GRAIN_S:
            self._ended_s[-1], self._done[-1] = t_s, done
            return
        if len(self._done) == MARKS_MAX:
            self._keep(slice(self._settled(), None, 2))
        self._begun_s.append(t_s)
        self._ended_s.append(t_s)
        self._done.append(done)

    def unit_s(self) -> float | None:
        """Seconds per unit, in recent work; None while unknown."""
        if len(self._done) < 3:
            return None
        first = self._settled()
        end_s = self._ended_s[-1]
        span_s = max(RECENT_S, (end_s - self._ended_s[first]) / 2)
        first = max(first, bisect_right(self._ended_s, end_s - span_s) - 1)
        spent_s = end_s - self._ended_s[first]
        return spent_s / (self._done[-1] - self._done[first]) if spent_s >= KNOWN_S else None

    def left_s(self, total: float, now_s: float) -> float | None:
        """Seconds from ``now_s`` until ``total`` units are done; None while unknown."""
        unit_s = self.unit_s()
        if unit_s is None:
            return None
        return max(0.0, (total - self._done[-1]) * unit_s - (now_s - self._ended_s[-1]))

    def _settled(self) -> int:
        """The number of the report from which steps take their usual time."""
        marks = list(zip(self._ended_s[:COMPARED], self._done[:COMPARED], strict=True))
        units_s = [(end - begin) / (after - before) for (begin, before), (end, after) in pairwise(marks)]
        for first in range(min(FIRST_STEPS, len(units_s) - 2), 0, -1):
            if units_s[first - 1] > SLOW * statistics.median(units_s[first:]):
                return first
        return 0

    def _keep(self, kept: slice) -> None:
        for values in (self._begun_s, self._ended_s, self._done):
            values[:] = values[kept]
