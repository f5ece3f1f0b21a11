"""A state dict to a Graph: which entry belongs to which layer of a recipe.

one entry and one layer of a shape    they belong together
names that are the layers' own        decide
names that differ in numbers only     are taken in the order of the numbers: conv1, conv2, conv10
any other names                       are taken in their order in the file, which is a guess, and said to be one
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.model import blank_weights, with_weights
from deploytool.ir.graph import Graph
from deploytool.recipe import BatchNormLayer, ConstraintsSection, NetworkSection

TAKE_MODULE: Final = "Convert the module itself: package.module:function."
REMOVE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "weight_orig": "Call torch.nn.utils.prune.remove(layer, 'weight') before saving, or remove_spectral_norm.",
        "weight_mask": "Call torch.nn.utils.prune.remove(layer, 'weight') before saving.",
        "weight_g": "Call torch.nn.utils.remove_weight_norm(layer) before saving.",
        "weight_v": "Call torch.nn.utils.remove_weight_norm(layer) before saving.",
        "weight_u": "Call torch.nn.utils.remove_spectral_norm(layer) before saving.",
        "original": "Call torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') before saving.",
        "original0": "Call torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') before saving.",
        "original1": "Call torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') before saving.",
    }
)
"""{last part of a name: how to remove such entries}."""


@dataclass(frozen=True)
class LoadedNetwork:
    """The ``graph`` of a recipe's network with the weights of a state dict."""

    graph: Graph
    entries: Mapping[str, str]
    """{layer: the entry whose weights it got}."""
    warnings: tuple[str, ...]
    """Warnings about entries that were assigned by guess or against their names."""


def from_state_dict(
    state: Mapping[str, Array], network: NetworkSection, constraints: ConstraintsSection, dt_ms: float | None = None
) -> LoadedNetwork:
    """``network`` with the weights in ``state``, the state dict {name: array} of a torch or sinabs module.

    The weights are not quantised. The module docstring says how they are assigned to layers. Threshold, floor and reset
    are those of ``constraints``; spike_threshold and min_v_mem in ``state`` must agree with them. Biases must be zero,
    because layers of a recipe have none. State (v_mem) is ignored.

    Raises InputError naming every other entry; ArtifactError and RecipeError as ``to_graph`` does.
    """
    if any(isinstance(layer, BatchNormLayer) for layer in network.layers):
        raise UnsupportedError("state_dict", "a network with batch norm layers", "one without", TAKE_MODULE)
    stored = {name: array for name, array in state.items() if _is_weights(name, array)}
    problems = [problem for name, array in state.items() if (problem := _entry_problem(name, array, constraints))]
    ends = {name.rpartition(".")[2] for name in state}
    if "spike_threshold" in ends and "min_v_mem" not in ends and constraints.floor not in (None, -math.inf):
        found = f"neurons without min_v_mem, but constraints.floor is {constraints.floor}"
        problems.append(InputError("state_dict", found, "the same floor in both", "Write floor = -inf for none."))
    blank = blank_weights(network)
    assignment = _assign({name: array.shape for name, array in stored.items()}, {n: a.shape for n, a in blank.items()})
    if problems := [*problems, *assignment.problems]:
        raise InputError.together(problems)
    entries = {layer: assignment.entries[layer] for layer in blank}
    weights = {layer: stored[name] for layer, name in entries.items()}
    return LoadedNetwork(with_weights(weights, network, constraints, dt_ms), entries, tuple(assignment.warnings))


def _is_weights(name: str, array: Array) -> bool:
    return name.rpartition(".")[2] == "weight" and array.ndim > 1


def _entry_problem(name: str, array: Array, constraints: ConstraintsSection) -> InputError | None:
    """The problem of a state dict entry that does not depend on the layers; None if there is none."""
    where, kind = f"state_dict: {name!r}", name.rpartition(".")[2]
    if _is_weights(name, array) or kind == "v_mem":
        return None
    match kind:
        case "bias":
            if np.count_nonzero(array):
                return InputError(where, "a bias", "zeros: recipe layers have no bias", TAKE_MODULE)
            return None
        case "spike_threshold" | "min_v_mem":
            key = "threshold" if kind == "spike_threshold" else "floor"
            if (value := getattr(constraints, key)) is None or not np.allclose(array, value, rtol=1e-6):
                found = f"{array.flat[0]:g}" if array.size else "nothing"
                return InputError(where, found, f"{value}, which is constraints.{key}")
            return None
    need = "weights, spike_threshold, min_v_mem"
    return InputError(where, "an entry that recipe layers do not have", need, REMOVE.get(kind, TAKE_MODULE))


@dataclass
class _Assignment:
    """The assignment {layer: entry} found so far, with its problems and warnings."""

    entries: dict[str, str] = field(default_factory=dict)
    problems: list[InputError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _assign(stored: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> _Assignment:
    """The assignment of the entries ``stored`` {name: shape} to the layers ``wanted`` {layer: shape}."""
    found = _Assignment()
    if len(stored) != len(wanted):
        said = f"{len(stored)} weight arrays ({', '.join(stored) or 'none'})"
        found.problems.append(InputError("state_dict", said, f"{len(wanted)}, for {', '.join(wanted)}"))
        return found
    left_names, left_layers = list(stored), list(wanted)
    for shape in dict.fromkeys(wanted.values()):
        layers = [layer for layer, size in wanted.items() if size == shape]
        names = [name for name, size in stored.items() if size == shape]
        if len(names) == len(layers):
            found.entries.update(zip(layers, _in_order_of(layers, names, found.warnings), strict=True))
            left_names = [name for name in left_names if name not in names]
            left_layers = [layer for layer in left_layers if layer not in layers]
    for name, layer in zip(left_names, left_layers, strict=True):
        if stored[name] != wanted[layer]:
            need = f"{wanted[layer]}, of layer {layer!r}"
            found.problems.append(InputError(f"state_dict: {name!r}", f"shape {stored[name]}", need))
    return found


def _in_order_of(layers: Sequence[str], names: Sequence[str], warnings: list[str]) -> list[str]:
    """``names``, entries of one shape in file order, sorted into the order of the ``layers`` they belong to."""
    if len(names) == 1:
        return list(names)
    listed = ", ".join(names)
    ordered = _by_their_names(layers, names)
    if ordered is None:
        said = f"state_dict: {listed} have the same shape; their order for {', '.join(layers)} is a guess"
        todo = "Give the recipe layers the names of the entries, or convert the module itself"
        warnings.append(f"{said}. {todo}")
        return list(names)
    if ordered != list(names):
        said = f"state_dict: {listed} have the same shape and this order in the file, but their names say another"
        warnings.append(f"{said}: {', '.join(layers)} get {', '.join(ordered)}")
    return ordered


def _by_their_names(layers: Sequence[str], names: Sequence[str]) -> list[str] | None:
    """``names`` in the order of the ``layers`` that they name; None if they name no layers."""
    paths = {name.rpartition(".")[0]: name for name in names}
    for called in (paths, {path.rpartition(".")[2]: name for path, name in paths.items()}):
        if set(called) == set(layers):
            return [called[layer] for layer in layers]
    if len({re.sub(r"\d+", "#", name) for name in names}) > 1:
        return None
    return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
