"""Runs cases in worker processes, each of which is replaced when it dies: a death costs one case."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final

from tests.fuzz.outcome import OUTCOMES, Case, Result, says_no_memory
from tests.fuzz.worker import LOG, Limits, serve

FAMILIES: Final = "tests.fuzz.families"
"""The module with the families of the project."""
PATIENCE: Final = 15
"""A case may take this many times its process time by the clock, because a machine may have other things to do."""
USUAL: Final = Limits()
START_SECONDS: Final = 300
SEEDS_SHOWN: Final = 3
"""The number of seeds that are shown of each fault."""


def cases_of(names: Sequence[str], number: int, seed: int) -> Iterator[Case]:
    """``number`` cases, divided evenly over the families ``names``, with seeds from ``seed`` on."""
    for index in range(number):
        yield Case(names[index % len(names)], seed + index // len(names))


def run(cases: Iterable[Case], jobs: int = 1, limits: Limits = USUAL, module: str = FAMILIES) -> Iterator[Result]:
    """The results of ``cases``, as they end, from ``jobs`` processes that read families of ``module``."""
    left = iter(cases)
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
        workers = [_Worker(Path(folder) / str(number), module, limits) for number in range(jobs)]
        try:
            while workers:
                ready = wait([worker.connection for worker in workers], timeout=1)
                for worker in list(workers):
                    if worker.connection in ready or worker.is_late:
                        if (result := worker.answer()) is not None:
                            yield result
                        if not worker.next(left):
                            workers.remove(worker)
        finally:
            for worker in workers:
                worker.stop()


@dataclass
class _Worker:
    """A process that runs cases in ``folder``, and the ``case`` that it runs; None while it starts."""

    folder: Path
    module: str
    limits: Limits
    case: Case | None = None
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        shutil.rmtree(self.folder / "case", ignore_errors=True)
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.module, self.folder, self.limits), daemon=True)
        self.process.start()
        theirs.close()
        self.case, self.since = None, time.monotonic()

    @property
    def is_late(self) -> bool:
        allowed = START_SECONDS if self.case is None else PATIENCE * self.limits.seconds
        return time.monotonic() - self.since > allowed

    def answer(self) -> Result | None:
        """The result of the case that has ended; None if the process has just started.

        A process that died or is late is replaced. Raises RuntimeError if it did not start.
        """
        if self.is_late and not self.connection.poll():
            self.process.kill()
            return self._death(late=True)
        try:
            result: Result | None = self.connection.recv()
        except (EOFError, ConnectionError):
            return self._death(late=False)
        return result

    def _death(self, late: bool) -> Result:
        """The result of the case in which the process died, or was stopped because it is late."""
        self.process.join()
        code, case = self.process.exitcode or 0, self.case
        log = (self.folder / LOG).read_text(encoding="utf-8", errors="replace")[-4000:]
        if case is None:
            raise RuntimeError(f"the process for {self.module} did not start:\n{log}")
        self._start()
        assert self.connection.poll(START_SECONDS), "the next process did not start"
        self.connection.recv()
        if late or -code == signal.SIGPROF:
            return Result(case, "unfinished", log, _place(log))
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Result(case, "memory" if says_no_memory(log) else "crashed", f"{how}\n{log}", f"{how} {_place(log)}")

    def next(self, cases: Iterator[Case]) -> bool:
        """Gives the process the next of ``cases``; stops it and returns False if there is none."""
        self.case, self.since = next(cases, None), time.monotonic()
        if self.case is None:
            self.stop()
            return False
        self.connection.send(self.case)
        return True

    def stop(self) -> None:
        if self.case is not None:
            self.process.kill()
        else:
            self.connection.send(None)
        self.process.join()


def _place(log: str) -> str:
    """The innermost line of this project in what a dying process wrote."""
    frames = [line.strip() for line in log.splitlines() if line.strip().startswith("File ")]
    ours = [frame for frame in frames if "/deploytool/" in frame or "/tests/" in frame]
    return (ours or frames or [""])[0]


class Tally:
    """What the results of a campaign come to."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: Counter[str] = Counter()
        self._faults: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
        self._numbers: Counter[tuple[str, str, str]] = Counter()

    def add(self, result: Result) -> bool:
        """Counts ``result``. Returns whether it is the first of a kind of fault."""
        family = result.case.family
        self._outcomes[family][result.outcome] += 1
        self._seconds[family] += result.seconds  # type: ignore[assignment]
        if not result.is_fault:
            return False
        fault = (family, result.outcome, result.kind)
        self._numbers[fault] += 1
        if len(self._faults[fault]) < SEEDS_SHOWN:
            self._faults[fault].append(result)
        return self._numbers[fault] == 1

    @property
    def tried(self) -> int:
        return sum(number.total() for number in self._outcomes.values())

    @property
    def faults(self) -> int:
        return self._numbers.total()

    def table(self) -> str:
        """A row per family: cases by outcome, and cases per second of process time."""
        rows = [["family", "tried", *OUTCOMES, "per second"]]
        for family, found in sorted(self._outcomes.items()):
            rate = found.total() / max(self._seconds[family], 1e-9)
            rows.append([family, f"{found.total():,}", *(f"{found[name]:,}" for name in OUTCOMES), f"{rate:,.0f}"])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = []
        for row in rows:
            numbers = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
            lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
        return "\n".join(lines)

    def fault_list(self) -> str:
        """Each kind of fault: how many, the end of what is known of the first, and how to repeat some."""
        parts = []
        for fault, results in sorted(self._faults.items()):
            family, outcome, kind = fault
            lines = [f"{family}: {outcome}, {self._numbers[fault]:,} cases: {kind}"]
            lines += [f"    {line}" for line in results[0].detail.strip().splitlines()[-12:]]
            lines += [f"  python -m tests.fuzz {family} --seed {result.case.seed}" for result in results]
            parts.append("\n".join(lines))
        return "\n\n".join(parts)
