"""What is going on, on stderr: one line that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

from deploytool.base.pace import Pace
from deploytool.base.printable import printable

SILENT_S: Final = 0.6
"""Work that ends within this time shows nothing."""

REDRAWN_EVERY_S: Final = 0.25
PLAIN_LINE_EVERY_S: Final = 5.0
STILL_EVERY_S: Final = 30.0
"""Time between two plain lines while nothing advances."""

BAR, SHORT_BAR, NARROW = 12, 6, 72
"""Characters of a bar, on a terminal with fewer columns than ``NARROW``, and this number of columns."""

CLEAR: Final = "\r\x1b[2K"
SEPARATOR: Final = "  "


@dataclass(eq=False)
class Activity:
    """Work called ``title``. What is known of its progress changes.

    ``note`` says what is being done, since ``noted_s``; ``done`` of ``total`` units of work are done, where they are
    counted in ``unit``.
    """

    title: str
    unit: str
    noted_s: float
    note: str = ""
    done: float = 0
    total: int = 0
    pace: Pace = field(default_factory=Pace)

    def report(self, now_s: float, done: float, total: int, note: str) -> None:
        """Takes a tick at ``now_s``."""
        if note != self.note:
            self.noted_s = now_s
        self.done, self.total, self.note = done, total, note
        if done > 0:
            self.pace.at(now_s, done)

    def parts(self, now_s: float) -> list[str]:
        """What is known, the most important first."""
        if not self.counts:
            return [part for part in (self.note, duration(now_s - self.noted_s)) if part]
        left_s = self.pace.left_s(self.total, now_s) if self.done < self.total else None
        left = "" if left_s is None else f"{duration(left_s)} left"
        done = f"{self.done:.1f}" if self.done % 1 and self.total < 10 else f"{int(self.done):,}"
        return [part for part in (f"{done}/{self.total:,}", self.rate(), left, self.note) if part]

    @property
    def counts(self) -> bool:
        """Whether it is known how much is done."""
        return self.done > 0 and self.total > 0

    def rate(self) -> str:
        """The pace in words; "" while unknown."""
        unit_s = self.pace.unit_s()
        if unit_s is None:
            return ""
        if unit_s > 1:
            return f"{unit_s:.1f} s/{self.unit}"
        return f"{1 / unit_s:.{0 if unit_s <= 0.1 else 1}f} {self.unit}s/s"


def duration(seconds: float) -> str:
    """``12 s``, ``2:26 min`` or ``1:05 h``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02} h"


def line(activity: Activity, now_s: float, width: int) -> str:
    """The line of ``activity`` on a terminal: as many of its parts as fit into ``width``, none of them cut."""
    shown, parts = activity.title, activity.parts(now_s)
    if activity.counts:
        share = min(1.0, activity.done / activity.total)
        bar = SHORT_BAR if width < NARROW else BAR
        full = int(share * bar)
        shown += SEPARATOR + "━" * full + "╸" * (full < bar) + " " * (bar - full - 1)
    for part in SEPARATOR.join(parts).split(SEPARATOR):
        if len(shown) + len(SEPARATOR) + len(part) > width:
            break
        shown += SEPARATOR + part
    return shown[:width]


def plain_line(activity: Activity, now_s: float) -> str:
    """The line of ``activity`` in a log."""
    return f"{activity.title}: " + SEPARATOR.join(activity.parts(now_s))


class Display:
    """Shows the innermost of several activities on stderr, from `SILENT_S` after the last line there on."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._activities: list[Activity] = []
        self._drawn = self._showing = False
        self._said_s = 0.0
        self._said: tuple[Activity, float, str] | None = None
        self._over = threading.Event()

    @contextmanager
    def activity(self, title: str, unit: str = "", note: str = "") -> Iterator[Activity]:
        """An activity that lasts as long as the body; without ``title`` it has that of the one around it."""
        now_s = time.monotonic()
        with self._lock:
            outermost = not self._activities
            title = printable(title) or (self._activities[-1].title if self._activities else "")
            begun = Activity(title, unit, now_s, printable(note))
            self._activities.append(begun)
            if outermost:
                self._said_s, self._said, self._over = now_s, None, threading.Event()
                threading.Thread(target=self._watch, args=(self._over,), daemon=True).start()
        try:
            yield begun
        finally:
            with self._lock:
                if outermost:
                    self._over.set()
                    self._showing = False
                if self._said is not None and self._said[0] is begun and self._said[1] < begun.done == begun.total:
                    self._print_plain(begun, time.monotonic())
                self._activities.remove(begun)
                self._write("")

    def tick(self, activity: Activity, done: float, total: int, note: str) -> None:
        """Takes the progress of ``activity``."""
        with self._lock:
            activity.report(time.monotonic(), done, total, printable(note))

    def say(self, text: str) -> None:
        """Prints ``text``, which stays, on a line."""
        with self._lock:
            self._write(f"{printable(text)}\n")
            self._said_s = time.monotonic()

    def pause(self) -> None:
        """Erases the line, before something else is printed."""
        with self._lock:
            self._write("")
            self._showing, self._said_s = False, time.monotonic()

    def refresh(self) -> None:
        """Shows what is going on, if it is time to."""
        with self._lock:
            now_s = time.monotonic()
            if not self._activities:
                return
            innermost = self._activities[-1]
            if not _redraws(sys.stderr):
                self._refresh_plain(innermost, now_s)
            elif self._showing or now_s - self._said_s >= SILENT_S:
                self._showing = True
                self._write(line(innermost, now_s, _width(sys.stderr) - 1) + "\r")
                self._drawn = True

    def _refresh_plain(self, innermost: Activity, now_s: float) -> None:
        waited_s = now_s - self._said_s
        known = self._said if self._said is not None and self._said[0] is innermost else None
        advanced = known is None or known[1:] != (innermost.done, "" if innermost.counts else innermost.note)
        needed_s = SILENT_S if known is None else PLAIN_LINE_EVERY_S if advanced else STILL_EVERY_S
        if waited_s >= needed_s:
            self._print_plain(innermost, now_s)

    def _print_plain(self, activity: Activity, now_s: float) -> None:
        self._write(plain_line(activity, now_s) + "\n")
        self._said_s = now_s
        self._said = activity, activity.done, "" if activity.counts else activity.note

    def _write(self, text: str) -> None:
        """Erases the line that was drawn and writes ``text``, at once, so that an interrupt does not part them."""
        sys.stderr.write(f"{CLEAR if self._drawn else ''}{text}")
        sys.stderr.flush()
        self._drawn = False

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(REDRAWN_EVERY_S):
            self.refresh()


def announce(text: str) -> None:
    """Prints ``text`` on stderr before something is done that a person must know of, however quiet everything is."""
    sys.stderr.write(f"{CLEAR if _redraws(sys.stderr) else ''}{printable(text)}\n")
    sys.stderr.flush()


def _redraws(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO) -> int:
    try:
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(stream.fileno()).columns
    except (ValueError, OSError):
        return shutil.get_terminal_size().columns
