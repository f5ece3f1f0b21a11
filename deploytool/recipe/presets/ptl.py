"""The other networks of progressive tandem learning (PTL)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape, format_shape
from deploytool.recipe.presets.blocks import Unit, conv_layer, convolutions, head, linear_layer, with_neurons
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection


def alexnet(_: Shape, options: PresetSection) -> list[Layer]:
    """Five convolutions, three of them of stride 2, and two fully connected layers."""
    units = (Unit(96), Unit(256, stride=2), Unit(384, stride=2), Unit(384), Unit(256, stride=2))
    return [*convolutions(units, options), *head(options, (2048,), options.norm)]


def mnist_cnn(_: Shape, options: PresetSection) -> list[Layer]:
    """28x28-c16s1-c32s2-c32s1-c64s2-800-10, with kernels of 3x3."""
    units = (Unit(16), Unit(32, stride=2), Unit(32), Unit(64, stride=2))
    return [*convolutions(units, options), *head(options, (800,), options.norm)]


def autoencoder(shape: Shape, options: PresetSection) -> list[Layer]:
    """784-128-64-32-64-128-784, whose last layer never fires."""
    layers: list[Layer] = [{"type": "flatten"}]
    for out in (128, 64, 32, 64, 128):
        layers += with_neurons(linear_layer(out), options.norm)
    return [*layers, linear_layer(math.prod(shape))]


def separation(shape: Shape, options: PresetSection) -> list[Layer]:
    """Along time: a 1x1 convolution, ten of 1x3 with dilations of 2^0 to 2^9, and a 1x1 one to a mask per speaker."""
    if shape[1] != 1:
        raise ValueError(f"preset 'separation' with an input of {format_shape(shape)}; need [features, 1, time frames]")
    layers = with_neurons(conv_layer(512, kernel=1), options.norm)
    for reach in (2**n for n in range(10)):
        dilated = {"type": "conv", "out": 512, "kernel": [1, 3], "padding": [0, reach], "dilation": [1, reach]}
        layers += with_neurons(dilated, options.norm)
    return [*layers, conv_layer(2 * shape[0], kernel=1)]


_SOURCE: Final = "PTL, arXiv 2007.01204"

PTL_NETWORKS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "alexnet": Preset(
            "AlexNet for CIFAR: 96-256-384-384-256, 2048-10",
            alexnet,
            (3, 32, 32),
            {"classes": 10, "norm": True, "spiking_output": False},
            _SOURCE,
        ),
        "mnist-cnn": Preset(
            "28x28-c16s1-c32s2-c32s1-c64s2-800-10",
            mnist_cnn,
            (1, 28, 28),
            {"classes": 10, "norm": True, "spiking_output": False},
            _SOURCE,
        ),
        "autoencoder": Preset(
            "784-128-64-32-64-128-784, whose last layer never fires",
            autoencoder,
            (1, 28, 28),
            {"norm": True},
            _SOURCE,
        ),
        "separation": Preset(
            "separator of two voices: ten dilated convolutions of 512 features along time",
            separation,
            (512, 1, 3199),
            {"norm": True},
            _SOURCE,
        ),
    }
)
"""{name: network}."""
