"""The trained network's own answer: the clock-driven run at its T, the rung "torch"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.decoder import Decoder
from deploytool.ir.recording import NO_POTENTIALS, Recording, Setup
from deploytool.ir.windows import NO_TARGETS, OutputWindows, joined
from deploytool.train import processes
from deploytool.train.device import reproducible
from deploytool.train.loop.objective import Objective, in_windows
from deploytool.train.network.spiking import Activity, SpikingNetwork, Weights
from deploytool.train.task import Batches


def evaluate(
    net: SpikingNetwork,
    weights: Mapping[str, Array],
    batches: Batches,
    samples: Sequence[str],
    tick: Tick = no_progress,
    reading: Reading | None = None,
) -> Recording:
    """The answers of ``net`` with latent ``weights`` at the time steps of its recipe, and every layer's spike counts.

    ``samples`` are the names of the samples of ``batches``, in order. Layers are named after their weights, and
    have the name of their neurons as alias. A network that restores pictures (loss "mse") predicts no class, so its
    samples have no label. ``reading`` says how values are read, if it does not answer in classes.
    """
    counts: dict[str, list[Array]] = {}
    potentials, synops, labels, windows = [], [], [], []
    for activity, wanted in answered(net, as_tensors(weights), batches):
        for name, spikes in activity.spikes.items():
            counts.setdefault(name, []).append(spikes.sum(0).numpy(force=True).astype(np.int64))
        if not net.answers_in_spikes:
            potentials.append(net.read(activity.output).numpy(force=True))
        synops.append(activity.synops.numpy(force=True))
        unlabelled = net.spec.loss == "mse" or wanted.ndim > 1
        labels.append(np.full(len(wanted), -1) if unlabelled else wanted.numpy())
        windows.append(None if reading is None else reading.windows_of(activity.output, wanted))
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
        windows=joined(windows),
    )


@dataclass(frozen=True)
class Reading:
    """How values are read from each of ``windows`` windows of a sample. Raises UnsupportedError unless these consist of
    whole time steps."""

    decoder: Decoder
    windows: int

    def windows_of(self, outputs: Tensor, wanted: Tensor) -> OutputWindows:
        """The windows of a batch with ``outputs`` (T, B, K), and targets ``wanted`` (B, W, D), or labels (B,)."""
        if len(outputs) % self.windows:
            need = f"a multiple of {self.windows}, the windows of a sample"
            raise UnsupportedError("time steps", f"found {len(outputs)}", need)
        potentials = self.decoder.reads == "potential"
        read = in_windows(outputs, self.windows, potentials).movedim(0, 1).flatten(0, 1).numpy(force=True)
        targets = wanted.flatten(0, 1).numpy() if wanted.ndim > 1 else NO_TARGETS
        return OutputWindows(
            np.full(outputs.shape[1], self.windows),
            np.zeros(read.shape, np.int64) if potentials else read.round().astype(np.int64),
            targets,
            read if potentials else NO_TARGETS,
            self.decoder,
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
    """Means over samples: ``loss``, the ``figures`` of the objective such as "accuracy" in %, ``synops`` synaptic
    updates; ``rates`` {layer: spikes per neuron}, when they were counted."""

    loss: float
    figures: Mapping[str, float]
    synops: float
    rates: Mapping[str, float]


class Sums:
    """Sums over batches, from which a Score is computed."""

    def __init__(self, net: SpikingNetwork, objective: Objective) -> None:
        self._net, self._objective = net, objective
        self._loss = self._synops = self._samples = 0.0
        self._scored: list[float] = []
        self._rates: dict[str, float] = {}

    def add(self, activity: Activity, weights: Weights, wanted: Tensor, loss: Tensor) -> None:
        """Adds one batch, whose mean loss is ``loss``; ``wanted`` are its labels or targets."""
        more = self._objective.sums(weights, activity.output, wanted)
        self._scored = [a + b for a, b in zip(self._scored or [0.0] * len(more), more, strict=True)]
        self._loss += float(loss.detach()) * len(wanted)
        self._synops += float(activity.synops.detach().sum())
        self._samples += len(wanted)

    def add_rates(self, activity: Activity) -> None:
        """Adds the spikes of one batch."""
        for name, spikes in activity.spikes.items():
            found = float(spikes.sum(dtype=torch.float64)) / math.prod(spikes.shape[2:])
            self._rates[name] = self._rates.get(name, 0.0) + found

    def total(self) -> Sums:
        """These sums, added up over all processes that train together."""
        joint, scored = Sums(self._net, self._objective), len(self._scored)
        values = [self._loss, self._synops, self._samples, *self._scored, *self._rates.values()]
        added = processes.add_up(torch.tensor(values, dtype=torch.float64, device=self._net.device)).tolist()
        joint._loss, joint._synops, joint._samples = added[:3]
        joint._scored = added[3 : 3 + scored]
        joint._rates = dict(zip(self._rates, added[3 + scored :], strict=True))
        return joint

    @property
    def mean(self) -> Score:
        """The Score of all batches so far."""
        count = max(1.0, self._samples)
        rates = {name: spikes / count for name, spikes in self._rates.items()}
        return Score(self._loss / count, self._objective.figures(self._scored), self._synops / count, rates)


def score(net: SpikingNetwork, weights: Weights, batches: Batches, objective: Objective) -> Score:
    """The Score of ``weights`` on all samples of ``batches``."""
    sums = Sums(net, objective)
    for activity, wanted in answered(net, weights, batches):
        if len(wanted):
            own = wanted.to(net.device)
            sums.add(activity, weights, own, objective.loss(weights, activity.output, own))
        sums.add_rates(activity)
    return sums.total().mean


def as_tensors(weights: Mapping[str, Array]) -> dict[str, Tensor]:
    """Float32 copies of ``weights``."""
    return {name: torch.tensor(array, dtype=torch.float32) for name, array in weights.items()}
