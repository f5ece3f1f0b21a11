"""Batch norms outside the network: their statistics measured anew, and what they learnt merged into the weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.recipe import BatchNormLayer, NetworkSection
from deploytool.recipe.nodes import NORM_EPSILON
from deploytool.train import processes
from deploytool.train.network.spiking import SpikingNetwork, Weights
from deploytool.train.task import Batches

CALIBRATION_BATCHES: Final = 10
"""The number of training batches that measure the statistics (Du et al., 2025: ten are enough)."""


@torch.no_grad()
def calibrated(net: SpikingNetwork, weights: Weights, training: Batches, generator: torch.Generator) -> Weights:
    """{"bn1.mean": (C,) ...}: the mean of the statistics of ten augmented training batches, at the most time steps.

    After training at mixed time steps, or of a mean of weights, the running statistics are those of no network.
    """
    means: dict[str, Tensor] = {}
    batches = islice(training(net.spec.longest, net.spec.batch, generator), CALIBRATION_BATCHES)
    for number, (frames, labels) in enumerate(batches, start=1):
        own, _ = processes.own_part(frames, labels)
        measured = net.run(weights, own.to(net.device), measure=True).statistics
        means = {name: value.lerp(means.get(name, value), 1 - 1 / number) for name, value in measured.items()}
    return means


def merged(weights: Mapping[str, Array], network: NetworkSection) -> dict[str, Array]:
    """Weights of ``network`` without its batch norms, w gamma / sqrt(variance + eps) each, and no bias.

    Bias removal of MTT (Du et al., 2025): before it is merged, the batch norm's running mean and beta are set to 0.
    Their effect is lost, and the training that follows makes up for it.
    """
    norms = {name for name, layer in network.named_layers() if isinstance(layer, BatchNormLayer)}
    found = {name: array for name, array in weights.items() if name.partition(".")[0] not in norms}
    sources = network.sources()
    for norm in norms:
        gamma, variance = (weights[f"{norm}.{part}"].astype(np.float64) for part in ("gamma", "variance"))
        before = found[sources[norm][0]]
        factor = (gamma / np.sqrt(variance + NORM_EPSILON)).reshape(-1, *[1] * (before.ndim - 1))
        found[sources[norm][0]] = (before * factor).astype(np.float32)
    return found
