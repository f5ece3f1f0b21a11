"""Small networks for event cameras. For the N-MNIST network, the paper states only three convolutions, one
fully connected layer and 6,160 parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.recipe.presets.blocks import Unit, convolutions, head, pool_layer
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection


def digits(_: Shape, options: PresetSection) -> list[Layer]:
    """The layers of recipes/digits.toml."""
    return [*convolutions((Unit(8, pool=2), Unit(16, pool=2)), options), *head(options)]


def nmnist(_: Shape, options: PresetSection) -> list[Layer]:
    """Three convolutions and a fully connected layer."""
    return [*convolutions((Unit(8, pool=2), Unit(16, pool=2), Unit(16, stride=2)), options), *head(options)]


def dvsgesture(_: Shape, options: PresetSection) -> list[Layer]:
    """Pooling, four convolutions and two fully connected layers; stages from convolutions 1 and 3 and from the head."""
    units = (Unit(8, stride=2, pool=2, stage=True), Unit(16, pool=2), Unit(32, pool=2, stage=True), Unit(32))
    return [pool_layer(2, options), *convolutions(units, options), *head(options, hidden=(64,), stage=True)]


EVENT_NETWORKS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "digits": Preset(
            "two convolutions for 8x8 digits seen by an event camera",
            digits,
            (2, 16, 16),
            {"classes": 10, "norm": False, "pool": "sum", "spiking_output": True},
            "recipes/digits.toml",
        ),
        "nmnist": Preset(
            "three convolutions and a fully connected layer for N-MNIST",
            nmnist,
            (2, 34, 34),
            {"classes": 10, "norm": False, "pool": "avg", "spiking_output": True},
            "MTT, arXiv 2503.17394",
            6_160,
        ),
        "dvsgesture": Preset(
            "four convolutions and two fully connected layers for DVS128 Gesture",
            dvsgesture,
            (2, 128, 128),
            {"classes": 11, "norm": True, "pool": "avg", "spiking_output": False},
            "MTT's code, arXiv 2503.17394",
            48_592,
        ),
    }
)
"""{name: network}."""
