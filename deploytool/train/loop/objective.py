"""What a network is trained for: its loss, and the figures that choose the best epoch.

An objective may learn arrays of its own, with the weights: a decoder. Values are learnt in units of the spread of the
training targets, from their mean; `decoder_of` turns the decoder into real units after training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.arrays import Array
from deploytool.base.numbers import figure
from deploytool.ir.decoder import Decoder
from deploytool.ir.recording import answers
from deploytool.recipe import TrainSection
from deploytool.train.loop.losses import loss_of, tet_regulariser
from deploytool.train.network.spiking import SpikingNetwork, Weights
from deploytool.train.task import Values

WEIGHTS: Final = "decoder.weights"
OFFSET: Final = "decoder.offset"
"""The names of a decoder's arrays among the weights of a training."""


class Objective(Protocol):
    """The kind of task that a network is trained for. Outputs are (T, B, K), as in `Activity`."""

    def start(self, generator: torch.Generator, /) -> dict[str, Tensor]:
        """{name: array} of what it learns besides the weights of the network."""
        ...

    def loss(self, weights: Weights, outputs: Tensor, wanted: Tensor, /) -> Tensor:
        """The loss of ``outputs`` of a batch, for its labels (B,) or targets (B, W, D)."""
        ...

    def sums(self, weights: Weights, outputs: Tensor, wanted: Tensor, /) -> list[float]:
        """What `figures` needs of a batch, to be added up over batches."""
        ...

    def figures(self, sums: Sequence[float]) -> dict[str, float]:
        """{name: figure} of all batches whose `sums` are added up."""
        ...

    def says(self, figures: Mapping[str, float]) -> str:
        """The ``figures`` in a few words."""
        ...


@dataclass(frozen=True, eq=False)
class Classes:
    """The class is the output with the most spikes, or the largest that ``net`` reads; its figure the accuracy in %."""

    net: SpikingNetwork

    def start(self, _generator: torch.Generator) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def loss(self, _weights: Weights, outputs: Tensor, wanted: Tensor) -> Tensor:
        """See `loss_of`."""
        return loss_of(outputs, wanted, self.net.spec)

    def sums(self, _weights: Weights, outputs: Tensor, wanted: Tensor) -> list[float]:
        """[right answers, samples]."""
        if self.net.answers_in_spikes:
            answered = answers(outputs.detach().sum(0).numpy(force=True).astype(np.int64))
        else:
            answered = self.net.read(outputs.detach()).numpy(force=True).argmax(1)
        return [float((answered == wanted.numpy(force=True)).sum()), float(len(wanted))]

    def figures(self, sums: Sequence[float]) -> dict[str, float]:
        """{"accuracy": %}."""
        right, samples = sums or (0.0, 0.0)
        return {"accuracy": 100 * right / max(1.0, samples)}

    def says(self, figures: Mapping[str, float]) -> str:
        """Such as "97.2 % correct"."""
        return f"{figure(figures['accuracy'])} % correct"


