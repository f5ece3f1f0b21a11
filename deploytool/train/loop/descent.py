"""Gradient descent through time, for all methods except PTL. It resumes after any epoch, bit-identical."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor

from deploytool.base.arrays import Array, frozen
from deploytool.base.errors import RecipeError
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train import processes
from deploytool.train.device import autocast
from deploytool.train.loop.calibration import calibrated
from deploytool.train.loop.epochs import train_epochs
from deploytool.train.loop.evaluate import Score, Sums, score
from deploytool.train.loop.objective import objective_of
from deploytool.train.loop.schedule import Schedule
from deploytool.train.loop.state import State
from deploytool.train.network.constraints import excess
from deploytool.train.network.spiking import Activity, SpikingNetwork
from deploytool.train.network.stages import stages_of
from deploytool.train.task import Epoch, Task, Trained

VERSION: Final = 6
"""Increase this when the same recipe trains differently than before, so that no older checkpoint is continued."""

DIVERGED: Final = 10
"""Training stops when the loss is more than this many times the loss of the first epoch (or 1, if that is larger)."""

Build: TypeAlias = Callable[[NetworkSection, ConstraintsSection, TrainSection], SpikingNetwork]
"""Builds the network as a method runs it. Raises RecipeError when that is not possible."""

Draw: TypeAlias = Callable[[TrainSection, tuple[int, ...], torch.Generator], list[tuple[int, ...]]]
"""(spec, stage of each layer with weights, generator) -> configurations: time steps per layer. Their gradients are
added."""

Phases: TypeAlias = Callable[[TrainSection], Sequence[TrainSection]]
"""Splits one training into several, each of which starts from the weights of the previous one."""


def fixed_steps(spec: TrainSection, stages: Sequence[int], _generator: torch.Generator) -> list[tuple[int, ...]]:
    """One configuration, with ``time_steps`` for every layer in every stage."""
    return [(spec.time_steps,) * len(stages)]


@dataclass(frozen=True)
class Descent:
    """How a method descends gradients through time. ``build`` makes the network, ``draw`` gives the configurations of
    time steps for each training step, and training has one or more phases.

    ``remeasures_norms``: batch norm statistics are measured again after every epoch, unless the recipe says otherwise,
    because the running statistics come from other time steps than validation uses.
    """

    build: Build = SpikingNetwork
    draw: Draw = fixed_steps
    phases: Phases = lambda spec: (spec,)
    remeasures_norms: bool = False


def descend(descent: Descent, task: Task, initial: Mapping[str, Array] | None = None) -> Trained:
    """The weights that one phase of gradient descent through time gives.

    Training starts from ``initial``, or from random weights with ``task.seed``. The epoch with the best validation
    accuracy, or R2 of values, is chosen; ties are broken by validation loss, then by the earlier epoch. Training
    validates, chooses and returns the running mean of the weights:
    mean <- a mean + (1 - a) weights after every step with a = ``spec.average`` (Polyak averaging); at a = 0 these are
    the weights themselves.
    """
    if initial is not None:
        initial = dict(sorted(initial.items()))  # the same key, and order in the optimizer, if they were restored
    net = descent.build(task.network, task.constraints, task.spec)
    state = State(net, task.seed, initial, objective_of(net, task.values), ("loss", "step_epochs"))
    stages = stages_of(task.network, task.spec)

    def next_epoch() -> bool:
        if state.done:
            return False
        state.complete(_epoch(state, descent, stages, task))
        return True

    train_epochs(state, task, task.key(VERSION, initial), next_epoch)
    arrays = {name: frozen(tensor.numpy(force=True)) for name, tensor in state.best.items()}
    best = state.best_epoch
    assert best is not None
    return Trained(arrays, tuple(state.history), best)


def _epoch(state: State, descent: Descent, stages: tuple[int, ...], task: Task) -> Epoch:
    """The history entry of the next epoch, which trains ``state``."""
    net, epoch = state.net, len(state.history) + 1
    schedule = Schedule(net.spec, math.ceil(len(task.training) / net.spec.batch))
    state.begin(epoch)
    learned, steps = _train_epoch(state, lambda drawn: descent.draw(net.spec, stages, drawn), schedule, task)
    first = max(1.0, state.history[0]["loss"]) if state.history else math.inf
    if learned.loss > DIVERGED * first:
        raise _diverged(net.spec, f"{learned.loss:g}, {DIVERGED} times that of the first epoch, in epoch {epoch}")
    mixed = descent.remeasures_norms and net.spec.norm_statistics == "measured"
    if net.normalised and (mixed or net.spec.average > 0):
        state.replace_statistics(calibrated(net, state.mean, task.training, state.generator("calibration", epoch)))
    held_out = score(net, state.mean, task.validation, state.objective)
    if not math.isfinite(held_out.loss):
        raise _diverged(net.spec, f"{held_out.loss} on validation samples, in epoch {epoch}")
    return {
        "epoch": epoch,
        "learning_rate": schedule.rate(epoch * schedule.batches),
        "step_epochs": steps + (state.history[-1]["step_epochs"] if state.history else 0),
        "loss": learned.loss,
        **learned.figures,
        "synops": learned.synops,
        "validation_loss": held_out.loss,
        **{f"validation_{name}": value for name, value in held_out.figures.items()},
        "validation_synops": held_out.synops,
        **{f"rate/{name}": rate for name, rate in held_out.rates.items()},
    }


def _train_epoch(
    state: State, draw: Callable[[torch.Generator], list[tuple[int, ...]]], schedule: Schedule, task: Task
) -> tuple[Score, float]:
    """(means over one pass through the training samples, time steps per sample). Changes ``state``."""
    net, spec, epoch = state.net, state.net.spec, len(state.history) + 1
    draws = state.generator("draws", epoch)
    before = (epoch - 1) * schedule.batches
    sums, steps_taken = Sums(net, state.objective), 0.0
    samples = task.training(spec.longest, spec.batch, state.generator("batches", epoch))
    for step, (frames, labels) in enumerate(samples, start=before + 1):
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
                    sums.add(activity, state.weights, own_labels, loss)
        processes.add_gradients(state.learnt.values())
        state.step(schedule.rate(step))
        task.tick(step, schedule.steps, _note(state, epoch, sums.mean))
    return sums.total().mean, steps_taken / schedule.batches


def _still(frames: Tensor) -> bool:
    """Whether all steps hold the same image, expanded over time. The first layer sees it at each of its time steps."""
    return frames.stride(0) == 0


def _parts(frames: Tensor, labels: Tensor, count: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's samples of a batch, in ``count`` parts. A part may be empty when there are few samples."""
    count = min(count, max(1, len(labels)))
    frames, labels = processes.own_part(frames, labels)
    parts = zip(frames.tensor_split(count, 1), labels.tensor_split(count), strict=True)
    for own_frames, own_labels in parts:
        yield own_frames.to(device), own_labels.to(device)


def _loss(state: State, frames: Tensor, labels: Tensor, steps: tuple[int, ...]) -> tuple[Activity, Tensor]:
    """(activity of the network for ``frames``, its loss), with measured batch norm statistics."""
    net, spec = state.net, state.net.spec
    with autocast(spec, net.device):
        activity = net.run(state.weights, frames, steps, measure=True)
    state.update_statistics(activity.statistics)
    if not len(labels):
        return activity, activity.output.sum()
    loss = state.objective.loss(state.weights, activity.output, labels)
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
    return f"epoch {epoch}/{state.net.spec.epochs}  loss {mean.loss:.3f}  {state.objective.says(mean.figures)}"
