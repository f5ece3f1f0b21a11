"""From trained weights to a Graph, by the chip's own rule of quantisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from deploytool.base.arrays import Array, Shape, require_finite
from deploytool.base.errors import ArtifactError, DeployError, FitError, InputError, UnsupportedError
from deploytool.chip.integers import dequantise, exact_scale, integer_start, quantise
from deploytool.convert.folding import BatchNorm, fold_batch_norm
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Conv, Input, Linear, Node, Output, Spike
from deploytool.ir.spec.fan_in import over_fan_in
from deploytool.recipe import (
    BatchNormLayer,
    ConstraintsSection,
    ConvLayer,
    LinearLayer,
    NetworkSection,
    SpikeLayer,
)
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import NORM_EPSILON, NORM_PARTS, START, blank_nodes, node_of

OUTPUT: Final = "output"


def to_graph(
    weights: Mapping[str, Array], network: NetworkSection, constraints: ConstraintsSection, dt_ms: float | None = None
) -> Graph:
    """The Graph that a model trained to ``weights`` {layer name: latent weights} computes with.

    Conv weights are (O, I / groups, K, K), linear ones (O, I), those of a batch norm "bn1" {"bn1.gamma", "bn1.beta",
    "bn1.mean", "bn1.variance": (C,)}; the batch norm is folded into the weights before it. The optional "conv1.v_init"
    (O,) is the initial V of each feature's neurons, in the unit of the threshold. If a single layer drives the neurons,
    its weights and the threshold, floor and initial V of the neurons are quantised together and converted back to real
    numbers (`chip.integers`), so that quantising this graph again gives exactly the integers that training used.
    If several layers are added before the neurons, threshold and floor stay unchanged. Weights are returned in float32.
    The graph states their width, constraints.weight_bits, unless they stayed real numbers.

    Raises ArtifactError for weights that are missing, unexpected, wrongly shaped or not finite; RecipeError for a
    network whose shapes do not match; FitError for neurons with more inputs than ``constraints``
    allow; UnsupportedError for neurons that leak per time step.
    """
    if constraints.decay != 1:
        raise UnsupportedError(
            "constraints.decay",
            f"found {constraints.decay}, a leak per time step",
            "1: events have no time steps",
            "Train with decay = 1.",
        )
    integers = constraints.integers
    plain = _neurons(constraints)

    def effective(latent: Array, start: float | Array, alone: bool) -> tuple[Array, Spike]:
        if integers is None:
            return latent, replace(plain, v_init=start)
        quantised = quantise(latent, None, constraints.threshold, constraints.floor, integers)
        if not alone:
            return quantised.weights.astype(np.float32) / np.float32(quantised.scale), plain
        array, threshold, floor = dequantise(quantised)
        exact = integer_start(start, quantised.scale, integers) / exact_scale(quantised.scale)
        return array, Spike(threshold, floor, constraints.reset, v_init=exact)

    graph = _graph(weights, network, effective, plain, dt_ms)
    weighted = {name: node.weight for name, node in graph.nodes.items() if isinstance(node, Conv | Linear)}
    if found := over_fan_in(weighted, constraints.fan_in):
        raise FitError.together(violation.error(FitError) for violation in found)
    return graph if integers is None else replace(graph, weight_bits=integers.weight_bits)


def with_weights(
    weights: Mapping[str, Array], network: NetworkSection, constraints: ConstraintsSection, dt_ms: float | None = None
) -> Graph:
    """The Graph of ``network`` with unquantised ``weights`` {layer name: weights}.

    All neurons have the threshold, floor and reset of ``constraints``. Raises ArtifactError and RecipeError as
    `to_graph` does.
    """
    spike = _neurons(constraints)
    return _graph(weights, network, lambda latent, *_: (latent, spike), spike, dt_ms)


def _graph(
    weights: Mapping[str, Array],
    network: NetworkSection,
    effective: Callable[[Array, float | Array, bool], tuple[Array, Spike]],
    plain: Spike,
    dt_ms: float | None,
) -> Graph:
    """The Graph of ``network``.

    ``effective(latent weights, initial V, whether they alone drive their neurons)`` returns the weights and the neurons
    after them. All other neurons are ``plain``.
    """
    _check_weights(weights, blank_weights(network))
    _, shapes = blank_nodes(network)
    weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    layers, sources, normalised = dict(network.named_layers()), network.sources(), normalised_layers(network)
    drivers = {sources[name][0] for name, layer in layers.items() if isinstance(layer, SpikeLayer)}
    nodes: dict[str, Node] = {INPUT: Input(network.input)}
    neurons: dict[str, Spike] = {}
    stands_for = {INPUT: INPUT}
    edges = []
    for name, layer in layers.items():
        given = [stands_for[source] for source in sources[name]]
        stands_for[name] = name
        if isinstance(layer, BatchNormLayer):
            stands_for[name] = given[0]
            weighted = nodes[given[0]]
            assert isinstance(weighted, Conv | Linear)
            nodes[given[0]] = fold_batch_norm(weighted, _norm(weights, name), f"layer {name!r}")
            continue
        if isinstance(layer, ConvLayer | LinearLayer):
            if name in normalised:
                nodes[name] = node_of(layer, weights[name])
            else:
                start = _start(weights, name, shapes[name], name in drivers)
                array, neurons[name] = effective(weights[name], start, name in drivers)
                nodes[name] = node_of(layer, array)
        else:
            nodes[name] = neurons.get(sources[name][0], plain) if isinstance(layer, SpikeLayer) else node_of(layer)
        edges += [(source, name) for source in given]
    nodes[OUTPUT] = Output()
    edges.append((stands_for[name], OUTPUT))
    return Graph(nodes, tuple(edges), dt_ms, "network")


def _neurons(constraints: ConstraintsSection) -> Spike:
    floor = None if constraints.floor == -math.inf else constraints.floor
    return Spike(constraints.threshold, floor, constraints.reset)


def _start(weights: Mapping[str, Array], name: str, shape: Shape, alone: bool) -> float | Array:
    """The initial V of the neurons after layer ``name``, on their map of ``shape``."""
    key = f"{name}.{START}"
    if key not in weights:
        return 0.0
    if not alone:
        raise UnsupportedError(f"layer {name!r}", "has v_init but no neurons", "a spike layer after it")
    return np.broadcast_to(weights[key].reshape(-1, 1, 1), shape)


def normalised_layers(network: NetworkSection) -> set[str]:
    """The layers of ``network`` that are followed by a batch norm layer."""
    sources = network.sources()
    return {sources[name][0] for name, layer in network.named_layers() if isinstance(layer, BatchNormLayer)}


def _norm(weights: Mapping[str, Array], name: str) -> BatchNorm:
    gamma, beta, mean, variance = (weights[f"{name}.{part}"] for part in NORM_PARTS)
    return BatchNorm(gamma, beta, mean, variance, NORM_EPSILON)


def blank_weights(network: NetworkSection) -> dict[str, Array]:
    """Zero weights {layer name: float32 array}, in the shapes that ``network`` needs.

    The batch norms in it have no effect. ``to_graph`` makes a graph of these weights, to check geometry and memory
    before training. Raises RecipeError if the shapes of the layers do not match.
    """
    nodes, shapes = blank_nodes(network)
    blank: dict[str, Array] = {}
    for name, layer in network.named_layers():
        if isinstance(layer, BatchNormLayer):
            values = zip(NORM_PARTS, (1, 0, 0, 1), strict=True)
            blank |= {f"{name}.{part}": np.full(shapes[name][0], value, np.float32) for part, value in values}
        elif isinstance(node := nodes[name], Conv | Linear):
            blank[name] = node.weight
    return blank


def _check_weights(weights: Mapping[str, Array], blank: Mapping[str, Array]) -> None:
    starts = {f"{name}.{START}": np.zeros(len(array)) for name, array in blank.items()}
    blank = {**blank, **{name: array for name, array in starts.items() if name in weights}}
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
