"""Distributes jobs over machines with Dask: sends stretches of samples to workers and collects their recordings.

Programs and recordings are sent in their stored form. If a worker dies, its unfinished stretches run again on another
worker; finished stretches are never repeated.
"""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from deploytool.base.display import announce
from deploytool.base.errors import TargetError, UsageError
from deploytool.base.extras import require
from deploytool.base.files import temporary_folder
from deploytool.base.interrupts import SAID
from deploytool.base.progress import Tick
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.program_file import load_program, save_program
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import read_recording, write_recording
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.resume import Perform, Span
from deploytool.run.jobs.workers import OPEN, Workers
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import kind_of, options_of

if TYPE_CHECKING:
    from distributed import Client

SAMPLES_MAX: Final = 256
"""Largest number of samples per stretch."""

EVENTS_MAX: Final = 1 << 18
"""A stretch ends after this many input events, so that it stays small compared with a worker's memory."""

STRETCHES_PER_WORKER: Final = 8
"""Smallest number of stretches per worker, so that no worker waits long for the last stretch."""

NO_DASHBOARD: Final[Mapping[str, Any]] = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
"""Options that start a cluster without a dashboard, and without the port 8787 that it would otherwise still open."""

NO_PAGES: Final[Mapping[str, Any]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Settings of Dask without pages on the ports for HTTP that it opens in any case, which ask for no certificate."""

CONNECT_S: Final = 30
"""How long to wait for a scheduler and its first worker."""


def on_workers(workers: Workers, processes: int, tick: Tick, connect_s: float = CONNECT_S) -> Perform:
    """A function that runs a job on ``workers``; local ones are ``processes`` unless their number is given.

    Raises UsageError without Dask, and TargetError if there is no scheduler or worker.
    """
    require("--scheduler", "distributed", "cryptography")
    connect = partial(_local, workers, processes) if workers.local else partial(_remote, workers, connect_s)

    def perform(
        job: Job, program: Program, streams: Sequence[EventStream], spans: Sequence[Span]
    ) -> Iterator[tuple[int, Recording]]:
        if not kind_of(job.on).computes:
            raise UsageError("--scheduler", f"given with --on {job.on}", options_of(lambda kind: kind.computes))
        with connect() as client:
            yield from _perform(client, pack(job, program), streams, spans, tick)

    return perform


@contextlib.contextmanager
def _local(workers: Workers, processes: int) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    with _children_ignore_interrupts(), dask.config.set(NO_PAGES):
        cluster = LocalCluster(
            n_workers=workers.processes(processes),
            threads_per_worker=1,
            security=workers.security(),
            protocol="tls",
            silence_logs=logging.CRITICAL,
            **NO_DASHBOARD,
        )
    with cluster, Client(cluster) as client:
        yield client


@contextlib.contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """Processes started in this context ignore signals of the terminal; this one handles them and ends the others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in SAID if number != signal.SIGTERM]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _remote(workers: Workers, connect_s: float) -> Iterator[Client]:
    from distributed import Client

    address = workers.scheduler
    if workers.open:
        announce(f"{address}: {OPEN}")
    try:
        client = Client(address, timeout=connect_s, security=workers.security())
    except (OSError, ValueError) as error:
        raise TargetError(f"--scheduler {address}", str(error), "a Dask scheduler that responds") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=connect_s)
        except TimeoutError:
            raise TargetError(
                f"--scheduler {address}", "no worker", "at least one, with deploytool installed"
            ) from None
        yield client


def _perform(
    client: Client, job: Packed, streams: Sequence[EventStream], spans: Sequence[Span], tick: Tick
) -> Iterator[tuple[int, Recording]]:
    """Keeps two stretches per worker in progress and yields each recording as soon as it arrives."""
    import dask
    from distributed import KilledWorker, as_completed

    done, total = 0, sum(stop - first for first, stop in spans)
    workers = max(1, len(client.nthreads()))
    run = uuid4().hex[:12]
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "4GiB"}):
        shared = client.submit(_same, job, key=f"job-{run}")
        waiting = iter(stretches(streams, spans, -(-total // (workers * STRETCHES_PER_WORKER))))
        in_progress = as_completed(loop=client.loop, with_results=True)
        first_of: dict[Any, int] = {}

        def send(number: int) -> None:
            for first, part in islice(waiting, number):
                task = client.submit(run_stretch, shared, first, part, key=f"samples-{run}-{first}-{first + len(part)}")
                first_of[task.key] = first
                in_progress.add(task)

        send(2 * workers)
        try:
            for task, result in in_progress:
                part = read_recording(io.BytesIO(result), task.key)
                done += len(part)
                tick(done, total, "")
                yield first_of.pop(task.key), part
                send(1)
        except KilledWorker as error:
            found = f"{error.allowed_failures + 1} workers in a row died while they ran {error.task}"
            raise TargetError("--scheduler", found, "workers that do not die", "Give them more memory.") from None


def stretches(
    streams: Sequence[EventStream], spans: Sequence[Span], size: int, events_max: int = EVENTS_MAX
) -> Iterator[tuple[int, tuple[EventStream, ...]]]:
    """(first sample, streams) of stretches of ``spans``: at most ``size`` samples each, ended after ``events_max``."""
    size = min(max(size, 1), SAMPLES_MAX)
    for first, stop in spans:
        part: list[EventStream] = []
        if first == stop:
            yield first, ()
        for index in range(first, stop):
            part.append(streams[index])
            if len(part) == size or sum(map(len, part)) >= events_max or index == stop - 1:
                yield index + 1 - len(part), tuple(part)
                part = []


@dataclass(frozen=True)
class Packed:
    """A job and its program in the form that is sent to workers, the program as file contents."""

    job: Job
    files: tuple[tuple[str, bytes], ...]


def pack(job: Job, program: Program) -> Packed:
    """``job`` and ``program`` in the form that is sent to workers."""
    with temporary_folder() as folder:
        save_program(program, folder)
        return Packed(job, tuple((path.name, path.read_bytes()) for path in sorted(folder.iterdir())))


@lru_cache(maxsize=2)
def unpack(packed: Packed) -> Program:
    """The program that was packed."""
    with temporary_folder() as folder:
        for name, content in packed.files:
            (folder / name).write_bytes(content)
        return load_program(folder)


def run_stretch(packed: Packed, first: int, streams: Sequence[EventStream]) -> bytes:
    """The stored recording of ``streams``, the samples of the job from ``first`` on. Runs on a worker."""
    buffer = io.BytesIO()
    write_recording(packed.job.run(unpack(packed), streams, first, Options()), buffer)
    return buffer.getvalue()


def _same(packed: Packed) -> Packed:
    return packed
