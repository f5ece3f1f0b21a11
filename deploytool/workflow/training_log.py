"""What a training says while it runs: one line for each epoch, and from where it continues."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from deploytool.base.display import duration
from deploytool.base.numbers import figure
from deploytool.base.progress import Tell, Tick
from deploytool.train.task import Epoch, Observe, Task


@dataclass(eq=False)
class TrainingLog:
    """Passes on the progress of a training to ``tick`` and its epochs to ``record``, and says a line for each epoch.

    ``batches`` is the number of steps in an epoch, and ``before`` of those before the first: of a teacher's training.
    """

    say: Tell
    tick: Tick
    record: Observe
    batches: int = 0
    before: int = 0
    _total: int = 0
    _began_s: float = 0.0
    _continued: Epoch | None = None

    def watched(self, task: Task) -> Task:
        """``task``, which reports here."""
        self.batches = math.ceil(len(task.training) / task.spec.batch)
        if (teacher := task.spec.teacher) is not None:
            self.before = teacher.epochs * math.ceil(len(task.training) / teacher.batch)
        self._began_s = time.monotonic()
        return replace(task, tick=self.step, observe=self.epoch, resumed=self.resumed)

    def step(self, done: float, total: int, note: str) -> None:
        """A Tick."""
        if self._continued is not None:
            epoch = int(self._continued["epoch"])
            step = self.before + epoch * self.batches + 1
            self.say(f"train      continues with epoch {epoch + 1}, step {step:,}")
            self._continued = None
        self._total = (total - self.before) // self.batches if self.batches else 0
        self.tick(done, total, note)

    def epoch(self, entry: Epoch, best: bool) -> None:
        """An Observe."""
        now_s = time.monotonic()
        self.say("  ".join(_parts(entry, self._total, now_s - self._began_s, best)))
        self._began_s = now_s
        self.record(entry, best)

    def resumed(self, entry: Epoch) -> None:
        """A Resumed."""
        self._continued = entry


def _parts(entry: Epoch, total: int, seconds: float, best: bool) -> Iterator[str]:
    """What is said of an epoch, of a ``total`` number or, in stages, of an unknown one. It fits into 60 columns."""
    width, of = len(str(total)), f"/{total}"
    if "stage" in entry:
        yield f"stage {entry['stage']:.0f}"
        of = ""
    yield f"epoch {int(entry['epoch']):>{width}}{of}"
    yield f"loss {entry['loss']:.3g}"
    yield _held_out(entry)
    yield duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"
    if best:
        yield "best"


def _held_out(entry: Epoch) -> str:
    """The validation accuracy, R2 or SI-SDR of an epoch, or its loss where none is known."""
    if "validation_accuracy" in entry:
        return f"val {figure(entry['validation_accuracy'])} %"
    if "validation_r2" in entry:
        return f"val R2 {entry['validation_r2']:.3f}"
    if "validation_si_sdr" in entry:
        return f"val {entry['validation_si_sdr']:.2f} dB"
    return f"val loss {entry['validation_loss']:.3g}"
