"""The teacher of training on events: what it sees, what it learns, and what the network learns from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, in_batches
from helpers.tiny import spec as tiny_spec
from torch.nn import functional as F

from deploytool.ir.events import EVENT, EventStream
from deploytool.recipe.teacher import TeacherSection
from deploytool.train.methods.events.teacher import Teacher, counted, distilled, taught
from deploytool.train.outside import Emulated
from deploytool.train.task import Task


def stream(times_us: list[int], places: list[tuple[int, int, int]], label: int = 0) -> EventStream:
    events = np.zeros(len(times_us), EVENT)
    events["t"] = times_us
    for index, axis in enumerate("cyx"):
        events[axis] = [place[index] for place in places]
    return EventStream(events, (2, 3, 4), 100, label)


def test_events_are_counted_in_windows_of_equal_time() -> None:
    first = stream([0, 10, 49, 50, 99], [(0, 1, 2)] * 4 + [(1, 2, 3)])
    second = stream([], [])
    found = counted([first, second], 2)
    assert found.shape == (2, 4, 3, 4)  # windows times features
    wanted = torch.zeros(4, 3, 4)
    wanted[0, 1, 2], wanted[2, 1, 2], wanted[3, 2, 3] = 3**0.5, 1, 1
    torch.testing.assert_close(found[0], wanted)
    assert not found[1].any()


def test_the_loss_is_that_of_the_labels_and_the_distance_to_the_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, teacher = torch.randn(2, 5, 3, generator=generator)
    labels = torch.tensor([0, 2, 1, 1, 0])
    spec = TeacherSection(share=0.25, temperature=3)
    plain = F.cross_entropy(logits, labels)
    p, q = torch.softmax(teacher / 3, 1), torch.softmax(logits / 3, 1)
    wanted = 0.75 * plain + 0.25 * 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(distilled(plain, logits, teacher, spec), wanted)
    alone = TeacherSection(share=1, temperature=3)
    assert float(distilled(plain, teacher, teacher, alone)) == pytest.approx(0, abs=1e-6)


class Halves:
    """Samples with events in the left (0) or in the right half (1)."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.samples = []
        for index in range(count):
            places = [
                (int(rng.integers(2)), int(rng.integers(3)), 2 * (index % 2) + int(rng.integers(2))) for _ in "12345"
            ]
            self.samples.append(stream(sorted(rng.integers(0, 100, 5).tolist()), places, index % 2))

    def __call__(self, batch: int, generator: torch.Generator | None) -> Iterator[list[EventStream]]:
        order = (
            torch.arange(len(self.samples))
            if generator is None
            else torch.randperm(len(self.samples), generator=generator)
        )
        for chosen in order.split(batch):
            yield [self.samples[index] for index in chosen.tolist()]


def emulated() -> Emulated:
    def none(*_: Any) -> Any:
        raise AssertionError

    return Emulated(Halves(33), Halves(10), none)


def test_it_learns_and_continues_as_if_it_had_not_stopped() -> None:
    spec = TeacherSection(epochs=6, batch=8, features=4, windows=2)
    whole = Teacher(spec, (2, 3, 4), 2, 33, seed=1)
    accuracies = [whole.train_epoch(emulated()) for _ in range(2)]
    stopped = Teacher(spec, (2, 3, 4), 2, 33, seed=1)
    stopped.restore(whole.checkpoint("key"))
    for _ in range(4):
        accuracies.append(whole.train_epoch(emulated()))
        stopped.train_epoch(emulated())
    assert stopped.history == whole.history
    assert accuracies[-1] > 90
    samples = Halves(20).samples
    assert torch.equal(whole.logits(samples), stopped.logits(samples))
    answers = whole.logits(samples).argmax(1)
    assert (answers == torch.arange(20) % 2).float().mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (2, 34, 34)])
def test_it_takes_maps_of_any_size(shape: tuple[int, int, int]) -> None:
    teacher = Teacher(TeacherSection(features=3), shape, 7, 10, seed=0)
    events = np.zeros(1, EVENT)
    assert teacher.logits([EventStream(events, shape, 10)] * 2).shape == (2, 7)


def test_a_checkpoint_of_more_epochs_than_asked_is_not_trained_further(tmp_path: Path) -> None:
    spec = TeacherSection(epochs=3, batch=16, features=2, windows=1)
    task = Task(NETWORK, CONSTRAINTS, tiny_spec(), 0, Sides(8, 1), Sides(8, 2), tmp_path)
    streams = in_batches(Sides(8, 1))
    long = taught(spec, 2, task, Emulated(streams, streams, lambda *_: {}), 1)
    found = taught(spec.model_copy(update={"epochs": 2}), 2, task, Emulated(streams, streams, lambda *_: {}), 1)
    assert len(found.history) == len(long.history) == 3
