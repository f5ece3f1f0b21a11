"""The trained network's own answer: the clock-driven run at its T, the rung "torch"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from deploytool.graph import Array
from deploytool.progress import Tick, no_progress
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.recording import Recording, answers
from deploytool.train.losses import loss_of
from deploytool.train.network import Activity, SpikingNetwork, Weights


class Batches(Protocol):
    """Samples as event counts in time bins, batch by batch."""

    def __len__(self) -> int:
        """The number of samples."""
        ...

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """(frames (T, B, C, H, W) float32, labels (B,) int64) of all samples, ``batch`` at a time.

        With a ``generator``, which alone decides, the order is random and samples are augmented; without, the order
        is fixed and samples are as they are.
        """
        ...


def evaluate(
    weights: Mapping[str, Array], network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection,
    batches: Batches, samples: Sequence[str], tick: Tick = no_progress,
) -> Recording:  # fmt: skip
    """What the network with latent ``weights`` answers at ``spec.time_steps``, every layer's spikes counted.

    ``samples`` are the names of the samples of ``batches``, in their order. Layers are called by their weights, and
    have the name of their neurons as alias.
    """
    net = SpikingNetwork(network, constraints, spec)
    counts: dict[str, list[Array]] = {block.name: [] for block in net.weighted if block.spikes}
    synops, labels = [], []
    for activity, wanted in answered(net, as_tensors(weights), batches):
        for name, spikes in activity.spikes.items():
            counts[name].append(spikes.sum(0).numpy().astype(np.int64))
        synops.append(activity.synops.numpy())
        labels.append(wanted.numpy())
        tick(sum(map(len, labels)), len(batches), "")
    return Recording(
        rung="torch", samples=tuple(samples), labels=np.concatenate(labels), outputs=(net.answering,),
        counts={name: np.concatenate(parts) for name, parts in counts.items()},
        synops=np.concatenate(synops), spikes={},
        aliases={block.spikes: block.name for block in net.weighted if block.spikes},
    )  # fmt: skip


@torch.no_grad()
def answered(net: SpikingNetwork, weights: Weights, batches: Batches) -> Iterator[tuple[Activity, Tensor]]:
    """(activity, labels) of each batch in fixed order, without gradients."""
    for frames, labels in batches(net.spec.time_steps, net.spec.batch, None):
        yield net.run(weights, frames), labels


@dataclass(frozen=True)
class Score:
    """Means over samples: ``loss``, ``accuracy`` in %, ``synops`` synaptic updates."""

    loss: float
    accuracy: float
    synops: float


class Sums:
    """Adds up batches towards a Score."""

    def __init__(self) -> None:
        self._loss = self._right = self._synops = self._samples = 0.0

    def add(self, activity: Activity, labels: Tensor, loss: Tensor) -> None:
        """Counts one batch, of which ``loss`` is the mean."""
        counts = activity.output.detach().sum(0).numpy().astype(np.int64)
        self._loss += float(loss.detach()) * len(labels)
        self._right += int((answers(counts) == labels.numpy()).sum())
        self._synops += float(activity.synops.detach().sum())
        self._samples += len(labels)

    @property
    def mean(self) -> Score:
        """The Score of all batches so far."""
        return Score(self._loss / self._samples, 100 * self._right / self._samples, self._synops / self._samples)


def score(net: SpikingNetwork, weights: Weights, batches: Batches) -> Score:
    """How well ``weights`` answer all samples of ``batches``."""
    sums = Sums()
    for activity, labels in answered(net, weights, batches):
        sums.add(activity, labels, loss_of(activity.output, labels, net.spec))
    return sums.mean


def as_tensors(weights: Mapping[str, Array]) -> dict[str, Tensor]:
    """Float32 copies of ``weights``."""
    return {name: torch.tensor(array, dtype=torch.float32) for name, array in weights.items()}
