"""The training loop: one for all methods that descend along gradients, resumable after every epoch, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import torch
from torch import Tensor

from deploytool.base.arrays import Array, frozen
from deploytool.base.digest import digest
from deploytool.base.errors import RecipeError
from deploytool.base.progress import Tick, no_progress
from deploytool.recipe import BatchNormLayer, ConstraintsSection, NetworkSection, TrainSection
from deploytool.train import processes
from deploytool.train.device import autocast, keep_freed_memory, reproducible
from deploytool.train.loop.checkpoint import load_checkpoint, save_checkpoint
from deploytool.train.loop.evaluate import Batches, Score, Sums, score
from deploytool.train.loop.losses import loss_of
from deploytool.train.loop.schedule import learning_rate
from deploytool.train.loop.state import Epoch, State, chosen
from deploytool.train.methods.build import build
from deploytool.train.network.constraints import excess
from deploytool.train.network.norms import calibrated
from deploytool.train.network.spiking import Activity, SpikingNetwork
from deploytool.train.network.stages import stages_of

VERSION: Final = 4
"""Raised when the same recipe trains differently than before, so that no older checkpoint is continued."""

DIVERGED: Final = 10
"""Training whose loss is so many times that of its first epoch (but at least 1) is stopped."""

Draw: TypeAlias = Callable[[TrainSection, tuple[int, ...], torch.Generator], list[tuple[int, ...]]]
"""(spec, stage of each layer with weights, generator) -> configurations: time steps per layer. Their gradients are
added."""

Observe: TypeAlias = Callable[[Epoch], None]
"""What is told of every epoch when it is complete."""


def unobserved(_epoch: Epoch) -> None:
    """An Observe that does nothing."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Latent float32 ``weights`` of the epoch with the best validation accuracy, and the ``history`` of all epochs."""

    weights: Mapping[str, Array]
    history: tuple[Epoch, ...]
    chosen_epoch: int


def descend(
    draw: Draw,
    network: NetworkSection,
    constraints: ConstraintsSection,
    spec: TrainSection,
    training: Batches,
    validation: Batches,
    seed: int,
    checkpoint: Path,
    tick: Tick = no_progress,
    observe: Observe = unobserved,
    initial: Mapping[str, Array] | None = None,
) -> Trained:
    """The weights that gradients through time find, each step on the configurations of time steps that ``draw`` gives.

    They begin as ``initial``, or as drawn by ``seed``. Chosen by validation accuracy, among equals by validation loss,
    then the earlier; see `methods.train`. What is validated, chosen and returned is the running mean of the weights,
    mean <- a mean + (1 - a) weights after every step with a = ``spec.average`` (Polyak averaging); at a = 0 these are
    the weights themselves.
    """
    state = State(build(network, constraints, spec), seed, initial)
    sections = [section.model_dump_json() for section in (network, constraints, spec)]
    key = digest([VERSION, sections, seed, len(training), len(validation), initial])
    if found := load_checkpoint(checkpoint, key):
        state.restore(found)
    keep_freed_memory()
    steps = stages_of(network, spec)
    with reproducible():
        while not state.done:
            entry = _epoch(state, lambda drawn: draw(spec, steps, drawn), training, validation, tick)
            state.complete(entry)
            if processes.leads():
                save_checkpoint(state.checkpoint(key), checkpoint)
            processes.wait()
            observe(entry)
    arrays = {name: frozen(tensor.numpy(force=True)) for name, tensor in state.best.items()}
    best = chosen(state.history, state.first)
    assert best is not None
    return Trained(arrays, tuple(state.history), best)


def _epoch(
    state: State,
    draw: Callable[[torch.Generator], list[tuple[int, ...]]],
    training: Batches,
    validation: Batches,
    tick: Tick,
) -> Epoch:
    """The entry of the next epoch, in which ``state`` learns."""
    net, epoch = state.net, len(state.history) + 1
    rate = learning_rate(net.spec, epoch)
    state.begin(epoch, rate)
    learned, steps = _train_epoch(state, draw, training, epoch, tick)
    first = max(1.0, state.history[0]["loss"]) if state.history else math.inf
    if learned.loss > DIVERGED * first:
        raise _diverged(net.spec, f"{learned.loss:g}, {DIVERGED} times that of the first epoch, in epoch {epoch}")
    if _calibrates(net):
        state.calibrated(calibrated(net, state.mean, training, state.generator("calibration", epoch)))
    held_out = score(net, state.mean, validation)
    return {
        "epoch": epoch,
        "learning_rate": rate,
        "step_epochs": steps + (state.history[-1]["step_epochs"] if state.history else 0),
        "loss": learned.loss,
        "accuracy": learned.accuracy,
        "synops": learned.synops,
        "validation_loss": held_out.loss,
        "validation_accuracy": held_out.accuracy,
        "validation_synops": held_out.synops,
        **{f"rate/{name}": rate for name, rate in held_out.rates.items()},
    }


