"""The training loop: one for all methods, resumable after every epoch with the identical result."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import torch
from torch import Tensor

from deploytool.digest import digest
from deploytool.errors import RecipeError
from deploytool.graph import Array, frozen
from deploytool.progress import Tick, no_progress
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from deploytool.train.evaluate import Batches, Score, Sums, as_tensors, score
from deploytool.train.losses import loss_of
from deploytool.train.network import SpikingNetwork, learnt

NORM_MOMENTUM: Final = 0.1
"""Share of a new batch in the running statistics of batch norms (torch's default)."""

VERSION: Final = 3
"""Raised when the same recipe trains differently than before, so that no older checkpoint is continued."""

Draw: TypeAlias = Callable[[TrainSection, int, torch.Generator], list[tuple[int, ...]]]
"""(spec, number of layers with weights, generator) -> configurations: time steps per layer. Their gradients are
added."""

Epoch: TypeAlias = Mapping[str, float]
"""epoch (from 1), learning_rate, loss, accuracy (%), synops per sample; validation_loss and so on."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Latent float32 ``weights`` of the epoch with the best validation accuracy, and the ``history`` of all epochs."""

    weights: Mapping[str, Array]
    history: tuple[Epoch, ...]
    chosen_epoch: int


def descend(
    draw: Draw, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection, training: Batches,
    validation: Batches, seed: int, checkpoint: Path, tick: Tick = no_progress,
) -> Trained:  # fmt: skip
    """The weights that gradients through time find, each step on the configurations of time steps that ``draw`` gives.

    Chosen by validation accuracy, among equals by validation loss, then the earlier. See `methods.train`.
    What is validated, chosen and returned is the running mean of the weights, mean <- a mean + (1 - a) weights after
    every step with a = ``spec.average`` (Polyak averaging); at a = 0 these are the weights themselves.
    """
    state = _State(SpikingNetwork(network, constraints, spec), seed)
    sections = [section.model_dump_json() for section in (network, constraints, spec)]
    key = digest([VERSION, sections, seed, len(training), len(validation)])
    if found := load_checkpoint(checkpoint, key):
        state.restore(found)
    _keep_freed_memory()
    with _deterministic():
        while len(state.history) < spec.epochs:
            epoch = len(state.history) + 1
            rate = learning_rate(spec, epoch)
            learned = _train_epoch(state, draw, training, epoch, rate, tick)
            held_out = score(state.net, state.mean, validation)
            state.complete({
                "epoch": epoch, "learning_rate": rate,
                "loss": learned.loss, "accuracy": learned.accuracy, "synops": learned.synops,
                "validation_loss": held_out.loss, "validation_accuracy": held_out.accuracy,
                "validation_synops": held_out.synops,
            })  # fmt: skip
            save_checkpoint(state.checkpoint(key), checkpoint)
    arrays = {name: frozen(tensor.numpy()) for name, tensor in state.best.items()}
    return Trained(arrays, tuple(state.history), chosen(state.history))


def chosen(history: Sequence[Epoch]) -> int:
    """The epoch with the best validation accuracy; among equals the lowest validation loss, then the first."""
    best = min(history, key=lambda entry: (-entry["validation_accuracy"], entry["validation_loss"], entry["epoch"]))
    return int(best["epoch"])


def learning_rate(spec: TrainSection, epoch: int) -> float:
    """The learning rate of ``epoch`` = 1..epochs: constant, or lr (1 + cos(pi (epoch - 1) / epochs)) / 2."""
    if spec.schedule == "constant":
        return spec.learning_rate
    return spec.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / spec.epochs)) / 2


