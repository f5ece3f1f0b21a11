"""The state of a training: what changes from step to step, and how it is saved and restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.base.digest import digest
from deploytool.train.loop.checkpoint import Checkpoint, checkpoint_of
from deploytool.train.loop.evaluate import as_tensors
from deploytool.train.loop.objective import Objective, objective_of
from deploytool.train.loop.optimizers import make_optimizer, shorten
from deploytool.train.network.constraints import masks
from deploytool.train.network.spiking import SpikingNetwork, learnt
from deploytool.train.task import Epoch, held_out

NORM_MOMENTUM: Final = 0.1
"""Weight of a new batch in the running statistics of batch norms (torch's default)."""


def chosen(history: Sequence[Epoch], first: int = 1) -> int | None:
    """The epoch from ``first`` on with the best validation score, `held_out`, or None if there is none. Ties go to the
    lowest validation loss, then to the first epoch."""
    entries = [entry for entry in history if entry["epoch"] >= first]
    if not entries:
        return None
    best = min(entries, key=lambda entry: (-held_out(entry)[1], entry["validation_loss"], entry["epoch"]))
    return int(best["epoch"])


class State:
    """The weights, their running mean, the best mean so far, masks, the optimizer and the history.

    It starts from ``initial`` weights, or from random weights with ``seed``, and learns what ``objective`` needs
    besides; the default is to tell classes apart. Every epoch in the history of a checkpoint must have the ``entries``.
    Epochs before `first` are never the best, because their neurons have more inputs than the limit allows.
    """

    def __init__(
        self,
        net: SpikingNetwork,
        seed: int,
        initial: Mapping[str, Array] | None = None,
        objective: Objective | None = None,
        entries: Sequence[str] = (),
    ) -> None:
        self.net, self.seed, self.entries = net, seed, ("validation_loss", *entries)
        self.objective = objective or objective_of(net, None)
        if initial is None:
            drawn = net.initial_weights(self.generator("weights")) | self.objective.start(self.generator("decoder"))
        else:
            drawn = as_tensors(initial)
        self.weights = {name: tensor.to(net.device) for name, tensor in drawn.items()}
        for tensor in self.learnt.values():
            tensor.requires_grad_()
        self.mean = copies(self.weights)
        self.best = copies(self.mean)
        self.masks: dict[str, Tensor] = {}
        self.optimizer = make_optimizer(list(self.learnt.values()), net.spec)
        self.history: list[Epoch] = []

    def generator(self, purpose: str, epoch: int = 0) -> torch.Generator:
        """The random number generator of this training for ``purpose`` in ``epoch``."""
        return generator_of(self.seed, purpose, epoch)

    @property
    def first(self) -> int:
        """The first epoch that may be the best."""
        return self.net.constraints.fan_in_epochs

    @property
    def learnt(self) -> dict[str, Tensor]:
        """The weights that gradients change."""
        return {name: tensor for name, tensor in self.weights.items() if learnt(name)}

    @property
    def done(self) -> bool:
        """Whether training is over: after all epochs, or after ``patience`` epochs without a better one."""
        spec, best = self.net.spec, chosen(self.history, self.first)
        waited = len(self.history) - best if best else 0
        return len(self.history) >= spec.epochs or (spec.patience is not None and waited >= spec.patience)

    def begin(self, epoch: int) -> None:
        """Sets the number of inputs that a neuron may have in ``epoch``."""
        constraints = self.net.constraints
        if constraints.fan_in is not None and epoch <= constraints.fan_in_epochs:
            weighted = {block.name: self.weights[block.name] for block in self.net.weighted}
            self.masks = masks(weighted, constraints, epoch)
            self._mask()

    def update_statistics(self, statistics: Mapping[str, Tensor]) -> None:
        """Moves the running statistics of the batch norms towards ``statistics`` of a batch."""
        for name, value in statistics.items():
            self.weights[name].lerp_(value, NORM_MOMENTUM)

    def replace_statistics(self, statistics: Mapping[str, Tensor]) -> None:
        """Sets the batch norm ``statistics`` of the weights that are validated."""
        for name, value in statistics.items():
            self.mean[name].copy_(value)

    def step(self, rate: float) -> None:
        """Updates the weights by their gradients at the learning ``rate``, and then their running mean."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        shorten(self.learnt.values(), self.net.spec)
        self.optimizer.step()
        for name, tensor in self.weights.items():
            self.mean[name].lerp_(tensor.detach(), 1 - self.net.spec.average if learnt(name) else 1.0)
        self._mask()

    @torch.no_grad()
    def _mask(self) -> None:
        for name, mask in self.masks.items():
            self.weights[name].mul_(mask)
            self.mean[name].mul_(mask)

    @property
    def best_epoch(self) -> int | None:
        """The best epoch so far, as `chosen` says."""
        return chosen(self.history, self.first)

    def complete(self, entry: Epoch) -> None:
        """Ends an epoch and adds its ``entry`` to the history."""
        self.history.append(entry)
        if self.best_epoch == entry["epoch"]:
            self.best = copies(self.mean)

    def checkpoint(self, key: str) -> Checkpoint:
        """The whole state as the Checkpoint of the training called ``key``."""
        groups = {"weights": self.weights, "mean": self.mean, "best": self.best, "mask": self.masks}
        return checkpoint_of(key, self.history, groups, self.optimizer)

    def restore(self, found: Checkpoint) -> None:
        """Restores the state in ``found``."""

        def group(name: str) -> dict[str, Tensor]:
            like = found.tensors_like(name, self.weights)
            if wrong := [key for key, tensor in like.items() if key.endswith(".variance") and (tensor < 0).any()]:
                raise ValueError(f"{name}/{wrong[0]} is below 0")
            return {key: tensor.to(self.net.device) for key, tensor in like.items()}

        with torch.no_grad():
            for name, tensor in group("weights").items():
                self.weights[name].copy_(tensor)
        self.mean, self.best = group("mean"), group("best")
        self.masks = {key: mask.to(self.net.device) for key, mask in found.masks("mask", self.weights).items()}
        self.history = list(found.history)
        if missing := [name for name in self.entries for epoch in self.history if name not in epoch]:
            raise ValueError(f"an epoch of its history has no {missing[0]}")
        chosen(self.history)  # raises ValueError where a score is missing
        found.restore_optimizer(self.optimizer)


def generator_of(seed: int, purpose: str, number: int = 0) -> torch.Generator:
    """A random number generator that depends only on ``seed``, ``purpose`` and ``number`` (of an epoch or a layer)."""
    return torch.Generator().manual_seed(int(digest([seed, purpose, number])[:15], 16))


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of ``tensors``, without gradients."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
