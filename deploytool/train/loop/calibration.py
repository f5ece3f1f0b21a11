"""Batch norm statistics, measured for weights that have no matching running statistics."""

from __future__ import annotations

from itertools import islice
from typing import Final

import torch
from torch import Tensor

from deploytool.train import processes
from deploytool.train.network.spiking import SpikingNetwork, Weights
from deploytool.train.task import Batches

CALIBRATION_BATCHES: Final = 10
"""The number of training batches that measure the statistics (Du et al., 2025: ten are enough)."""


@torch.no_grad()
def calibrated(net: SpikingNetwork, weights: Weights, training: Batches, generator: torch.Generator) -> Weights:
    """{"bn1.mean": (C,) ...}: the mean of the statistics of ten augmented training batches, at the most time steps.

    After training at mixed time steps, and for averaged weights, the running statistics match no single network.
    """
    means: dict[str, Tensor] = {}
    batches = islice(training(net.spec.longest, net.spec.batch, generator), CALIBRATION_BATCHES)
    for number, (frames, labels) in enumerate(batches, start=1):
        own, _ = processes.own_part(frames, labels)
        measured = net.run(weights, own.to(net.device), measure=True).statistics
        means = {name: value.lerp(means.get(name, value), 1 - 1 / number) for name, value in measured.items()}
    return means
