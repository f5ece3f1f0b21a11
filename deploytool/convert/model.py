"""From trained weights to a Graph, by the chip's own rule of quantisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from deploytool.chip import CHIPS
from deploytool.convert.folding import input_to_output, require_finite
from deploytool.errors import ArtifactError, DeployError, InputError, RecipeError
from deploytool.fixedpoint import IntegerFormat, dequantise, quantise
from deploytool.graph import Array, Conv, Graph, Linear, Node, Spike
from deploytool.layers import blank_nodes, node_of
from deploytool.recipe import (
    ConstraintsSection,
    ConvLayer,
    LinearLayer,
    NetworkSection,
    SpikeLayer,
)  # fmt: skip

TAKE_MODULE: Final = "Convert the module itself: package.module:function."


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

    def effective(latent: Array) -> tuple[Array, Spike]:
        quantised = quantise(latent, None, constraints.threshold, constraints.floor, integers)
        array, threshold, floor = dequantise(quantised)
        return array, Spike(threshold, floor, constraints.reset)

    return _graph(weights, network, effective, dt_ms)


def from_state_dict(
    state: Mapping[str, Array], network: NetworkSection, constraints: ConstraintsSection, dt_ms: float | None = None
) -> Graph:
    """The Graph of ``network`` with the weights in ``state``, the state_dict {name: array} of a torch or sinabs module.

    Weights are taken over unquantised, in the order of the layers, and their shapes must be those of the layers;
    threshold, floor and reset are those of ``constraints``, with which spike_threshold and min_v_mem in ``state``
    must agree. Biases must be zero, since layers of a recipe have none. State (v_mem) counts for nothing.

    Raises InputError naming every entry that is something else; ArtifactError and RecipeError as ``to_graph``.
    """
    blank = blank_weights(network)
    stored = {name: array for name, array in state.items() if name.endswith("weight") and array.ndim > 1}
    problems = [problem for name, array in state.items() if (problem := _entry_problem(name, array, constraints))]
    ends = {name.rpartition(".")[2] for name in state}
    if "spike_threshold" in ends and "min_v_mem" not in ends and constraints.floor not in (None, -math.inf):
        found = f"neurons without min_v_mem, where constraints.floor is {constraints.floor}"
        problems.append(InputError("state_dict", found, "both alike", "Write floor = -inf for none."))
    if len(stored) != len(blank):
        found = f"{len(stored)} arrays of weights ({', '.join(stored) or 'none'})"
        problems.append(InputError("state_dict", found, f"{len(blank)}, for {', '.join(blank)}"))
    else:
        for (name, array), (layer, wanted) in zip(stored.items(), blank.items(), strict=True):
            if array.shape != wanted.shape:
                found = f"shape {array.shape}"
                problems.append(InputError(f"state_dict: {name!r}", found, f"{wanted.shape}, of layer {layer!r}"))
    if problems:
        raise InputError.together(problems)
    floor = None if constraints.floor == -math.inf else constraints.floor
    spike = Spike(constraints.threshold, floor, constraints.reset)
    weights = dict(zip(blank, stored.values(), strict=True))
    return _graph(weights, network, lambda latent: (latent, spike), dt_ms)


def _entry_problem(name: str, array: Array, constraints: ConstraintsSection) -> InputError | None:
    """What is wrong with an entry of a state_dict, whatever the layers are."""
    where, kind = f"state_dict: {name!r}", name.rpartition(".")[2]
    match kind:
        case "weight" if array.ndim > 1:
            return None
        case "v_mem":
            return None
        case "bias":
            if np.any(array):
                return InputError(where, "a bias", "zeros: layers of a recipe have none", TAKE_MODULE)
            return None
        case "spike_threshold" | "min_v_mem":
            key = "threshold" if kind == "spike_threshold" else "floor"
            if (value := getattr(constraints, key)) is None or not np.allclose(array, value, rtol=1e-6):
                found = f"{array.flat[0]:g}" if array.size else "nothing"
                return InputError(where, found, f"{value}, which is constraints.{key}")
            return None
    return InputError(
        where, "an entry that no layer of a recipe has", "weights, spike_threshold, min_v_mem", TAKE_MODULE
    )


def _graph(
    weights: Mapping[str, Array], network: NetworkSection, effective: Callable[[Array], tuple[Array, Spike]],
    dt_ms: float | None,
) -> Graph:  # fmt: skip
    """The chain of ``network``; ``effective`` gives the weights, and the neurons behind them, for latent weights."""
    _check_weights(weights, blank_weights(network))
    nodes: list[tuple[str, Node]] = []
    spike: Spike
    for name, layer in network.named_layers():
        if isinstance(layer, ConvLayer | LinearLayer):
            array, spike = effective(np.asarray(weights[name], np.float32))
            nodes.append((name, node_of(layer, array)))
        else:
            nodes.append((name, spike if isinstance(layer, SpikeLayer) else node_of(layer)))
    return input_to_output(network.input, nodes, "network", dt_ms)


def blank_weights(network: NetworkSection) -> dict[str, Array]:
    """Weights of nothing but zeros {layer name: float32 array}, in the shapes that ``network`` needs.

    With them ``to_graph`` gives a graph for questions of geometry and memory before anything is trained.
    Raises RecipeError when the shapes of the layers do not match.
    """
    nodes, _ = blank_nodes(network)
    return {name: node.weight for name, node in nodes.items() if isinstance(node, Conv | Linear)}


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
