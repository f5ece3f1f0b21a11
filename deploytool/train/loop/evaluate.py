"""The trained network's own answer: the clock-driven run at its T, the rung "torch"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.recording import NO_POTENTIALS, Recording, Setup, answers
from deploytool.train import processes
from deploytool.train.device import reproducible
from deploytool.train.loop.losses import loss_of
from deploytool.train.network.spiking import Activity, SpikingNetwork, Weights
from deploytool.train.task import Batches


def evaluate(
    net: SpikingNetwork,
    weights: Mapping[str, Array],
    batches: Batches,
    samples: Sequence[str],
    tick: Tick = no_progress,
) -> Recording:
    """The answers of ``net`` with latent ``weights`` at the time steps of its recipe, and every layer's spike counts.

    ``samples`` are the names of the samples of ``batches``, in order. Layers are named after their weights, and
    have the name of their neurons as alias. A network that restores pictures (loss "mse") predicts no class, so its
    samples have no label.
    """
    counts: dict[str, list[Array]] = {}
    potentials, synops, labels = [], [], []
    for activity, wanted in answered(net, as_tensors(weights), batches):
        for name, spikes in activity.spikes.items():
            counts.setdefault(name, []).append(spikes.sum(0).numpy(force=True).astype(np.int64))
        if not net.answers_in_spikes:
            potentials.append(activity.output.mean(0).numpy(force=True))
        synops.append(activity.synops.numpy(force=True))
        labels.append(np.full(len(wanted), -1) if net.spec.loss == "mse" else wanted.numpy())
        tick(sum(map(len, labels)), len(batches), "")
    return Recording(
        rung="torch",
        samples=tuple(samples),
        labels=np.concatenate(labels),
        outputs=(net.answering,) if net.answers_in_spikes else (),
        counts={name: np.concatenate(parts) for name, parts in counts.items()},
        potentials=np.concatenate(potentials) if potentials else NO_POTENTIALS,
        synops=np.concatenate(synops),
        spikes={},
        setup=Setup(arithmetic="float32", time_steps=net.spec.time_steps),
        aliases={block.spikes: block.name for block in net.weighted if block.spikes},
    )


@torch.no_grad()
def answered(net: SpikingNetwork, weights: Weights, batches: Batches) -> Iterator[tuple[Activity, Tensor]]:
    """(activity, labels) of this process's part of each batch in fixed order, without gradients."""
    weights = {name: tensor.to(net.device) for name, tensor in weights.items()}
    with reproducible():
        for frames, labels in batches(net.spec.time_steps, net.spec.batch, None):
            own, wanted = processes.own_part(frames, labels)
            yield net.run(weights, own.to(net.device)), wanted


@dataclass(frozen=True)
class Score:
    """Means over samples: ``loss``, ``accuracy`` in %, ``synops`` synaptic updates; ``rates`` {layer: spikes per
    neuron}, when they were counted."""

    loss: float
    accuracy: float
    synops: float
    rates: Mapping[str, float]


class Sums:
    """Sums over batches, from which a Score is computed."""

    def __init__(self, net: SpikingNetwork) -> None:
        self._net = net
        self._loss = self._right = self._synops = self._samples = 0.0
        self._rates: dict[str, float] = {}

    def add(self, activity: Activity, labels: Tensor, loss: Tensor) -> None:
        """Adds one batch, whose mean loss is ``loss``."""
        output = activity.output.detach().sum(0).numpy(force=True)
        answered = answers(output.astype(np.int64)) if self._net.answers_in_spikes else output.argmax(1)
        self._loss += float(loss.detach()) * len(labels)
        self._right += int((answered == labels.numpy(force=True)).sum())
        self._synops += float(activity.synops.detach().sum())
        self._samples += len(labels)

    def add_rates(self, activity: Activity) -> None:
        """Adds the spikes of one batch."""
        for name, spikes in activity.spikes.items():
            found = float(spikes.sum(dtype=torch.float64)) / math.prod(spikes.shape[2:])
            self._rates[name] = self._rates.get(name, 0.0) + found

    def total(self) -> Sums:
        """These sums, added up over all processes that train together."""
        joint = Sums(self._net)
        values = [self._loss, self._right, self._synops, self._samples, *self._rates.values()]
        added = processes.add_up(torch.tensor(values, dtype=torch.float64, device=self._net.device)).tolist()
        joint._loss, joint._right, joint._synops, joint._samples = added[:4]
        joint._rates = dict(zip(self._rates, added[4:], strict=True))
        return joint

    @property
    def mean(self) -> Score:
        """The Score of all batches so far."""
        count = max(1.0, self._samples)
        rates = {name: spikes / count for name, spikes in self._rates.items()}
        return Score(self._loss / count, 100 * self._right / count, self._synops / count, rates)


def score(net: SpikingNetwork, weights: Weights, batches: Batches) -> Score:
    """The Score of ``weights`` on all samples of ``batches``."""
    sums = Sums(net)
    for activity, labels in answered(net, weights, batches):
        if len(labels):
            sums.add(activity, labels, loss_of(activity.output, labels.to(net.device), net.spec))
        sums.add_rates(activity)
    return sums.total().mean


def as_tensors(weights: Mapping[str, Array]) -> dict[str, Tensor]:
    """Float32 copies of ``weights``."""
    return {name: torch.tensor(array, dtype=torch.float32) for name, array in weights.items()}
