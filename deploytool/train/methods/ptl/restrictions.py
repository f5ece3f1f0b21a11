"""The limits of PTL, and what it needs from other stages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import format_shape
from deploytool.base.errors import RecipeError, UnsupportedError
from deploytool.recipe import BatchNormLayer, ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.nodes import blank_nodes
from deploytool.train.outside import Needs, Outside

BIAS: Final = "bias"
"""The array (O,) "conv1.bias" of the ANN branch, and of a model whose biases are currents: b over all time steps."""

TRAIN: Final = MappingProxyType(
    {
        "rate_penalty": 0,
        "average": 0,
        "accumulate": 1,
        "device": "cpu",
        "precision": "single",
    }
)
CONSTRAINTS: Final = MappingProxyType({"reset": "subtract", "decay": 1, "fan_in_epochs": 1, "max_weight_penalty": 0})
"""The required values of keys that other methods can vary."""


def needs(spec: TrainSection) -> Needs:
    """What a training by ``spec`` takes from other stages."""
    return Needs(spec.ptl.ann, spec.ptl.forward == "emulator", spec.loss == "mse")


def restrictions(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> Iterator[RecipeError]:
    """Everything in a recipe that this method cannot do."""
    if constraints.floor is not None:
        need = "-inf with train.method ptl: a floor cuts off inhibition"
        yield RecipeError(
            "constraints.floor", f"found {constraints.floor:g}", need, ways=({"constraints.floor": -math.inf},)
        )
    for where, section, keys in (("train", spec, TRAIN), ("constraints", constraints, CONSTRAINTS)):
        for key, value in keys.items():
            if (found := getattr(section, key)) != value:
                place = f"{where}.{key}"
                yield RecipeError(place, f"found {found}", f"{value} with train.method ptl", ways=({place: value},))
    if spec.loss not in ("ce", "mse", "si_sdr"):
        yield RecipeError(
            "train.loss", f"found {spec.loss}", "ce or mse with train.method ptl", ways=({"train.loss": "ce"},)
        )
    if spec.loss == "mse":
        yield from _no_picture(network)
    if spec.ptl.bias == "none" and any(isinstance(layer, BatchNormLayer) for layer in network.layers):
        need = "initial or current in a network with batch norms, which give biases"
        yield RecipeError("train.ptl.bias", "found none", need, ways=({"train.ptl.bias": "initial"},))


def undeployable(spec: TrainSection) -> UnsupportedError | None:
    """Why no chip can run what ``spec`` trains: its input or its biases are currents, and only events drive a chip."""
    problems = []
    todo = 'Choose train.ptl.arm = "chip"; with run.on = [], it is only trained.'
    if spec.ptl.input == "first":
        found = "found first, an image as one analog current"
        problems.append(UnsupportedError("train.ptl.input", found, "steps, because only events enter the chip", todo))
    if spec.ptl.bias == "current":
        found = "found current, b / time_steps in every time step"
        need = "initial, whose free potential is the same, or none, because events have no time steps"
        problems.append(UnsupportedError("train.ptl.bias", found, need, todo))
    return UnsupportedError.together(problems) if problems else None


def unmet(spec: TrainSection, outside: Outside) -> Iterator[RecipeError]:
    """What a training by ``spec`` needs and ``outside`` does not supply."""
    wanted = needs(spec)
    if wanted.pictures and outside.white is None:
        yield RecipeError("data.set", "does not hold images", "a set of images with train.loss mse")
    biased = [name for name in outside.ann or {} if name.endswith(f".{BIAS}")]
    if spec.ptl.bias == "none" and biased:
        yield RecipeError("train.ptl.bias", f"found none, but {biased[0]} is given", "initial or current")
    if wanted.ann is not None and outside.ann is None:
        yield RecipeError("train.ptl.ann", f"found {wanted.ann}, but no arrays were supplied", "them in Task.outside")
    if wanted.emulator and outside.emulated is None:
        yield RecipeError("train.ptl.forward", "found emulator, but none was supplied", "one in Task.outside")


def _no_picture(network: NetworkSection) -> Iterator[RecipeError]:
    """The problems of a network that must restore its input pictures."""
    if network.ends_in_spikes:
        need = "none with train.loss mse, which takes the potential of the last layer"
        yield RecipeError("network.layers", "the last is a spike layer", need)
    found, whole = list(blank_nodes(network)[1].values())[-1], network.input
    if found not in (whole, (math.prod(whole), 1, 1)):
        need = f"{math.prod(whole)} values or a map of {format_shape(whole)}, as the input, with train.loss mse"
        yield RecipeError("network.layers", f"the last gives {format_shape(found)}", need)
