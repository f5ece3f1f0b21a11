"""A trained network with ReLUs as the arrays that a recipe's layers have."""

from __future__ import annotations

import numpy as np

from deploytool.base.arrays import Array, format_shape
from deploytool.base.errors import RecipeError, UnsupportedError
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.recipe import NetworkSection
from deploytool.recipe.nodes import blank_nodes


def ann_weights(graph: Graph, network: NetworkSection) -> dict[str, Array]:
    """The weights of ``graph`` under the layer names of ``network``: {"conv1": weights, "conv1.bias": (O,)}.

    A Spike in ``graph`` represents a ReLU. ``network`` must have no batch norms. A Spike at the end of either one is
    ignored, because it comes after the output values. Raises RecipeError, naming both layers, if the layers differ;
    UnsupportedError if ``graph`` is not a chain.
    """
    if graph.of_type(Input) and graph.shapes[graph.of_type(Input)[0]] != network.input:
        found = f"found {format_shape(network.input)}"
        shape = graph.shapes[graph.of_type(Input)[0]]
        raise RecipeError("network.input", found, f"{format_shape(shape)}, which {graph.name} takes")
    if branching := [name for name in graph.nodes if len(graph.targets(name)) > 1 or len(graph.sources(name)) > 1]:
        raise UnsupportedError(
            f"{graph.name}: node {branching[0]!r}", "a branch", "a chain, where each node feeds the next"
        )
    given = [(name, graph.nodes[name]) for name in graph.order if not isinstance(graph.nodes[name], Input | Output)]
    wanted = list(blank_nodes(network)[0].items())
    for listed in (given, wanted):
        if isinstance(listed[-1][1], Spike):
            listed.pop()
    arrays: dict[str, Array] = {}
    for (name, node), (layer, blank) in zip(given, wanted, strict=False):
        if (found := _says(node)) != _says(blank):
            need = f"{found}, as node {name!r} of {graph.name}"
            raise RecipeError(f"network.layers: {layer!r}", f"is {_says(blank)}", need)
        if isinstance(node, Conv | Linear):
            arrays[layer] = node.weight.astype(np.float32)
            bias = np.zeros(len(node.weight)) if node.bias is None else node.bias
            arrays[f"{layer}.bias"] = bias.astype(np.float32)
    if len(given) != len(wanted):
        found = f"{len(wanted)} layers without batch norms and the last spike layer"
        raise RecipeError("network.layers", found, f"{len(given)}, as {graph.name} has")
    return arrays


def _says(node: Node) -> str:
    """A description of a layer without its weights."""
    match node:
        case Conv():
            options = f"stride {node.stride}, padding {node.padding}, dilation {node.dilation}, groups {node.groups}"
            return f"a Conv {node.weight.shape} with {options}"
        case Linear():
            return f"a Linear {node.weight.shape}"
        case AvgPool() | SumPool():
            return f"a {type(node).__name__} of {node.kernel} with stride {node.stride}"
        case Spike():
            return "a ReLU"
        case Flatten():
            return "a Flatten"
    return f"a {type(node).__name__}"
