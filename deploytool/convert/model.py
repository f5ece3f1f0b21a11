"""From trained weights to a Graph, by the chip's own rule of quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from deploytool.chip import CHIPS
from deploytool.convert.folding import input_to_output, require_finite
from deploytool.errors import ArtifactError, DeployError, InputError, RecipeError
from deploytool.fixedpoint import IntegerFormat, dequantise, quantise
from deploytool.graph import Array, AvgPool, Conv, Flatten, Graph, Linear, Node, Spike, SumPool, out_shape
from deploytool.recipe import (
    ConstraintsSection,
    ConvLayer,
    FlattenLayer,
    LayerSection,
    LinearLayer,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
)  # fmt: skip


def to_graph(
    weights: Mapping[str, Array], network: NetworkSection, constraints: ConstraintsSection, dt_ms: float | None = None
) -> Graph:
    """The Graph that a model trained to ``weights`` {layer name: latent weights} computes with.

    Conv weights are (O, I, K, K), linear ones (O, I). Weights, and threshold and floor of the spike layer that
    follows them, are quantised together and taken back to real numbers (fixedpoint.quantise, dequantise), so that
    quantising this graph again gives exactly the integers that training saw. Weights come back in float32.

    Raises ArtifactError for weights that are missing, not asked for, ill-shaped or not finite; RecipeError for a
    network whose shapes do not match, or an unknown chip.
    """
    integers = _integers(constraints)
    _check_weights(weights, blank_weights(network))
    nodes: list[tuple[str, Node]] = []
    spike: Spike
    for name, layer in network.named_layers():
        if isinstance(layer, ConvLayer | LinearLayer):
            latent = np.asarray(weights[name], np.float32)
            quantised = quantise(latent, None, constraints.threshold, constraints.floor, integers)
            effective, threshold, floor = dequantise(quantised)
            spike = Spike(threshold, floor, constraints.reset)
            nodes.append((name, _node(layer, effective)))
        else:
            nodes.append((name, spike if isinstance(layer, SpikeLayer) else _node(layer)))
    return input_to_output(network.input, nodes, "network", dt_ms)


def blank_weights(network: NetworkSection) -> dict[str, Array]:
    """Weights of nothing but zeros {layer name: float32 array}, in the shapes that ``network`` needs.

    With them ``to_graph`` gives a graph for questions of geometry and memory before anything is trained.
    Raises RecipeError when the shapes of the layers do not match.
    """
    shape = network.input
    blank: dict[str, Array] = {}
    for name, layer in network.named_layers():
        match layer:
            case ConvLayer():
                blank[name] = np.zeros((layer.out, shape[0], layer.kernel, layer.kernel), np.float32)
            case LinearLayer():
                blank[name] = np.zeros((layer.out, shape[0]), np.float32)
        try:
            node = Spike() if isinstance(layer, SpikeLayer) else _node(layer, blank.get(name))
            shape = out_shape(node, shape, where=f"network.layers: {name}")
        except InputError as error:
            raise RecipeError.together([error]) from None
    return blank


def _node(layer: LayerSection, weight: Array | None = None) -> Node:
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
    raise TypeError(f"no node for {layer!r}")


def _integers(constraints: ConstraintsSection) -> IntegerFormat:
    if constraints.chip not in CHIPS:
        raise RecipeError("constraints.chip", f"found {constraints.chip!r}", f"one of {', '.join(CHIPS)}")
    return replace(CHIPS[constraints.chip].integers, weight_bits=constraints.weight_bits)


def _check_weights(weights: Mapping[str, Array], blank: Mapping[str, Array]) -> None:
    problems: list[DeployError] = []
    for name in sorted(weights.keys() | blank.keys()):
        where = f"weights of layer {name!r}"
        if name not in weights:
            problems.append(ArtifactError(where, "missing", f"an array of shape {blank[name].shape}"))
        elif name not in blank:
            problems.append(ArtifactError(where, "the network has no such layer", f"only {', '.join(blank)}"))
        elif weights[name].shape != blank[name].shape:
            problems.append(ArtifactError(where, f"shape {weights[name].shape}", f"shape {blank[name].shape}"))
        else:
            try:
                require_finite(where, "the array", weights[name])
            except InputError as error:
                problems.append(error)
    if problems:
        raise ArtifactError.together(problems)
