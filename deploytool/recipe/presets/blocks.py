"""The building blocks of presets: layers, layers with neurons, sequences of convolutions, and the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploytool.base.arrays import Pair, Shape, format_shape
from deploytool.ir.nodes import AvgPool, Conv
from deploytool.ir.shapes import out_shape
from deploytool.recipe.presets.preset import Layer, PresetSection


@dataclass(frozen=True)
class Unit:
    """A convolution of 3x3 to ``out`` features with neurons, then pooling over ``pool`` x ``pool``."""

    out: int
    stride: int = 1
    pool: int = 1
    stage: bool = False


def map_after(layers: Sequence[Layer], shape: Shape) -> Pair:
    """(H, W) after ``layers``, without those of a shortcut, for a map of ``shape``."""
    one: Shape = (1, *shape[1:])
    for layer in layers:
        if layer["type"] == "conv" and "from" not in layer:
            weight = np.zeros((1, 1, *_pair(layer["kernel"])), np.float32)
            geometry = _pair(layer.get("stride", 1)), _pair(layer["padding"]), _pair(layer.get("dilation", 1))
            one = out_shape(Conv(weight, None, *geometry), one)
        elif layer["type"] in ("avgpool", "sumpool"):
            window = _pair(layer["kernel"])
            one = out_shape(AvgPool(window, window), one)
    return one[1:]


def _pair(value: int | list[int]) -> Pair:
    high, wide = (value, value) if isinstance(value, int) else value
    return high, wide


def conv_layer(out: int, kernel: int = 3, stride: int = 1, stage: bool = False) -> Layer:
    """A convolution that keeps the map size, or divides it by ``stride``."""
    return {"type": "conv", "out": out, "kernel": kernel, "stride": stride, "padding": kernel // 2, "stage": stage}


def linear_layer(out: int, stage: bool = False) -> Layer:
    """A fully connected layer."""
    return {"type": "linear", "out": out, "stage": stage}


def with_neurons(weights: Layer, norm: bool) -> list[Layer]:
    """``weights`` and the neurons that they drive."""
    return [weights, *([{"type": "batchnorm"}] if norm else []), {"type": "spike"}]


def pool_layer(kernel: int, options: PresetSection) -> Layer:
    """Pooling over ``kernel`` x ``kernel``, by sum or by average as ``options`` say."""
    return {"type": "sumpool" if options.pool == "sum" else "avgpool", "kernel": kernel}


def mean_of_maps(layers: Sequence[Layer], shape: Shape, options: PresetSection) -> Layer:
    """The pooling that takes the mean of every map after ``layers``, for an input of ``shape``.

    Raises ValueError for maps that are not square.
    """
    high, wide = map_after(layers, shape)
    if high != wide:
        found = f"preset {options.preset!r}, which takes the mean of its maps, with an input of {format_shape(shape)}"
        raise ValueError(f"{found}; need as many rows as columns")
    return pool_layer(high, options)


def convolutions(units: Sequence[Unit], options: PresetSection) -> list[Layer]:
    """The layers of ``units``, one after the other."""
    layers = []
    for unit in units:
        pooled = unit.pool > 1 and options.pool != "stride"
        stride = unit.stride if pooled else unit.stride * unit.pool
        layers += with_neurons(conv_layer(unit.out, stride=stride, stage=unit.stage), options.norm)
        if pooled:
            layers.append(pool_layer(unit.pool, options))
    return layers


def head(options: PresetSection, hidden: Sequence[int] = (), norm: bool = False, stage: bool = False) -> list[Layer]:
    """Fully connected layers of ``hidden`` neurons, the first of which may begin a ``stage``, and the answer."""
    layers: list[Layer] = [{"type": "flatten"}]
    for number, out in enumerate(hidden):
        layers += with_neurons(linear_layer(out, stage and number == 0), norm)
    layers.append(linear_layer(options.classes, stage and not hidden))
    return [*layers, {"type": "spike"}] if options.spiking_output else layers
