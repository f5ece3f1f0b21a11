"""From the layers of a recipe to nodes of a graph: the one place that knows which node and which weights a layer is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deploytool.errors import InputError, RecipeError
from deploytool.events import Shape
from deploytool.graph import Array, AvgPool, Conv, Flatten, Linear, Node, Spike, SumPool, out_shape
from deploytool.recipe import ConvLayer, FlattenLayer, LayerSection, LinearLayer, NetworkSection, PoolLayer, SpikeLayer


def node_of(layer: LayerSection, weight: Array | None = None) -> Node:
    """The node that ``layer`` becomes, with ``weight`` where it has weights; Spike() stands for its neurons."""
    match layer:
        case ConvLayer() if weight is not None:
            return Conv(weight, None, (layer.stride, layer.stride), (layer.padding, layer.padding))
        case LinearLayer() if weight is not None:
            return Linear(weight)
        case PoolLayer():
            window = (layer.kernel, layer.kernel)
            return SumPool(window, window) if layer.type == "sumpool" else AvgPool(window, window)
        case FlattenLayer():
            return Flatten()
        case SpikeLayer():
            return Spike()
    raise TypeError(f"no weights for {layer!r}")


def blank_nodes(network: NetworkSection) -> tuple[Mapping[str, Node], Mapping[str, Shape]]:
    """({layer: its node, weights 0 and float32}, {layer: shape (C, H, W) it gives}) of every layer, in order.

    Raises RecipeError when the shapes of the layers do not match.
    """
    shape = network.input
    nodes: dict[str, Node] = {}
    shapes: dict[str, Shape] = {}
    for name, layer in network.named_layers():
        weight: Array | None = None
        if isinstance(layer, ConvLayer):
            weight = np.zeros((layer.out, shape[0], layer.kernel, layer.kernel), np.float32)
        elif isinstance(layer, LinearLayer):
            weight = np.zeros((layer.out, shape[0]), np.float32)
        nodes[name] = node_of(layer, weight)
        try:
            shape = shapes[name] = out_shape(nodes[name], shape, where=f"network.layers: {name!r}")
        except InputError as error:
            raise RecipeError.together([error]) from None
    return nodes, shapes
