"""A network and samples small enough to train in a moment: on which side of the map are the events?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deploytool.ir.events import EVENT, EventStream
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.outside import Streams

NETWORK = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "sumpool", "kernel": 2},
            {"type": "flatten"},
            {"type": "linear", "out": 2},
            {"type": "spike"},
        ],
    }
)
STAGES = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
            {"type": "spike", "name": "on1"},
            {"type": "avgpool", "kernel": 2},
            {"type": "conv", "out": 6, "kernel": 3, "padding": 1},
            {"type": "spike", "name": "on2"},
            {"type": "conv", "out": 6, "kernel": 3, "padding": 1, "stride": 2},
            {"type": "spike", "name": "on3"},
            {"type": "flatten"},
            {"type": "linear", "out": 2},
        ],
    }
)
"""A network of three stages, for T-RevSNN."""
CONSTRAINTS = ConstraintsSection()


def spec(**keys: Any) -> TrainSection:
    return TrainSection(**{"time_steps": 4, "epochs": 4, "batch": 8, "learning_rate": 0.005, **keys})


class Sides:
    """``count`` samples with most events on the left (0) or on the right (1); an implementation of Batches."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(count) % 2
        rates = torch.full((count, 2, 6, 6), 0.05)
        rates[self.labels == 0, :, :, :3] = 0.3
        rates[self.labels == 1, :, :, 3:] = 0.3
        self.counts = torch.poisson(rates.expand(12, -1, -1, -1, -1), generator=generator)

    def __len__(self) -> int:
        return len(self.labels)

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        frames = self.counts.unflatten(0, (time_steps, -1)).sum(1)
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        for chosen in order.split(batch):
            yield frames[:, chosen], self.labels[chosen]


class Still(Sides):
    """The same samples as images, given at every time step."""

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for frames, labels in super().__call__(1, batch, generator):
            image = frames[0] / 8
            yield image.expand(time_steps, *image.shape), labels


def as_streams(samples: Sides) -> list[EventStream]:
    """``samples`` as events, 10 us for each of their 12 frames."""
    streams = []
    for sample in range(len(samples)):
        t, c, y, x = (axis.numpy() for axis in samples.counts[:, sample].nonzero(as_tuple=True))
        events = np.zeros(len(t), EVENT)
        events["t"], events["c"], events["y"], events["x"] = 10 * t, c, y, x
        streams.append(EventStream(events, (2, 6, 6), 120, int(samples.labels[sample])))
    return streams


def in_batches(samples: Sides) -> Streams:
    """``samples`` as events, batch by batch, always in the same order."""
    streams = as_streams(samples)
    return lambda batch, _: [streams[start : start + batch] for start in range(0, len(streams), batch)]
