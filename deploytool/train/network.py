"""The network of a recipe, clock-driven, in the chip's integers; weights are given to it, state is kept nowhere."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.events import Shape
from deploytool.graph import Conv, Linear
from deploytool.layers import blank_nodes
from deploytool.recipe import ConstraintsSection, NetworkSection, PoolLayer, TrainSection
from deploytool.train.mtt import resample
from deploytool.train.neurons import Neuron, fire
from deploytool.train.quantiser import IntegerLayer, fake_quantise, integer_format

Weights: TypeAlias = Mapping[str, Tensor]
"""Latent float32 weights {layer: (O, I, KH, KW) or (O, I)}."""


@dataclass(frozen=True)
class Block:
    """Neurons named ``spikes``, the weights named ``name`` that drive them, and the pooling before those.

    Average pooling is taken as a sum, and its k * k as a factor ``divisor`` on threshold and floor, which is the same
    and keeps integers. ``in_shape`` is that of the weights' input, after pooling and flattening.
    """

    name: str
    spikes: str
    pools: tuple[int, ...]
    divisor: int
    weight_shape: tuple[int, ...]
    stride: int
    padding: int
    in_shape: Shape
    out_shape: Shape

    def pooled(self, spikes: Tensor) -> Tensor:
        """The input (T, B, C, H, W) of the weights: sums over windows, cut to whole ones."""
        maps = spikes.flatten(0, 1)
        for kernel in self.pools:
            maps = F.avg_pool2d(maps, kernel, divisor_override=1)
        return maps.reshape(*spikes.shape[:2], *self.in_shape)

    def current(self, spikes: Tensor, weights: Tensor) -> Tensor:
        """What ``weights`` make (T, B, O, H, W) of their input ``spikes`` (T, B, *in_shape)."""
        if len(self.weight_shape) == 2:
            summed = F.linear(spikes.flatten(2), weights)
        else:
            summed = F.conv2d(spikes.flatten(0, 1), weights, stride=self.stride, padding=self.padding)
        return summed.reshape(*spikes.shape[:2], *self.out_shape)

    def fan_out(self) -> Tensor:
        """(C, H, W): synaptic updates that one input event causes at each place."""
        places = torch.zeros(1, 1, *self.in_shape, requires_grad=True)
        (updates,) = torch.autograd.grad(self.current(places, torch.ones(self.weight_shape)).sum(), places)
        return updates[0, 0]


@dataclass(frozen=True, eq=False)
class Activity:
    """Spikes of one run: ``spikes`` {weight layer: (T, B, C, H, W)}; ``synops`` (B,) is float64 synaptic updates."""

    spikes: dict[str, Tensor]
    synops: Tensor

    @property
    def output(self) -> Tensor:
        """Spikes (T, B, K) of the last layer."""
        return list(self.spikes.values())[-1].flatten(2)


class SpikingNetwork:
    """The network that ``network`` describes, under ``constraints``, with the neurons of ``spec``.

    Raises RecipeError when a layer cannot take the shape it gets, or the chip is unknown.
    """

    def __init__(self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> None:
        self.blocks = blocks_of(network)
        self.constraints = constraints
        self.spec = spec
        self.integers = integer_format(constraints)
        self._fan_out = {block.name: block.fan_out() for block in self.blocks}

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights uniform in +-gain / sqrt(fan-in), torch's default times the recipe's ``gain``."""
        weights = {}
        for block in self.blocks:
            bound = self.spec.gain / math.sqrt(math.prod(block.weight_shape[1:]))
            weights[block.name] = torch.empty(block.weight_shape).uniform_(-bound, bound, generator=generator)
        return weights

    def quantised(self, block: Block, weights: Weights) -> IntegerLayer:
        """The layer of ``block`` in the chip's integers."""
        return fake_quantise(weights[block.name], self.constraints.threshold, self.constraints.floor, self.integers)

    def run(self, weights: Weights, frames: Tensor, steps: Sequence[int] | None = None) -> Activity:
        """Activity for event counts ``frames`` (T, B, C, H, W), all neurons starting at 0.

        ``steps`` are the time steps of each layer, as drawn by a training method; without it all run at T.
        In memory features come last, which is the faster order for convolutions of few features.
        """
        frames = frames.movedim(2, -1).contiguous().movedim(-1, 2)
        spikes = {}
        synops = torch.zeros(frames.shape[1], dtype=torch.float64)
        for block, t in zip(self.blocks, steps or (len(frames),) * len(self.blocks), strict=True):
            frames = block.pooled(resample(frames, t))
            synops = synops + (frames.sum(0) * self._fan_out[block.name]).flatten(1).sum(1, dtype=torch.float64)
            layer = self.quantised(block, weights)
            neuron = Neuron(
                layer.threshold * block.divisor, layer.floor * block.divisor, self.constraints.reset,
                self.spec.spikes_per_step, self.spec.surrogate,
            )  # fmt: skip
            current = block.current(frames, layer.weights).movedim(2, -1)
            frames = spikes[block.name] = fire(current, neuron).movedim(-1, 2)
        return Activity(spikes, synops)


def blocks_of(network: NetworkSection) -> tuple[Block, ...]:
    """The blocks of ``network``, in order. Raises RecipeError for a layer that cannot take the shape it gets."""
    nodes, shapes = blank_nodes(network)
    blocks: list[Block] = []
    pools: list[PoolLayer] = []
    shape: Shape = network.input
    for (name, layer), (following, _) in itertools.pairwise(network.named_layers()):
        match layer, nodes[name]:
            case PoolLayer(), _:
                pools.append(layer)
            case _, Conv() | Linear() as node:
                stride, padding = (node.stride[0], node.padding[0]) if isinstance(node, Conv) else (1, 0)
                blocks.append(Block(
                    name, following, tuple(pool.kernel for pool in pools),
                    math.prod(pool.kernel**2 for pool in pools if pool.type == "avgpool"),
                    node.weight.shape, stride, padding, in_shape=shape, out_shape=shapes[name],
                ))  # fmt: skip
                pools = []
        shape = shapes[name]
    return tuple(blocks)
