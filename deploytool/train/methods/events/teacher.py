"""A teacher: a network without spikes on counts of events, whose answers the spiking network learns beside the labels.

Distillation (Hinton, Vinyals and Dean, 2015, arXiv 1503.02531): for logits z of the network and y of the teacher, the
loss is (1 - a) CE(z, label) + a D^2 KL(softmax(y / D) || softmax(z / D)), with the ``share`` a and the temperature D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deploytool.base.arrays import Shape
from deploytool.ir.events import EventStream, frames_of
from deploytool.recipe.teacher import TeacherSection
from deploytool.train.loop.checkpoint import Checkpoint, checkpoint_of
from deploytool.train.loop.epochs import train_epochs
from deploytool.train.loop.state import generator_of
from deploytool.train.outside import Emulated
from deploytool.train.task import Epoch, Task, unnoticed, unobserved

VERSION: Final = 1
"""Increase this when the same recipe trains another teacher than before, so that no older checkpoint is continued."""


class Teacher:
    """A teacher as ``spec`` describes it, for ``samples`` of ``shape`` (C, H, W) in ``classes``.

    Its training resumes after any epoch.
    """

    def __init__(self, spec: TeacherSection, shape: Shape, classes: int, samples: int, seed: int) -> None:
        self.spec, self.seed = spec, seed
        self.batches = math.ceil(samples / spec.batch)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator_of(seed, "teacher").initial_seed())
            self.net = _network(spec, shape, classes)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), spec.learning_rate, weight_decay=spec.weight_decay)
        self.history: list[Epoch] = []

    @property
    def steps(self) -> int:
        """The steps of its whole training."""
        return self.spec.epochs * self.batches

    @property
    def best_epoch(self) -> int | None:
        """The last epoch: its learning rate has fallen furthest."""
        return len(self.history) or None

    @torch.no_grad()
    def logits(self, streams: Sequence[EventStream]) -> Tensor:
        """(B, K): its answers to ``streams``."""
        self.net.eval()
        found: Tensor = self.net(counted(streams, self.spec.windows))
        return found

    def train_epoch(self, emulated: Emulated) -> float:
        """Trains one epoch; the share of right answers to the training samples, in %."""
        epoch, right, total = len(self.history) + 1, 0, 0
        self.net.train()
        streams = emulated.training(self.spec.batch, generator_of(self.seed, "teacher", epoch))
        for step, batch in enumerate(streams, start=(epoch - 1) * self.batches):
            if len(batch) < 2:  # batch norm has no spread of a single sample
                continue
            for group in self.optimizer.param_groups:
                group["lr"] = self.spec.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
            labels = torch.tensor([stream.label for stream in batch])
            logits = self.net(counted(batch, self.spec.windows))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.spec.label_smoothing)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            right, total = right + int((logits.argmax(1) == labels).sum()), total + len(batch)
        accuracy = 100 * right / max(1, total)
        self.history.append({"epoch": epoch, "accuracy": accuracy})
        return accuracy

    def checkpoint(self, key: str) -> Checkpoint:
        """Its whole state as the Checkpoint of the training called ``key``."""
        return checkpoint_of(key, self.history, {"teacher": self.net.state_dict()}, self.optimizer)

    def restore(self, found: Checkpoint) -> None:
        """Restores the state in ``found``."""
        stored, own = found.tensors("teacher"), self.net.state_dict()
        self.net.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in stored.items()})
        found.restore_optimizer(self.optimizer)
        self.history = list(found.history)


def taught(spec: TeacherSection, classes: int, task: Task, emulated: Emulated, steps: int) -> Teacher:
    """The trained teacher of ``task``, which has ``classes``, from its checkpoint if there is one.

    The network itself takes ``steps`` steps afterwards.
    """
    teacher = Teacher(spec, task.network.input, classes, len(task.training), task.seed)

    def next_epoch() -> bool:
        done = len(teacher.history)
        if done >= spec.epochs:
            return False
        accuracy = teacher.train_epoch(emulated)
        note = f"teacher, epoch {done + 1}/{spec.epochs}  {accuracy:.2f} % correct"
        task.tick((done + 1) * teacher.batches, teacher.steps + steps, note)
        return True

    own = replace(task, folder=task.folder / "teacher", observe=unobserved, resumed=unnoticed)
    train_epochs(teacher, own, task.key(VERSION, "teacher"), next_epoch)
    return teacher


def distilled(loss: Tensor, logits: Tensor, teacher: Tensor, spec: TeacherSection) -> Tensor:
    """The ``loss`` of the labels with the share of the ``teacher`` (B, K): how far the ``logits`` (B, K) differ."""
    wanted = F.softmax(teacher / spec.temperature, 1)
    found = F.log_softmax(logits / spec.temperature, 1)
    differs = spec.temperature**2 * F.kl_div(found, wanted, reduction="batchmean")
    return (1 - spec.share) * loss + spec.share * differs


def counted(streams: Sequence[EventStream], windows: int) -> Tensor:
    """(B, windows C, H, W): the square roots of the numbers of events in each window of time."""
    frames = np.stack([frames_of(stream, windows).astype(np.float32) for stream in streams])
    return torch.from_numpy(frames).sqrt_().flatten(1, 2)


def _network(spec: TeacherSection, shape: Shape, classes: int) -> nn.Sequential:
    """Three convolutions, each halving the map while it can, and a linear layer."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    before = spec.windows * channels
    for features in (spec.features, 2 * spec.features, 4 * spec.features):
        layers += [nn.Conv2d(before, features, 3, padding=1, bias=False), nn.BatchNorm2d(features), nn.ReLU()]
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        before = features
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * height * width, classes))
