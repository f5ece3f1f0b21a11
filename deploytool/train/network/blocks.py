"""The layers of a recipe's network, each with the layers that it takes, and which of them can be computed together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.arrays import Shape
from deploytool.ir.nodes import Conv, Linear
from deploytool.recipe import (
    BatchNormLayer,
    ConvLayer,
    LayerSection,
    LinearLayer,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
)
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import blank_nodes
from deploytool.train.network.pooling import sum_pool


@dataclass(frozen=True)
class Block:
    """One layer named ``name``, the layers ``sources`` it takes, and the shapes (C, H, W) of their maps and its own.

    ``spikes`` names the neurons that the weights of this layer drive, if it has weights that drive neurons.
    ``normalised``: a batchnorm layer follows. ``weight_shape`` is empty where there are no weights.
    """

    name: str
    layer: LayerSection
    sources: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape
    weight_shape: tuple[int, ...] = ()
    spikes: str | None = None
    normalised: bool = False

    def pooled(self, spikes: Tensor) -> Tensor:
        """Sums of ``spikes`` (T, B, C, H, W) over the whole windows of a pooling layer."""
        assert isinstance(self.layer, PoolLayer)
        summed = sum_pool(spikes.flatten(0, 1), self.layer.kernel)
        return summed.reshape(*spikes.shape[:2], *self.out_shape)

    def current(self, spikes: Tensor, weights: Tensor) -> Tensor:
        """The output (T, B, O, H, W) of ``weights`` for their input ``spikes`` (T, B, *in_shape)."""
        if isinstance(self.layer, ConvLayer):
            summed = convolved(spikes.flatten(0, 1), weights, self.layer)
        else:
            summed = F.linear(spikes.flatten(2), weights)
        return summed.reshape(*spikes.shape[:2], *self.out_shape)

    def fan_out(self) -> Tensor:
        """(C, H, W): synaptic updates that one input event causes at each place."""
        places = torch.zeros(1, 1, *self.in_shape, requires_grad=True)
        (updates,) = torch.autograd.grad(self.current(places, torch.ones(self.weight_shape)).sum(), places)
        return updates[0, 0]


def convolved(maps: Tensor, weights: Tensor, layer: ConvLayer) -> Tensor:
    """The output (N, O, H, W) of ``layer`` with ``weights`` for ``maps`` (N, C, H, W).

    A kernel of 1 with a stride takes only the places it sees, and no stride then: for the gradient of such weights
    oneDNN writes beyond its memory where channels come last and are fewer than 8, or 16 with AVX-512
    (https://github.com/uxlfoundation/oneDNN/issues/6035).
    """
    stride = layer.stride
    if weights.shape[2:] == (1, 1) and layer.padding == (0, 0):
        maps, stride = maps[:, :, :: stride[0], :: stride[1]], (1, 1)
    return F.conv2d(maps, weights, None, stride, layer.padding, layer.dilation, layer.groups)


def blocks_of(network: NetworkSection) -> tuple[Block, ...]:
    """The blocks of ``network``, in order. Raises RecipeError for a layer that cannot take the shape it gets."""
    nodes, shapes = blank_nodes(network)
    layers, sources = dict(network.named_layers()), network.sources()
    shapes = {INPUT: network.input, **shapes}
    drives = {_driver(name, layers, sources): name for name, layer in layers.items() if isinstance(layer, SpikeLayer)}
    normalised = {sources[name][0] for name, layer in layers.items() if isinstance(layer, BatchNormLayer)}
    blocks = []
    for name, layer in layers.items():
        node = nodes.get(name)
        weight_shape = node.weight.shape if isinstance(node, Conv | Linear) else ()
        blocks.append(
            Block(
                name,
                layer,
                sources[name],
                shapes[sources[name][0]],
                shapes[name],
                weight_shape,
                drives.get(name),
                name in normalised,
            )
        )
    return tuple(blocks)


def pooling_kernels(blocks: Sequence[Block]) -> dict[str, int]:
    """{spike layer: kernel of the pooling layer after it} of the spikes that no other layer sees."""
    only = only_readers(blocks)
    return {
        block.name: reader.layer.kernel
        for block in blocks
        if isinstance(block.layer, SpikeLayer)
        and (reader := only.get(block.name)) is not None
        and isinstance(reader.layer, PoolLayer)
    }


def only_readers(blocks: Sequence[Block]) -> dict[str, Block]:
    """{layer: the only one that takes its output}."""
    readers: dict[str, list[Block]] = {}
    for block in blocks:
        for source in block.sources:
            readers.setdefault(source, []).append(block)
    return {name: others[0] for name, others in readers.items() if len(others) == 1}


def _driver(name: str, layers: Mapping[str, LayerSection], sources: Mapping[str, tuple[str, ...]]) -> str:
    """The layer with weights before the spike layer ``name``; if several are added, the first of them."""
    waiting = list(sources[name])
    while waiting:
        name = waiting.pop(0)
        if name != INPUT and isinstance(layers[name], ConvLayer | LinearLayer):
            return name
        if name != INPUT and not isinstance(layers[name], SpikeLayer):
            waiting = [*sources[name], *waiting]
    raise ValueError(f"no weights before {name!r}")
