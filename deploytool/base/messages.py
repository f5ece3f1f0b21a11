"""Messages to the user: lines and progress, on stderr, and warnings, in the log "deploytool"."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from deploytool.base.display import Display
from deploytool.base.printable import printable
from deploytool.base.progress import Tick, no_progress

LOG: Final = logging.getLogger("deploytool")
"""Where a script finds what commands print."""


def warn(line: str) -> None:
    """Logs ``line`` as a warning, which Python prints on stderr unless a script set up its logs otherwise."""
    LOG.warning("%s", printable(line))


@contextmanager
def warnings_to(say: Callable[[str], None]) -> Iterator[None]:
    """A context in which the lines of `warn` also go to ``say``."""
    handler = _Saying(say)
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)


class _Saying(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


@dataclass(frozen=True)
class Messages:
    """Lines and progress on stderr; nothing if ``quiet``."""

    quiet: bool = False
    display: Display = field(default_factory=Display, repr=False, compare=False)

    def say(self, line: str) -> None:
        """Prints ``line``, unless quiet."""
        if not self.quiet:
            self.display.say(line)

    def pause(self) -> None:
        """Erases what shows progress, before something else is printed."""
        self.display.pause()

    @contextmanager
    def doing(self, what: str, title: str = "") -> Iterator[None]:
        """Shows ``what`` is being done while the body lasts, if that is longer than a second.

        ``title`` is the name of the command, or by default that of the work around it.
        """
        if self.quiet:
            yield
            return
        with self.display.activity(title, note=what):
            yield

    @contextmanager
    def progress(self, title: str, unit: str) -> Iterator[Tick]:
        """A Tick that shows ``title``, how much is done, the rate in ``unit`` per second and the time left.

        Work that ends within a second shows nothing.
        """
        if self.quiet:
            yield no_progress
            return
        with self.display.activity(title, unit) as activity:
            yield partial(self.display.tick, activity)
