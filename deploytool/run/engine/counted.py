"""How many samples are finished, counted by several threads, parts of long samples included."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from deploytool.base.progress import Tick

TOLD_EVERY_S: Final = 0.25
"""Time between two reports of parts."""


class StoppedError(Exception):
    """A run was given up; its samples in progress end with this."""


@dataclass(eq=False)
class Counted:
    """Tells ``tick`` how many of ``total`` samples are done."""

    tick: Tick
    total: int
    _done: int = 0
    _shares: dict[int, float] = field(default_factory=dict)
    _stopped: bool = False
    _told_s: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def part(self, item: int, share: float) -> None:
        """``share`` of the single sample in ``item`` is done. Raises StoppedError if the run was given up."""
        if self._stopped:
            raise StoppedError
        if share >= 1 or time.monotonic() - self._told_s < TOLD_EVERY_S:
            return
        with self._lock:
            self._shares[item] = share
            self._tell()

    def finished(self, item: int, samples: int) -> None:
        """All ``samples`` in ``item`` are done."""
        with self._lock:
            self._shares.pop(item, None)
            for _ in range(samples):
                self._done += 1
                self._tell()

    def stop(self) -> None:
        """Gives the run up."""
        self._stopped = True

    def _tell(self) -> None:
        self._told_s = time.monotonic()
        self.tick(self._done + sum(self._shares.values()), max(self.total, self._done), "")
