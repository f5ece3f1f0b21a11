"""One time step of a T-RevSNN: how maps pass through its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deploytool.recipe import AddLayer, BatchNormLayer, ConvLayer, LinearLayer, PoolLayer, SpikeLayer
from deploytool.train.methods.trev.arrays import standardised
from deploytool.train.network.blocks import Block
from deploytool.train.network.norms import normalise
from deploytool.train.network.spiking import Weights
from deploytool.train.processes import moments

Statistics = dict[str, Tensor]
"""{"bn1.mean": (C,) ...}, measured in one step."""


@dataclass(frozen=True, eq=False)
class Step:
    """Time step ``t`` with its ``weights``.

    Batch norms use the statistics of the batch where they are ``measured``, and add them to ``statistics``; synaptic
    updates are added to ``synops`` (B,), those of one input being ``fan_out`` {layer: (C, H, W)}.
    """

    t: int
    weights: Weights
    measured: bool
    fan_out: Mapping[str, Tensor] = field(default_factory=dict)
    synops: Tensor | None = None
    statistics: Statistics | None = None

    def weight(self, name: str) -> Tensor:
        """The weights of layer ``name``, standardised if they have a gain."""
        gain = self.weights.get(f"{name}.gain")
        return self.weights[name] if gain is None else standardised(self.weights[name], gain)

    def biased(self, name: str, maps: Tensor) -> Tensor:
        """``maps`` (B, C, H, W) with the bias of layer ``name``, if it has one."""
        bias = self.weights.get(f"{name}.bias")
        return maps if bias is None else maps + bias.view(-1, 1, 1)

    def normalised(self, name: str, maps: Tensor) -> Tensor:
        """``maps`` (B, C, H, W) after the batch norm ``name``; unchanged if it has been merged."""
        if f"{name}.gamma" not in self.weights:
            return maps
        gamma, beta = (self.weights[f"{name}.{part}"] for part in ("gamma", "beta"))
        if self.measured:
            variance, mean = moments(maps, dim=(0, 2, 3))
            if self.statistics is not None:
                self.statistics.update({f"{name}.mean": mean.detach(), f"{name}.variance": variance.detach()})
        else:
            mean, variance = (self.weights[f"{name}.{part}"] for part in ("mean", "variance"))
        return normalise(maps, gamma, beta, mean, variance)

    def count(self, inputs: Tensor, name: str) -> None:
        """Adds the synaptic updates of ``inputs`` (B, C, H, W) of layer ``name``: one for each weight they meet."""
        if self.synops is not None:
            self.synops.add_(((inputs != 0) * self.fan_out[name]).flatten(1).sum(1))


class _Heaviside(torch.autograd.Function):
    """1 where x >= theta, else 0; its gradient passes where |x - theta| <= theta."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.theta = theta
        return (x >= theta).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ((x - ctx.theta).abs() <= ctx.theta) / (2 * ctx.theta), None


def fired(potential: Tensor, theta: float) -> Tensor:
    """q(c): 1 where ``potential`` reaches ``theta``, else 0."""
    spikes: Tensor = _Heaviside.apply(potential, theta)  # type: ignore[no-untyped-call]
    return spikes


def passed(blocks: Sequence[Block], flows: dict[str, Tensor], step: Step, theta: float) -> Tensor:
    """The output (B, C, H, W) of the last of ``blocks``, or of ``flows``; spike layers in them are turned off.

    ``flows`` {layer: its output} holds what the blocks take, and gets what they give.
    """
    maps = next(reversed(flows.values()))
    for block in blocks:
        first, *others = (flows[source] for source in block.sources)
        match block.layer:
            case ConvLayer() | LinearLayer():
                given = first.reshape(len(first), *block.in_shape)
                step.count(given, block.name)
                weight = step.weight(block.name)
                maps = step.biased(block.name, block.current(given[None], weight)[0])
            case BatchNormLayer():
                maps = step.normalised(block.name, first)
            case SpikeLayer():
                maps = fired(first, theta)
            case PoolLayer(type=kind, kernel=kernel):
                maps = block.pooled(first[None])[0] / (kernel**2 if kind == "avgpool" else 1)
            case AddLayer():
                scale = step.weights.get(f"{block.name}.scale")
                maps = sum(others, first if scale is None else first * scale.view(-1, 1, 1))
            case _:
                maps = first.reshape(len(first), *block.out_shape)
        flows[block.name] = maps
    return maps
