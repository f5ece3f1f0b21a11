"""What a training says: a line of at most 60 columns for each epoch, and where it continues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec

from deploytool.train.task import Epoch, Task
from deploytool.workflow import training_log
from deploytool.workflow.training_log import TrainingLog


class Heard:
    """A log of 40 samples in batches of 8, and what it passed on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        self.ticks: list[tuple[float, int, str]] = []
        self.epochs: list[Epoch] = []
        self.now_s = 0.0
        monkeypatch.setattr(training_log, "time", self)
        log = TrainingLog(self.lines.append, lambda *tick: self.ticks.append(tick), self.record)
        self.plain = Task(NETWORK, CONSTRAINTS, spec(batch=8), 0, Sides(40, 1), Sides(16, 2), Path())
        self.task = log.watched(self.plain)

    def monotonic(self) -> float:
        return self.now_s

    def record(self, entry: Epoch, _best: bool) -> None:
        self.epochs.append(entry)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


ENTRY = {"epoch": 3, "loss": 0.43721, "validation_loss": 0.5, "validation_accuracy": 90.1234}


def test_an_epoch_has_its_figures_its_time_and_whether_it_is_the_best(heard: Heard) -> None:
    heard.task.tick(11, 125, "epoch 3/25")
    heard.now_s = 2.14
    heard.task.observe(ENTRY, True)
    heard.now_s = 15.0
    heard.task.observe({**ENTRY, "epoch": 14}, False)
    assert heard.lines == [
        "epoch  3/25  loss 0.437  val 90.12 %  2.1 s  best",
        "epoch 14/25  loss 0.437  val 90.12 %  13 s",
    ]
    assert heard.ticks == [(11, 125, "epoch 3/25")]
    assert [entry["epoch"] for entry in heard.epochs] == [3, 14]


def test_the_steps_of_a_teacher_are_no_epochs() -> None:
    lines: list[str] = []
    log = TrainingLog(lines.append, lambda *_: None, lambda *_: None)
    taught = spec(batch=8, method="events", teacher={"epochs": 3, "batch": 20})
    task = log.watched(Task(NETWORK, CONSTRAINTS, taught, 0, Sides(40, 1), Sides(16, 2), Path()))
    task.resumed(ENTRY)
    task.tick(22, 3 * 2 + 25 * 5, "")
    task.observe(ENTRY, False)
    assert lines[0] == "train      continues with epoch 4, step 22"
    assert lines[1].startswith("epoch  3/25  loss")


def test_stages_and_pictures(heard: Heard) -> None:
    heard.task.tick(1, 125, "")
    heard.task.observe({"stage": 2, "epoch": 14, "loss": 0.5, "validation_loss": 0.25}, False)
    assert heard.lines == ["stage 2  epoch 14  loss 0.5  val loss 0.25  0.0 s"]


def test_the_longest_line_fits_60_columns(heard: Heard) -> None:
    heard.task.tick(1, 5 * 999, "")
    heard.now_s = 5999
    heard.task.observe({**ENTRY, "epoch": 999, "loss": 0.000123456, "validation_accuracy": 100.0}, True)
    assert heard.lines == ["epoch 999/999  loss 0.000123  val 100.00 %  99:59 min  best"]
    assert len(heard.lines[0]) <= 60


def test_it_says_once_where_it_continues(heard: Heard) -> None:
    heard.task.resumed({**ENTRY, "epoch": 2})
    heard.task.resumed(ENTRY)
    assert heard.lines == []
    heard.task.tick(16, 125, "")
    heard.task.tick(17, 125, "")
    assert heard.lines == ["train      continues with epoch 4, step 16"]


def test_the_task_is_otherwise_unchanged(heard: Heard) -> None:
    plain = heard.plain
    again = replace(heard.task, tick=plain.tick, observe=plain.observe, resumed=plain.resumed)
    assert vars(again) == vars(plain)