class _State:
    """What training changes: the weights, the best of them so far, the optimizer and the history."""

    def __init__(self, net: SpikingNetwork, seed: int) -> None:
        self.net, self.seed = net, seed
        self.weights = net.initial_weights(self.generator("weights"))
        for tensor in self.learnt.values():
            tensor.requires_grad_()
        self.mean = _copies(self.weights)
        self.best = _copies(self.mean)
        self.optimizer = _optimizer(list(self.learnt.values()), net.spec)
        self.history: list[Epoch] = []

    def generator(self, purpose: str, epoch: int = 0) -> torch.Generator:
        """Random numbers that follow from seed, purpose and epoch alone."""
        return torch.Generator().manual_seed(int(digest([self.seed, purpose, epoch])[:15], 16))

    @property
    def learnt(self) -> dict[str, Tensor]:
        """The weights that gradients change."""
        return {name: tensor for name, tensor in self.weights.items() if learnt(name)}

    def measured(self, statistics: Mapping[str, Tensor]) -> None:
        """Takes a batch's ``statistics`` into the running ones of the batch norms."""
        for name, value in statistics.items():
            self.weights[name].lerp_(value, NORM_MOMENTUM)

    def step(self) -> None:
        """Changes the weights by their gradients, and their running mean with them."""
        self.optimizer.step()
        for name, tensor in self.weights.items():
            self.mean[name].lerp_(tensor.detach(), 1 - self.net.spec.average if learnt(name) else 1.0)

    def complete(self, entry: Epoch) -> None:
        """Ends an epoch with its ``entry`` of the history."""
        self.history.append(entry)
        if chosen(self.history) == entry["epoch"]:
            self.best = _copies(self.mean)

    def checkpoint(self, key: str) -> Checkpoint:
        tensors = {f"weights/{name}": tensor.detach() for name, tensor in self.weights.items()}
        tensors |= {f"mean/{name}": tensor for name, tensor in self.mean.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in values.items() if value is not None}
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return Checkpoint(key, tuple(self.history), arrays)

    def restore(self, found: Checkpoint) -> None:
        with torch.no_grad():
            for name, tensor in as_tensors(found.group("weights")).items():
                self.weights[name].copy_(tensor)
        self.mean, self.best = as_tensors(found.group("mean")), as_tensors(found.group("best"))
        self.history = list(found.history)
        moments: dict[int, dict[str, Tensor]] = {}
        for path, tensor in as_tensors(found.group("optimizer")).items():
            index, _, name = path.partition("/")
            moments.setdefault(int(index), {})[name] = tensor.reshape(()) if name == "step" else tensor
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _train_epoch(state: _State, draw: Draw, training: Batches, epoch: int, rate: float, tick: Tick) -> Score:
    """Means over one pass through ``training``, which changes the weights of ``state``."""
    net, spec = state.net, state.net.spec
    draws = state.generator("draws", epoch)
    batches = math.ceil(len(training) / spec.batch)
    sums = Sums()
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    samples = training(spec.longest, spec.batch, state.generator("batches", epoch))
    for batch, (frames, labels) in enumerate(samples, start=1):
        state.optimizer.zero_grad()
        for steps in draw(spec, len(net.weighted), draws):
            activity = net.run(state.weights, frames, steps, measure=True)
            state.measured(activity.statistics)
            loss = loss_of(activity.output, labels, spec)
            if spec.rate_penalty:
                loss = loss + spec.rate_penalty * activity.synops.mean() / 1e6
            if not loss.isfinite():
                raise RecipeError(
                    "train.learning_rate", f"at {spec.learning_rate:g} the loss is {loss.item()} in epoch {epoch}",
                    "a rate at which it stays finite", "Lower it, or lower train.gain.",
                )  # fmt: skip
            loss.backward()  # type: ignore[no-untyped-call]
            sums.add(activity, labels, loss)
        state.step()
        mean = sums.mean
        note = f"epoch {epoch}/{spec.epochs}  loss {mean.loss:.3f}  {mean.accuracy:.1f} % right"
        if state.history:
            note += f"  validation {state.history[-1]['validation_accuracy']:.1f} %"
        tick((epoch - 1) * batches + batch, spec.epochs * batches, note)
    return sums.mean


def _optimizer(parameters: list[Tensor], spec: TrainSection) -> torch.optim.Optimizer:
    if spec.optimizer == "sgd":
        return torch.optim.SGD(parameters, spec.learning_rate, spec.momentum, weight_decay=spec.weight_decay)
    return torch.optim.AdamW(parameters, spec.learning_rate, weight_decay=spec.weight_decay)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@contextmanager
def _deterministic() -> Iterator[None]:
    """Only algorithms that give the same bits every time."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _keep_freed_memory() -> None:
    """Lets glibc keep large blocks that were freed: otherwise every step gets, and clears, new pages for them."""
    if sys.platform == "linux":
        m_trim_threshold, m_mmap_max = -1, -4
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, -1)
