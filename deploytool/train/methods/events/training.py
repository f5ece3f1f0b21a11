"""Training on events: the forward pass is the chip's emulator, so that what is trained is what runs.

Every batch of samples, augmented as events, runs through the emulator, with the integers that the present weights
become on the chip, each event through all layers before the next. The loss is that of the spikes it counts, and with a
`teacher` also how far they are from its answers. Gradients flow along the same spikes, in windows of time (`network`).
Validation, too, is the emulator's count. So there is no difference between what is trained and what the chip's emulator
does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import frozen
from deploytool.base.errors import RecipeError
from deploytool.ir.events import EventStream
from deploytool.ir.recording import Recording
from deploytool.train.loop.epochs import train_epochs
from deploytool.train.loop.evaluate import Score, Sums
from deploytool.train.loop.losses import logits_of
from deploytool.train.loop.schedule import Schedule
from deploytool.train.loop.state import State
from deploytool.train.methods.events.network import Followed
from deploytool.train.methods.events.restrictions import restrictions, unmet
from deploytool.train.methods.events.teacher import Teacher, distilled, taught
from deploytool.train.methods.method import Training
from deploytool.train.network.constraints import excess, require_possible
from deploytool.train.network.spiking import Activity, SpikingNetwork
from deploytool.train.outside import Emulated
from deploytool.train.task import Epoch, Task, Trained

VERSION: Final = 1
"""Increase this when the same recipe trains differently than before, so that no older checkpoint is continued."""


def train(task: Task) -> Trained:
    """The weights of the epoch that the emulator finds best on the validation samples; ``Task.outside`` supplies it.

    Raises RecipeError with everything that the method cannot do, or if training diverges.
    """
    emulated = task.outside.emulated
    supplied = emulated is not None and emulated.recorded is not None
    if problems := [*restrictions(task.network, task.constraints, task.spec), *unmet(supplied)]:
        raise RecipeError.together(problems)
    require_possible(task.constraints, task.spec)
    assert emulated is not None
    run = _Run(State(SpikingNetwork(task.network, task.constraints, task.spec), task.seed), task, emulated)
    train_epochs(run.state, task, task.key(VERSION, None), run.next_epoch)
    arrays = {name: frozen(tensor.numpy(force=True)) for name, tensor in run.state.best.items()}
    best = run.state.best_epoch
    assert best is not None
    return Trained(arrays, tuple(run.state.history), best)


class _Run:
    """Trains ``state`` from one epoch to the next."""

    def __init__(self, state: State, task: Task, emulated: Emulated) -> None:
        self.state, self.task, self.emulated = state, task, emulated
        self.net, self.spec = state.net, task.spec
        self.followed = Followed(self.net, self.spec.events.of_layers(len(self.net.weighted)))
        self.schedule = Schedule(self.spec, math.ceil(len(task.training) / self.spec.batch))
        self.teacher: Teacher | None = None
        if (teacher := self.spec.teacher) is not None:
            classes = math.prod(self.net.blocks[-1].out_shape)
            self.teacher = taught(teacher, classes, task, emulated, self.schedule.steps)

    def next_epoch(self) -> bool:
        """Trains one more epoch. False when training is over."""
        if self.state.done:
            return False
        epoch = len(self.state.history) + 1
        self.state.begin(epoch)
        learned, held_out = self._train(epoch), self._validate()
        rate = self.schedule.rate(epoch * self.schedule.batches)
        self.state.complete(_entry(epoch, rate, learned, held_out))
        return True

    def _train(self, epoch: int) -> Score:
        """Means over one pass through the training samples. Changes the state."""
        state, sums = self.state, Sums(self.net, self.state.objective)
        before = self.teacher.steps if self.teacher is not None else 0
        samples = self.emulated.training(self.spec.batch, state.generator("batches", epoch))
        for step, streams in enumerate(samples, start=(epoch - 1) * self.schedule.batches + 1):
            labels = _labels(streams)
            recording = self._recorded(state.weights, streams, single=True)
            durations_us = np.array([stream.duration_us for stream in streams])
            activity = self.followed.run(state.weights, self.followed.count(recording.spikes, durations_us))
            loss = self._loss(activity, labels)
            if self.teacher is not None:
                logits = logits_of(activity.output, self.spec).mean(0)
                loss = distilled(loss, logits, self.teacher.logits(streams), self.teacher.spec)
            if not loss.isfinite():
                found = f"at {self.spec.learning_rate:g} the loss is {loss.item()} in epoch {epoch}"
                raise RecipeError("train.learning_rate", found, "a rate at which it stays finite", "Lower it.")
            state.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            state.step(self.schedule.rate(step))
            sums.add(activity, state.weights, labels, loss)
            self.task.tick(before + step, before + self.schedule.steps, self._note(epoch, sums.mean))
        return sums.mean

    @torch.no_grad()
    def _validate(self) -> Score:
        """The Score of the mean of the weights on the validation samples."""
        state, sums = self.state, Sums(self.net, self.state.objective)
        for streams in self.emulated.validation(self.spec.batch, None):
            activity = self._activity(self._recorded(state.mean, streams, single=False))
            labels = _labels(streams)
            loss = state.objective.loss(state.mean, activity.output, labels)
            sums.add(activity, state.mean, labels, loss)
            sums.add_rates(activity)
        return sums.mean

    def _recorded(self, weights: Mapping[str, Tensor], streams: Sequence[EventStream], single: bool) -> Recording:
        assert self.emulated.recorded is not None
        model = {name: tensor.numpy(force=True) for name, tensor in weights.items()}
        return self.emulated.recorded(model, streams, single)

    def _activity(self, recording: Recording) -> Activity:
        """What the emulator counted over whole samples."""
        names = [block.name for block in self.net.weighted]
        counts = {name: torch.tensor(np.asarray(recording.counts[name], np.float32))[None] for name in names}
        return Activity(
            counts, counts[self.net.answering].flatten(2), torch.tensor(recording.synops, dtype=torch.float64), {}
        )

    def _loss(self, activity: Activity, labels: Tensor) -> Tensor:
        loss = self.state.objective.loss(self.state.weights, activity.output, labels)
        if self.spec.rate_penalty:
            loss = loss + self.spec.rate_penalty * activity.synops.mean() / 1e6
        if penalty := self.net.constraints.max_weight_penalty:
            loss = loss + penalty * excess(self.net, self.state.weights)
        return loss

    def _note(self, epoch: int, mean: Score) -> str:
        said = self.state.objective.says(mean.figures)
        return f"epoch {epoch}/{self.spec.epochs}  loss {mean.loss:.3f}  {said}"


def _labels(streams: Sequence[EventStream]) -> Tensor:
    return torch.tensor([stream.label for stream in streams])


def _entry(epoch: int, rate: float, learned: Score, held_out: Score) -> Epoch:
    """The history entry of ``epoch``."""
    return {
        "epoch": epoch,
        "learning_rate": rate,
        "loss": learned.loss,
        **learned.figures,
        "synops": learned.synops,
        "validation_loss": held_out.loss,
        **{f"validation_{name}": value for name, value in held_out.figures.items()},
        "validation_synops": held_out.synops,
        **{f"rate/{name}": rate for name, rate in held_out.rates.items()},
    }


EVENTS: Final[Training] = Training(SpikingNetwork, train)
