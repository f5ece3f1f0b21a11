"""Progress of anything that takes longer than two seconds: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

Tell: TypeAlias = Callable[[str], None]
"""``tell(sentence)``: what the user should know about a successful step."""


def silent(_sentence: str) -> None:
    """Does nothing."""


Tick: TypeAlias = Callable[[int, int, str], None]
"""``tick(done, total, note)``: ``done`` of ``total`` are done; ``note`` briefly describes the last one."""

SILENT_S: Final = 1.0
PLAIN_LINE_EVERY_S: Final = 5.0


def no_progress(done: int, total: int, note: str = "") -> None:
    """A Tick that shows nothing."""


@contextmanager
def progress(title: str, unit: str, quiet: bool = False) -> Iterator[Tick]:
    """A Tick that shows ``title``, the progress, the rate in ``unit`` per second and the remaining time on stderr.

    Work that ends within the first second shows nothing.
    """
    if quiet:
        yield no_progress
    elif sys.stderr.isatty():
        with _bar(title, unit) as tick:
            yield tick
    else:
        yield _lines(title, unit)


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    whole = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", table_column=whole),
        BarColumn(bar_width=12, table_column=whole),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", table_column=whole),
        TextColumn("{task.fields[rate]}", table_column=whole),
        TimeRemainingColumn(compact=True, table_column=whole),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(title, total=None, visible=False, rate="", note="")

        def tick(done: int, total: int, note: str = "") -> None:
            elapsed = time.monotonic() - started
            rate = _rate(done, elapsed, unit)
            bar.update(task, completed=done, total=total, rate=rate, note=note, visible=elapsed > SILENT_S)

        yield tick


def _lines(title: str, unit: str) -> Tick:
    started = time.monotonic()
    last = started

    def tick(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        elapsed = now - started
        if now - last < PLAIN_LINE_EVERY_S and not (done == total and elapsed > SILENT_S):
            return
        last = now
        left = f", {elapsed / done * (total - done):.0f} s left" if 0 < done < total else ""
        parts = (f"{title}: {done}/{total}", _rate(done, elapsed, unit) + left, note)
        print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)

    return tick


def _rate(done: int, elapsed_s: float, unit: str) -> str:
    if not done or elapsed_s <= 0:
        return ""
    rate = done / elapsed_s
    return (
        f"{rate:.0f} {unit}s/s" if rate >= 10 else f"{rate:.1f} {unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s/{unit}"
    )
