"""The limits of training on events, and what it needs from other stages."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import RecipeError
from deploytool.recipe import AddLayer, BatchNormLayer, ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.constraints import UNQUANTISED
from deploytool.recipe.network import INPUT
from deploytool.train.outside import Needs

TRAIN: Final = MappingProxyType(
    {"spikes_per_step": "many", "accumulate": 1, "device": "cpu", "precision": "single", "loss": "ce"}
)
CONSTRAINTS: Final = MappingProxyType({"reset": "subtract", "decay": 1})
"""The required values of keys that other methods can vary."""


def needs(_spec: TrainSection) -> Needs:
    """The emulator, which runs every training sample."""
    return Needs(emulator=True)


def restrictions(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> Iterator[RecipeError]:
    """Everything in a recipe that this method cannot do."""
    for where, section, keys in (("train", spec, TRAIN), ("constraints", constraints, CONSTRAINTS)):
        for key, value in keys.items():
            if (found := getattr(section, key)) != value:
                place = f"{where}.{key}"
                yield RecipeError(place, f"found {found}", f"{value} with train.method events", ways=({place: value},))
    if constraints.weight_bits == UNQUANTISED:
        need = "2 to 8 with train.method events, whose weights run on the emulator"
        yield RecipeError(
            "constraints.weight_bits", f"found {UNQUANTISED}", need, ways=({"constraints.weight_bits": 8},)
        )
    if not network.ends_in_spikes:
        need = "a spike layer with train.method events"
        yield RecipeError("network.layers", "a last layer that never fires", need)
    before = INPUT
    for name, layer in network.named_layers():
        if isinstance(layer, BatchNormLayer | AddLayer) or network.sources()[name] != (before,):
            need = "one chain without batchnorm with train.method events"
            yield RecipeError("network.layers", f"{name!r} ({layer.type})", need)
            return
        before = name


def unmet(supplied: bool) -> Iterator[RecipeError]:
    """What is missing if the emulator was not ``supplied``."""
    if not supplied:
        yield RecipeError("train.method", "found events, but no emulator was supplied", "one in Task.outside")