@dataclass(frozen=True, eq=False)
class Decoded:
    """``values`` are read from ``outputs`` outputs by a decoder, which is learnt.

    With n(w) the spikes of each output in window w, or V of each at its end, the loss "mse" is the mean over windows,
    samples and values of (W n(w) + b - y(w))^2, for targets y normalised to a mean of 0 and a spread of 1. The loss
    "tet" asks the same of every time step t, whose rate is s(t) times the steps in a window (Deng et al., ICLR 2022,
    arXiv 2202.11946, whose loss of classes is a cross-entropy): the mean over t of (W s(t) T / W + b - y(t))^2.
    The figures are R2, the mean over values of 1 - sum e^2 / sum (y - mean y)^2, and the root mean square error.
    """

    spec: TrainSection
    values: Values
    outputs: int

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        """A random decoder that is uniform in +-``logit_scale`` / sqrt(outputs), and offsets of 0."""
        size, bound = len(self.values.names), self.spec.logit_scale / math.sqrt(self.outputs)
        drawn = torch.empty(size, self.outputs).uniform_(-bound, bound, generator=generator)
        return {WEIGHTS: drawn, OFFSET: torch.zeros(size)}

    def normalised(self, targets: Tensor) -> Tensor:
        """(W, B, D): ``targets`` (B, W, D), normalised."""
        mean, spread = (torch.tensor(x, dtype=targets.dtype) for x in (self.values.mean, self.values.spread))
        return ((targets - mean.to(targets.device)) / spread.to(targets.device)).movedim(1, 0)

    def loss(self, weights: Weights, outputs: Tensor, wanted: Tensor) -> Tensor:
        """The mean squared error of the normalised values."""
        targets = self.normalised(wanted)
        if self.spec.loss != "tet":
            return F.mse_loss(self.decoded(weights, outputs), targets)
        share = shares(len(outputs), self.values.windows).to(outputs.device)
        rates = outputs * (len(outputs) / self.values.windows)
        each = F.mse_loss(F.linear(rates, weights[WEIGHTS], weights[OFFSET]), _of_steps(share, targets))
        regulariser = tet_regulariser(outputs, self.spec.tet_phi)
        return (1 - self.spec.tet_lambda) * each + self.spec.tet_lambda * regulariser

    def decoded(self, weights: Weights, outputs: Tensor) -> Tensor:
        """(W, B, D): the normalised values that the decoder reads."""
        read = in_windows(outputs, self.values.windows, self.values.reads == "potential")
        return F.linear(read, weights[WEIGHTS], weights[OFFSET])

    def sums(self, weights: Weights, outputs: Tensor, wanted: Tensor) -> list[float]:
        """[windows, then of every value: sum y, sum y^2, sum e^2], normalised."""
        targets = self.normalised(wanted).double()
        errors = self.decoded(weights, outputs).detach().double() - targets
        of_values = torch.stack([targets.sum((0, 1)), targets.square().sum((0, 1)), errors.square().sum((0, 1))])
        return [float(targets.shape[0] * targets.shape[1]), *of_values.flatten().tolist()]

    def figures(self, sums: Sequence[float]) -> dict[str, float]:
        """{"r2": ..., "rmse": ... in the unit of the values}."""
        if not sums or not sums[0]:
            return {"r2": 0.0, "rmse": 0.0}
        number, (total, squares, errors) = sums[0], np.array(sums[1:]).reshape(3, -1)
        variation = np.maximum(squares - total**2 / number, 1e-12)
        rmse = math.sqrt(float(np.mean(errors / number * self.values.spread**2)))
        return {"r2": float(np.mean(1 - errors / variation)), "rmse": rmse}

    def says(self, figures: Mapping[str, float]) -> str:
        """Such as "R2 0.83"."""
        return f"R2 {figure(figures['r2'])}"


def objective_of(net: SpikingNetwork, values: Values | None) -> Objective:
    """The objective of training ``net``: ``values``, or classes."""
    if values is None:
        return Classes(net)
    return Decoded(net.spec, values, math.prod(net.blocks[-1].out_shape))


def shares(steps: int, windows: int) -> Tensor:
    """(W, T): the share of each of ``steps`` time steps that is in each of the ``windows``; 1 if none is divided."""
    edges = torch.arange(windows + 1, dtype=torch.float64) * steps / windows
    starts = torch.arange(steps, dtype=torch.float64)
    first = torch.maximum(edges[:-1, None], starts)
    last = torch.minimum(edges[1:, None], starts + 1)
    return (last - first).clamp(min=0).float()


def in_windows(outputs: Tensor, windows: int, potentials: bool) -> Tensor:
    """(W, B, K): sums of ``outputs`` (T, B, K) in each window, or up to its end for ``potentials``."""
    share = shares(len(outputs), windows).to(outputs.device)
    sums = torch.einsum("wt,tbk->wbk", share, outputs.float())
    return sums.cumsum(0) if potentials else sums


def _of_steps(share: Tensor, targets: Tensor) -> Tensor:
    """(T, B, D): the target of every time step, from those of windows (W, B, D)."""
    return torch.einsum("wt,wbd->tbd", share, targets)


def split_decoder(weights: Mapping[str, Array], values: Values) -> tuple[dict[str, Array], Decoder]:
    """(weights of the network, decoder in real units) of trained ``weights``."""
    spread, mean = values.spread, values.mean
    read = weights[WEIGHTS].astype(np.float64) * spread[:, None]
    offset = weights[OFFSET].astype(np.float64) * spread + mean
    kept = {name: array for name, array in weights.items() if name not in (WEIGHTS, OFFSET)}
    return kept, Decoder(values.names, read, offset, values.unit, values.reads, values.window_us)
