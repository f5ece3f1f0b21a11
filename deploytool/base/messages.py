"""Messages to the user: lines and progress, on stderr."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass

from deploytool.base.progress import Tick, progress


@dataclass(frozen=True)
class Messages:
    """Lines and progress on stderr; nothing if ``quiet``."""

    quiet: bool = False

    def say(self, line: str) -> None:
        """Prints ``line``, unless quiet."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def progress(self, title: str, unit: str) -> AbstractContextManager[Tick]:
        """A Tick for work called ``title``, counted in ``unit``; see `deploytool.base.progress.progress`."""
        return progress(title, unit, self.quiet)
