"""What PTL trains a network for: the loss, and the figures of an epoch. Potentials are those of the last layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.numbers import figure
from deploytool.ir.events import EventStream, count
from deploytool.recipe import TrainSection
from deploytool.train.loop.losses import picture_loss
from deploytool.train.loop.speech import separation_loss
from deploytool.train.methods.ptl.spiking import given_by
from deploytool.train.network import speech
from deploytool.train.network.spiking import Weights
from deploytool.train.task import Masks, Task

Inputs: TypeAlias = Tensor | list[EventStream]
"""Frames (T, B, C, H, W), or the events themselves."""


class Goal(Protocol):
    """What is in front of a network and behind it. It may learn arrays of its own, which are among the weights."""

    @property
    def behind(self) -> tuple[str, ...]:
        """The arrays behind the network, which learn in every stage; those in front of it learn in stage 0 only."""
        ...

    @property
    def compared(self) -> bool:
        """Whether the network with ReLUs, and its plain conversion, are kept to compare the result with."""
        ...

    def start(self, generator: torch.Generator, /) -> dict[str, Tensor]:
        """{name: array} of what it learns besides the weights of the network."""
        ...

    def given(self, weights: Weights, inputs: Inputs, /) -> Tensor:
        """(B, C, H, W): what the network gets of a whole sample, counts or activations."""
        ...

    def frames(self, weights: Weights, inputs: Tensor, /) -> Tensor:
        """(T, B, C, H, W): the same in the time steps of the spiking network."""
        ...

    def loss(self, weights: Weights, potentials: Tensor, inputs: Inputs, wanted: Tensor, /) -> Tensor:
        """The loss of ``potentials`` (B, K), for what is ``wanted`` of ``inputs``."""
        ...

    def scored(self, potentials: Tensor, wanted: Tensor, loss: Tensor, /) -> float:
        """What `figures` needs of a batch, to be added up over batches."""
        ...

    def figures(self, scored: float, samples: float, /) -> dict[str, float]:
        """{name: figure} of all ``samples`` whose `scored` are added up."""
        ...

    def says(self, figures: Mapping[str, float], /) -> str:
        """The ``figures`` in a few words, or nothing."""
        ...


class _OfCounts:
    """A network that gets the counts of samples as they are, and nothing is learnt besides it."""

    behind: Final = ()
    compared: Final = False

    def __init__(self, spec: TrainSection) -> None:
        self.spec = spec

    def start(self, _generator: torch.Generator) -> dict[str, Tensor]:
        return {}

    def given(self, _weights: Weights, inputs: Inputs) -> Tensor:
        return given_by(inputs, self.spec) if isinstance(inputs, Tensor) else counted(inputs)

    def frames(self, _weights: Weights, inputs: Tensor) -> Tensor:
        return inputs


class Classes(_OfCounts):
    """The class is the output with the largest potential. Its figure is the accuracy in %."""

    def loss(self, _weights: Weights, potentials: Tensor, _inputs: Inputs, wanted: Tensor) -> Tensor:
        return F.cross_entropy(potentials, wanted)

    def scored(self, potentials: Tensor, wanted: Tensor, _loss: Tensor) -> float:
        return float((potentials.detach().argmax(1) == wanted).sum())

    def figures(self, scored: float, samples: float) -> dict[str, float]:
        return {"accuracy": 100 * scored / samples}

    def says(self, figures: Mapping[str, float]) -> str:
        return f"{figure(figures['accuracy'])} % correct"


class Pictures(_OfCounts):
    """The sigmoid of the potentials restores the picture, whose white pixels have ``white`` counts."""

    def __init__(self, spec: TrainSection, white: int) -> None:
        super().__init__(spec)
        self.white = white

    def loss(self, weights: Weights, potentials: Tensor, inputs: Inputs, _wanted: Tensor) -> Tensor:
        return picture_loss(potentials, self.given(weights, inputs).flatten(1) / self.white)

    def scored(self, _potentials: Tensor, _wanted: Tensor, _loss: Tensor) -> float:
        return 0.0

    def figures(self, _scored: float, _samples: float) -> dict[str, float]:
        return {}

    def says(self, _figures: Mapping[str, float]) -> str:
        return ""


class Voices:
    """The potentials are masks, which separate the voices of mixtures (1, B, 1, 1, N). Its figure is SI-SDR in dB.

    The network gets the normalised code as one analog current in the first of ``steps``; its neurons spread it over the
    others. Encoder and decoder have no spikes. See `deploytool.train.network.speech`.
    """

    behind: Final = (speech.DECODER,)
    compared: Final = True

    def __init__(self, masks: Masks, steps: int) -> None:
        self.masks, self.steps = masks, steps

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        return speech.initial(self.masks.filters, self.masks.length, generator)

    def given(self, weights: Weights, inputs: Inputs) -> Tensor:
        return speech.normalised(weights, speech.encoded(weights, _waves(inputs)))

    def frames(self, weights: Weights, inputs: Tensor) -> Tensor:
        code = self.given(weights, inputs)
        return torch.cat([code[None], code.new_zeros(self.steps - 1, *code.shape)])

    def estimates(self, weights: Weights, potentials: Tensor, inputs: Inputs) -> Tensor:
        """(B, K, N): the separated voices."""
        return speech.decoded(weights, speech.encoded(weights, _waves(inputs)), potentials)

    def loss(self, weights: Weights, potentials: Tensor, inputs: Inputs, wanted: Tensor) -> Tensor:
        return separation_loss(self.estimates(weights, potentials, inputs), wanted)

    def scored(self, _potentials: Tensor, wanted: Tensor, loss: Tensor) -> float:
        return -float(loss.detach()) * len(wanted)

    def figures(self, scored: float, samples: float) -> dict[str, float]:
        return {"si_sdr": scored / samples}

    def says(self, figures: Mapping[str, float]) -> str:
        return f"SI-SDR {figure(figures['si_sdr'])} dB"


def _waves(inputs: Inputs) -> Tensor:
    """(B, N): mixtures."""
    assert isinstance(inputs, Tensor)
    return inputs[0, :, 0, 0]


def goal_of(task: Task) -> Goal:
    """The goal of ``task``."""
    if task.masks is not None:
        return Voices(task.masks, task.spec.time_steps)
    if task.spec.loss == "ce":
        return Classes(task.spec)
    white = task.outside.white
    assert white is not None
    return Pictures(task.spec, white)


def counted(streams: list[EventStream]) -> Tensor:
    """(B, C, H, W) float32: events of whole samples."""
    counts = np.stack([count(stream.events, stream.shape) for stream in streams])
    return torch.from_numpy(counts.astype(np.float32))


class Sums:
    """Sums over batches: the mean loss and the figures of a ``goal``."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.loss = self.scored = self.total = 0.0

    def add(self, potentials: Tensor, wanted: Tensor, loss: Tensor) -> None:
        """Adds one batch, whose mean loss is ``loss``."""
        self.loss += float(loss.detach()) * len(wanted)
        self.scored += self.goal.scored(potentials, wanted, loss)
        self.total += len(wanted)

    @property
    def figures(self) -> dict[str, float]:
        """The figures of all batches so far."""
        return self.goal.figures(self.scored, self.total)

    def entry(self, prefix: str) -> dict[str, float]:
        """{"loss": mean, and each figure}, with ``prefix`` before each name."""
        return {f"{prefix}{name}": value for name, value in {"loss": self.loss / self.total, **self.figures}.items()}

    @property
    def says(self) -> str:
        """The loss and the figures in words."""
        return f"loss {self.loss / self.total:.3g}  {self.goal.says(self.figures)}".rstrip()
