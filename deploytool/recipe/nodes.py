"""Layers of a recipe as nodes of a graph. Only this file knows the node and the weights of each layer type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.base.errors import InputError, RecipeError
from deploytool.ir.nodes import Add, AvgPool, Conv, Flatten, Linear, Node, Spike, SumPool
from deploytool.ir.shapes import out_shape
from deploytool.recipe import (
    AddLayer,
    BatchNormLayer,
    ConvLayer,
    FlattenLayer,
    LayerSection,
    LinearLayer,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
)
from deploytool.recipe.network import INPUT

NORM_PARTS: Final = ("gamma", "beta", "mean", "variance")
"""The arrays (C,) of a batchnorm layer "bn1", named "bn1.gamma" and so on."""
NORM_EPSILON: Final = 1e-5
"""Added to a variance before the square root (torch's default)."""
WEIGHTS_MAX: Final = 2**60
"""The most weights of a layer: NumPy can count no more than eight times as many."""

START: Final = "v_init"
"""The array (O,) "conv1.v_init", if the weights have one: V of the neurons behind "conv1" before the first event."""


def node_of(layer: LayerSection, weight: Array | None = None, bias: Array | None = None) -> Node:
    """The node that ``layer`` becomes, with ``weight`` and ``bias`` if it has them; Spike() stands for its neurons.

    A batchnorm layer becomes none: it is folded into the weights before it.
    """
    match layer:
        case ConvLayer() if weight is not None:
            return Conv(weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
        case LinearLayer() if weight is not None:
            return Linear(weight, bias)
        case PoolLayer():
            window = (layer.kernel, layer.kernel)
            return SumPool(window, window) if layer.type == "sumpool" else AvgPool(window, window)
        case FlattenLayer():
            return Flatten()
        case SpikeLayer():
            return Spike()
        case AddLayer():
            return Add()
    raise TypeError(f"no weights for {layer!r}")


def blank_nodes(network: NetworkSection) -> tuple[Mapping[str, Node], Mapping[str, Shape]]:
    """({layer: its node, weights 0 and float32}, {layer: shape (C, H, W) it gives}) of every layer, in order.

    Batchnorm layers have a shape and no node. Raises RecipeError when the shapes of the layers do not match.
    """
    nodes: dict[str, Node] = {}
    shapes: dict[str, Shape] = {INPUT: network.input}
    sources = network.sources()
    for name, layer in network.named_layers():
        given = [shapes[source] for source in sources[name]]
        if isinstance(layer, BatchNormLayer):
            shapes[name] = given[0]
            continue
        where = f"network.layers: {name!r}"
        weight: Array | None = None
        if isinstance(layer, ConvLayer):
            if given[0][0] % layer.groups:
                raise RecipeError(
                    where, f"{given[0][0]} input features in {layer.groups} groups", "a multiple of the groups"
                )
            weight = _no_weights(where, layer.out, given[0][0] // layer.groups, *layer.kernel)
        elif isinstance(layer, LinearLayer):
            weight = _no_weights(where, layer.out, given[0][0])
        nodes[name] = node_of(layer, weight)
        try:
            shapes[name] = out_shape(nodes[name], *given, where=where)
        except InputError as error:
            raise RecipeError.together([error]) from None
    del shapes[INPUT]
    return nodes, shapes


def _no_weights(where: str, *shape: int) -> Array:
    """Zeros of ``shape``, read-only, that take no memory. Raises RecipeError for more than `WEIGHTS_MAX`."""
    if (number := math.prod(shape)) > WEIGHTS_MAX:
        raise RecipeError(
            where, f"{number:.3g} weights", f"at most {WEIGHTS_MAX:.3g} in a layer", "Use fewer features."
        )
    return np.broadcast_to(np.float32(0), shape)


def weight_count(network: NetworkSection) -> int:
    """The number of weights of ``network``, without batch norms. Raises RecipeError as ``blank_nodes``."""
    nodes, _ = blank_nodes(network)
    return sum(node.weight.size for node in nodes.values() if isinstance(node, Conv | Linear))


def output_count(network: NetworkSection) -> int:
    """The number of values of the last layer of ``network``. Raises RecipeError as ``blank_nodes``."""
    _, shapes = blank_nodes(network)
    return math.prod(list(shapes.values())[-1])


def without_norms(network: NetworkSection) -> NetworkSection:
    """``network`` without its batchnorm layers; the others keep their names and take the inputs of removed ones."""
    sources, layers = network.sources(), dict(network.named_layers())
    norms = {name for name, layer in layers.items() if isinstance(layer, BatchNormLayer)}

    def behind(name: str) -> str:
        return behind(sources[name][0]) if name in norms else name

    kept = []
    for name, layer in layers.items():
        first, *others = map(behind, sources[name])
        if name not in norms:
            changed = {"other": tuple(others)} if isinstance(layer, AddLayer) else {}
            kept.append(layer.model_copy(update={"name": name, "source": first, **changed}))
    return network.model_copy(update={"layers": tuple(kept)})
