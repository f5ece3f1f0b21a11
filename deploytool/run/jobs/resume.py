"""Resumable runs: finished samples are kept on disk, and the next run continues from there.

All parts joined equal the recording of an uninterrupted run. Only one part is in memory at a time.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

from deploytool.base.interrupts import SAID, Interrupted
from deploytool.base.progress import Tick, no_progress, silent
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.parts import checked_parts, joined, keep, parts_in
from deploytool.run.record.checks import check_kept, watched_layers
from deploytool.run.targets.options import Options

PART_S: Final = 10.0
"""Time between two writes of parts to disk."""

FINISH_S: Final = 2.0
"""Time that samples in progress have after an interrupt."""

PART_COUNTS: Final = 1 << 20
"""Largest number of counts in a part, which bounds the memory of a run; a part has one sample at least."""

Span: TypeAlias = tuple[int, int]
"""(first sample, the one after the last)."""

Perform: TypeAlias = Callable[[Job, Program, Sequence[EventStream], Sequence[Span]], Iterator[tuple[int, Recording]]]
"""(first sample, recording) of stretches that together are the spans asked for, in any order, as they are done."""


def run_job(
    job: Job,
    program: Program,
    streams: Sequence[EventStream],
    folder: Path,
    perform: Perform,
    say: Callable[[str], None] = silent,
) -> Recording:
    """The recording of ``job`` with ``program`` on ``streams``. Samples finished in ``folder`` are not run again.

    If there is more than one part, the counts are read from ``folder``, which must stay until they are stored.
    """
    parts, whole = checked_parts(folder, len(streams), say), None
    single = 0
    todo = gaps([(part.first, part.stop) for part in parts], len(streams))
    try:
        for first, part in perform(job, program, streams, todo):
            single += sum(map(len, part.spikes.values()))
            check_kept("--rasters", single)
            if len(part) == len(streams):
                whole = part
            else:
                parts.append(keep(part, folder, first))
    except KeyboardInterrupt:
        if whole is not None:
            keep(whole, folder, 0)
        raise
    return joined(parts) if whole is None else whole


def finished(folder: Path) -> int:
    """The number of finished samples in ``folder``."""
    return sum(part.stop - part.first for part in parts_in(folder))


def gaps(spans: Sequence[Span], total: int) -> list[Span]:
    """The parts of 0 .. ``total`` that are not in ``spans``; one empty span if there are no samples."""
    ends = [0, *(stop for _, stop in sorted(spans))]
    starts = [*(first for first, _ in sorted(spans)), total]
    missing = [(end, start) for end, start in zip(ends, starts, strict=True) if start > end]
    return missing if missing or spans else [(0, 0)]


def in_this_process(
    options: Options, say: Callable[[str], None] = silent, part_s: float = PART_S, part_counts: int = PART_COUNTS
) -> Perform:
    """A function that runs a job in this process and yields finished parts every ``part_s``, or ``part_counts``.

    On a signal, samples in progress are finished and kept, if that takes no longer than `FINISH_S`.
    """

    def perform(
        job: Job, program: Program, streams: Sequence[EventStream], spans: Sequence[Span]
    ) -> Iterator[tuple[int, Recording]]:
        done, total = 0, sum(stop - first for first, stop in spans)
        watched = watched_layers(program, job.watch.layers)
        most = max(1, part_counts // sum(math.prod(program.map_of(name)) for name in watched))
        with interruption(say) as interrupted:
            for first, stop in spans:
                while True:
                    tick = _shifted(options.tick, done, total)
                    source = _until(streams, first, min(stop, first + most), time.monotonic() + part_s, interrupted)
                    part = job.run(program, source, first, replace(options, tick=tick))
                    yield first, part
                    first, done = first + len(part), done + len(part)
                    if interrupted.is_set():
                        raise interrupted.error
                    if first == stop:
                        break

    return perform


class Interruption(threading.Event):
    """Set by a signal, with the ``error`` that it raises."""

    def __init__(self) -> None:
        super().__init__()
        self.error = Interrupted()


def _until(
    streams: Sequence[EventStream], first: int, stop: int, deadline_s: float, interrupted: Interruption
) -> Iterator[EventStream]:
    """The streams ``first`` .. ``stop`` - 1 until the deadline or an interruption, at least one of them."""
    for index in range(first, stop):
        if index > first and (interrupted.is_set() or time.monotonic() > deadline_s):
            return
        yield streams[index]


def _shifted(tick: Tick, done: int, total: int) -> Tick:
    if tick is no_progress:
        return tick

    def shifted(more: float, _: int, note: str) -> None:
        tick(done + more, total, note)

    return shifted


@contextlib.contextmanager
def interruption(say: Callable[[str], None]) -> Iterator[Interruption]:
    """What the first signal sets; the second one, or `FINISH_S`, is handled as usual: it raises KeyboardInterrupt."""
    interrupted = Interruption()
    handlers = {number: signal.getsignal(number) for number in SAID}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            before[number](number, frame)
            return
        interrupted.set()
        interrupted.error = Interrupted(number)
        say(f"Finishing and keeping samples for at most {FINISH_S:g} s; interrupt again to stop at once.")
        late.append(threading.Timer(FINISH_S, signal.pthread_kill, (threading.get_ident(), number)))
        late[0].daemon = True
        late[0].start()

    late: list[threading.Timer] = []
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield interrupted
    finally:
        for timer in late:
            timer.cancel()
        for number, handler in before.items():
            if signal.getsignal(number) is on_signal:
                signal.signal(number, handler)