def _calibrates(net: SpikingNetwork) -> bool:
    """Whether running statistics are not those of the weights, at the time steps, that are validated."""
    normalised = any(isinstance(block.layer, BatchNormLayer) for block in net.blocks)
    return normalised and (net.spec.method in ("nmt", "mtt", "tit") or net.spec.average > 0)


def _train_epoch(
    state: State, draw: Callable[[torch.Generator], list[tuple[int, ...]]], training: Batches, epoch: int, tick: Tick
) -> tuple[Score, float]:
    """(means over one pass through ``training``, time steps that a sample took), which changes ``state``."""
    net, spec = state.net, state.net.spec
    draws = state.generator("draws", epoch)
    batches = math.ceil(len(training) / spec.batch)
    sums, steps_taken = Sums(net), 0.0
    samples = training(spec.longest, spec.batch, state.generator("batches", epoch))
    for batch, (frames, labels) in enumerate(samples, start=1):
        state.optimizer.zero_grad()
        for steps in draw(draws):
            steps_taken += sum(steps) / len(steps)
            given = frames[: steps[0]] if _still(frames) else frames
            for own_frames, own_labels in _parts(given, labels, spec.accumulate, net.device):
                activity, loss = _loss(state, own_frames, own_labels, steps)
                if not loss.isfinite():
                    raise _diverged(spec, f"{loss.item()} in epoch {epoch}")
                share = len(own_labels) / len(labels)
                (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
                if len(own_labels):
                    sums.add(activity, own_labels, loss)
        processes.add_gradients(state.learnt.values())
        state.step()
        tick((epoch - 1) * batches + batch, spec.epochs * batches, _note(state, epoch, sums.mean))
    return sums.total().mean, steps_taken / batches


def _still(frames: Tensor) -> bool:
    """Whether every step is the same image, expanded over time: it is shown for as long as the first layer runs."""
    return frames.stride(0) == 0


def _parts(frames: Tensor, labels: Tensor, count: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's samples of a batch, in ``count`` parts; where samples are few, a part may have none."""
    frames, labels = processes.own_part(frames, labels)
    parts = zip(frames.tensor_split(count, 1), labels.tensor_split(count), strict=True)
    for own_frames, own_labels in parts:
        yield own_frames.to(device), own_labels.to(device)


def _loss(state: State, frames: Tensor, labels: Tensor, steps: tuple[int, ...]) -> tuple[Activity, Tensor]:
    """(what the network does with ``frames``, its loss), the batch norms measured."""
    net, spec = state.net, state.net.spec
    with autocast(spec, net.device):
        activity = net.run(state.weights, frames, steps, measure=True)
    state.measured(activity.statistics)
    if not len(labels):
        return activity, activity.output.sum()
    loss = loss_of(activity.output, labels, spec)
    if spec.rate_penalty:
        loss = loss + spec.rate_penalty * activity.synops.mean() / 1e6
    if penalty := net.constraints.max_weight_penalty:
        loss = loss + penalty * excess(net, state.weights)
    return activity, loss


def _diverged(spec: TrainSection, loss: str) -> RecipeError:
    return RecipeError(
        "train.learning_rate",
        f"at {spec.learning_rate:g} the loss is {loss}",
        "a rate at which it stays finite",
        "Lower it, or lower train.gain.",
    )


def _note(state: State, epoch: int, mean: Score) -> str:
    note = f"epoch {epoch}/{state.net.spec.epochs}  loss {mean.loss:.3f}  {mean.accuracy:.1f} % right"
    if not state.history:
        return note
    last = state.history[-1]
    rates = [rate for name, rate in last.items() if name.startswith("rate/")]
    return f"{note}  validation {last['validation_accuracy']:.1f} %  {sum(rates) / len(rates):.2g} spikes per neuron"
