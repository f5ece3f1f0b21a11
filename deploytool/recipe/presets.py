"""Networks by name: the layers that [network] preset stands for, with the papers' numbers of weights beside them.

A preset is a plain function of the input map (C, H, W) and its options to layers as a recipe spells them out. Layers
have no biases; batch norms, where ``norm`` asks for them, fold into weights and biases afterwards. Where a paper
divides its network into stages for MTT, the first layer of each is marked.

MTT is Du et al., ICLR 2025; TET is Deng et al., ICLR 2022; PTL is Wu et al., TPAMI 2021. Of the N-MNIST network the
paper says no more than three convolutions, one fully connected layer and 6,160 parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import Field

from deploytool.base.arrays import Pair, Shape, format_shape
from deploytool.base.errors import InputError
from deploytool.ir.nodes import AvgPool, Conv
from deploytool.ir.shapes import out_shape
from deploytool.recipe.section import Section, Size

Layer: TypeAlias = dict[str, Any]
"""A layer as in a recipe: {"type": "conv", "out": 8, ...}."""


class PresetSection(Section):
    """[network] with a preset: the input map, and the options that the preset has."""

    preset: str = Field(description="Name of the network. `deploytool show presets` lists them.")
    input: tuple[Size, Size, Size] = Field(description="Input map [C, H, W]: features, rows, columns.")
    classes: int = Field(1, ge=1, description="Number of output values. Required for networks that classify.")
    norm: bool = Field(False, description="Batch norm between weights and neurons.")
    pool: Literal["avg", "sum", "stride"] = Field(
        "avg", description="Pool by average or by sum, or use a stride in the convolution before it instead."
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="Sizes of the fully connected layers before the last."
    )
    stem: Literal["cifar", "imagenet"] = Field(
        "cifar", description="First layer: a 3x3 convolution, or 7x7 with stride 2 and pooling over 2x2."
    )
    spiking_output: bool = Field(
        False,
        description="Let the last layer fire. A chip needs this, because only spikes leave it. Otherwise the last "
        "layer gives its potential.",
    )


Build: TypeAlias = Callable[[Shape, PresetSection], list[Layer]]


@dataclass(frozen=True)
class Preset:
    """A network by name: what it is, and on which ``input`` and with which ``options``, which are all it has, its
    ``source`` describes it; ``parameters`` is the number of weights that the source gives or has, where it is known."""

    says: str
    build: Build
    input: Shape
    options: Mapping[str, Any]
    source: str
    parameters: int | None = None


@dataclass(frozen=True)
class Unit:
    """A convolution of 3x3 to ``out`` features with neurons, then pooling over ``pool`` x ``pool``."""

    out: int
    stride: int = 1
    pool: int = 1
    stage: bool = False


def expand(values: Mapping[str, Any]) -> list[Layer]:
    """The layers that a [network] section of ``values`` with a preset stands for.

    Raises ValueError for an unknown preset, an option it does not have, and an input that is too small for it;
    pydantic's ValidationError, with every problem, for wrong values.
    """
    name = values["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"found preset {name!r}; need one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    keys = ("preset", "input", *preset.options)
    if unknown := [key for key in values if key not in keys]:
        raise ValueError(f"preset {name!r} with {', '.join(unknown)}; need no keys but {', '.join(keys)}")
    if "classes" in preset.options and "classes" not in values:
        raise ValueError(
            f"preset {name!r} without classes; need their number, {preset.options['classes']} in its source"
        )
    options = PresetSection.model_validate({**preset.options, **values})
    try:
        return _checked(preset, options.input, options)
    except InputError:
        features = options.input[0]
        least = next(side for side in itertools.count(1) if _takes(preset, (features, side, side), options))
        found = f"preset {name!r} with an input of {format_shape(options.input)}"
        raise ValueError(f"{found}; need at least {format_shape((features, least, least))}") from None


def _checked(preset: Preset, shape: Shape, options: PresetSection) -> list[Layer]:
    """The layers of ``preset`` for an input of ``shape``. Raises InputError where nothing is left of the map."""
    layers = preset.build(shape, options)
    _map_after(layers, shape)
    return layers


def _takes(preset: Preset, shape: Shape, options: PresetSection) -> bool:
    try:
        _checked(preset, shape, options)
    except InputError:
        return False
    return True


def _map_after(layers: Sequence[Layer], shape: Shape) -> Pair:
    """(H, W) after ``layers``, those of a shortcut left out, on a map of ``shape``."""
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


def _conv(out: int, kernel: int = 3, stride: int = 1, stage: bool = False) -> Layer:
    return {"type": "conv", "out": out, "kernel": kernel, "stride": stride, "padding": kernel // 2, "stage": stage}


def _linear(out: int, stage: bool = False) -> Layer:
    return {"type": "linear", "out": out, "stage": stage}


def _firing(weights: Layer, norm: bool) -> list[Layer]:
    """``weights`` and the neurons that they drive."""
    return [weights, *([{"type": "batchnorm"}] if norm else []), {"type": "spike"}]


def _pooling(kernel: int, options: PresetSection) -> Layer:
    return {"type": "sumpool" if options.pool == "sum" else "avgpool", "kernel": kernel}


def _convolutions(units: Sequence[Unit], options: PresetSection) -> list[Layer]:
    """The layers of ``units``, one after the other."""
    layers = []
    for unit in units:
        pooled = unit.pool > 1 and options.pool != "stride"
        stride = unit.stride if pooled else unit.stride * unit.pool
        layers += _firing(_conv(unit.out, stride=stride, stage=unit.stage), options.norm)
        if pooled:
            layers.append(_pooling(unit.pool, options))
    return layers


def _head(options: PresetSection, hidden: Sequence[int] = (), norm: bool = False, stage: bool = False) -> list[Layer]:
    """Fully connected layers of ``hidden`` neurons, the first of which may begin a ``stage``, and the answer."""
    layers: list[Layer] = [{"type": "flatten"}]
    for number, out in enumerate(hidden):
        layers += _firing(_linear(out, stage and number == 0), norm)
    layers.append(_linear(options.classes, stage and not hidden))
    return [*layers, {"type": "spike"}] if options.spiking_output else layers


def digits(_: Shape, options: PresetSection) -> list[Layer]:
    """The layers of recipes/digits.toml."""
    return [*_convolutions((Unit(8, pool=2), Unit(16, pool=2)), options), *_head(options)]


def nmnist(_: Shape, options: PresetSection) -> list[Layer]:
    """Three convolutions and a fully connected layer."""
    return [*_convolutions((Unit(8, pool=2), Unit(16, pool=2), Unit(16, stride=2)), options), *_head(options)]


def dvsgesture(_: Shape, options: PresetSection) -> list[Layer]:
    """Pooling, four convolutions and two fully connected layers; stages from convolutions 1 and 3 and from the head."""
    units = (Unit(8, stride=2, pool=2, stage=True), Unit(16, pool=2), Unit(32, pool=2, stage=True), Unit(32))
    return [_pooling(2, options), *_convolutions(units, options), *_head(options, hidden=(64,), stage=True)]


def vgg9(_: Shape, options: PresetSection) -> list[Layer]:
    """Pooling over 4 x 4, eight convolutions in pairs, each of which is a stage, and the answer."""
    pairs = ((64, 128), (256, 256), (512, 512), (512, 512))
    units = [unit for first, last in pairs for unit in (Unit(first, stage=True), Unit(last, pool=2))]
    return [_pooling(4, options), *_convolutions(units, options), *_head(options)]


def vgg(_: Shape, options: PresetSection, groups: Sequence[Sequence[int]]) -> list[Layer]:
    """``groups`` of convolutions, each a stage, with pooling after each group, and fully connected layers."""
    units = [
        Unit(out, pool=2 if number == len(group) else 1, stage=True)
        for group in groups
        for number, out in enumerate(group, start=1)
    ]
    return [*_convolutions(units, options), *_head(options, options.hidden, options.norm)]


def alexnet(_: Shape, options: PresetSection) -> list[Layer]:
    """Five convolutions, three of them of stride 2, and two fully connected layers."""
    units = (Unit(96), Unit(256, stride=2), Unit(384, stride=2), Unit(384), Unit(256, stride=2))
    return [*_convolutions(units, options), *_head(options, (2048,), options.norm)]


def mnist_cnn(_: Shape, options: PresetSection) -> list[Layer]:
    """28x28-c16s1-c32s2-c32s1-c64s2-800-10, with kernels of 3x3."""
    units = (Unit(16), Unit(32, stride=2), Unit(32), Unit(64, stride=2))
    return [*_convolutions(units, options), *_head(options, (800,), options.norm)]


def autoencoder(shape: Shape, options: PresetSection) -> list[Layer]:
    """784-128-64-32-64-128-784, whose last layer never fires."""
    layers: list[Layer] = [{"type": "flatten"}]
    for out in (128, 64, 32, 64, 128):
        layers += _firing(_linear(out), options.norm)
    return [*layers, _linear(math.prod(shape))]


def separation(shape: Shape, options: PresetSection) -> list[Layer]:
    """Along time: a 1x1 convolution, ten of 1x3 with dilations of 2^0 to 2^9, and a 1x1 one to a mask per speaker."""
    if shape[1] != 1:
        raise ValueError(f"preset 'separation' with an input of {format_shape(shape)}; need [features, 1, time frames]")
    layers = _firing(_conv(512, kernel=1), options.norm)
    for reach in (2**n for n in range(10)):
        dilated = {"type": "conv", "out": 512, "kernel": [1, 3], "padding": [0, reach], "dilation": [1, reach]}
        layers += _firing(dilated, options.norm)
    return [*layers, _conv(2 * shape[0], kernel=1)]


def resnet(
    shape: Shape, options: PresetSection, blocks: Sequence[tuple[int, int]], hidden: Sequence[int] = ()
) -> list[Layer]:
    """A stem, ``blocks`` (features, how many), of which each kind but the first begins with a stride of 2, the mean of
    every map, fully connected layers. Each block is a stage; the stem goes with the first and the head with the last.
    """
    layers = _stem(blocks[0][0], options)
    before, features = str(layers[-1]["name"]), blocks[0][0]
    number = 0
    for kind, (out, count) in enumerate(blocks):
        for position in range(count):
            number += 1
            stride = 2 if kind and not position else 1
            projected = stride > 1 or out != features
            layers += _basic_block(f"block{number}", before, out, stride, projected, options.norm, stage=number > 1)
            before, features = f"block{number}_spike", out
    high, wide = _map_after(layers, shape)
    if high != wide:
        found = f"preset {options.preset!r}, which takes the mean of its maps, with an input of {format_shape(shape)}"
        raise ValueError(f"{found}; need as many rows as columns")
    return [*layers, _pooling(high, options), *_head(options, hidden)]


def _stem(out: int, options: PresetSection) -> list[Layer]:
    imagenet = options.stem == "imagenet"
    conv = _conv(out, 7, 2, stage=True) if imagenet else _conv(out, stage=True)
    named = _named("stem", _firing(conv, options.norm))
    return [*named, {**_pooling(2, options), "name": "stem_pool"}] if imagenet else named


def _basic_block(
    name: str, before: str, out: int, stride: int, projected: bool, norm: bool, stage: bool
) -> list[Layer]:
    """Two convolutions, of which the first has ``stride``, added to what comes from ``before``: as it is, or
    ``projected`` by a 1x1 convolution."""
    first = _named(f"{name}_conv1", _firing(_conv(out, stride=stride, stage=stage), norm))
    second = _named(f"{name}_conv2", _firing(_conv(out), norm)[:-1])
    shortcut = []
    if projected:
        projection = {**_conv(out, 1, stride), "from": before}
        shortcut = _named(f"{name}_shortcut", _firing(projection, norm)[:-1])
    other = shortcut[-1]["name"] if projected else before
    add = {"type": "add", "name": f"{name}_add", "from": second[-1]["name"], "other": [other]}
    return [*first, *second, *shortcut, add, {"type": "spike", "name": f"{name}_spike"}]


def trevsnn(_: Shape, options: PresetSection, features: Sequence[int], blocks: int = 2) -> list[Layer]:
    """A stage for each of ``features``, whose last neurons are called on1, on2 ..., to be named in train.trev.on.

    A stage halves the map, then ``blocks`` times: a depthwise convolution of 5x5, 1x1 to four times the features, 1x1
    back, and a depthwise one again. Behind each are neurons, and there are no shortcuts, which T-RevSNN's blocks have.
    """
    layers: list[Layer] = []
    for number, out in enumerate(features, start=1):
        depthwise = {**_conv(out, 5), "groups": out}
        layers += _firing(_conv(out, 2, 2) | {"padding": 0}, options.norm)
        for _block in range(blocks):
            for conv in (depthwise, _conv(4 * out, 1), _conv(out, 1), depthwise):
                layers += _firing(conv, options.norm)
        layers[-1] = {"type": "spike", "name": f"on{number}"}
    return [*layers, *_head(options)]


def _named(name: str, layers: Sequence[Layer]) -> list[Layer]:
    """``layers``, the first called ``name`` and those behind it after it: ..._bn, ..._spike."""
    ends = {"batchnorm": "_bn", "spike": "_spike"}
    return [{**layer, "name": name + ends.get(layer["type"], "")} for layer in layers]


_VGGSNN: Final = partial(vgg, groups=((64, 128), (256, 256), (512, 512), (512, 512)))
_PTL_SOURCE: Final = "PTL, arXiv 2007.01204"
_PTL_VGG: Final = {"classes": 10, "norm": True, "pool": "stride", "hidden": (4096, 4096), "spiking_output": False}
_RESNET: Final = {"classes": 10, "norm": True, "stem": "cifar", "spiking_output": False}

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
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
        "vgg9": Preset(
            "VGG-9 for CIFAR10-DVS, whose input is pooled over 4 x 4",
            vgg9,
            (2, 128, 128),
            {"classes": 10, "norm": True, "pool": "avg", "spiking_output": False},
            "MTT's code, arXiv 2503.17394",
            9_237_632,
        ),
        "vggsnn": Preset(
            "VGGSNN for CIFAR10-DVS at 48x48, with average pooling",
            _VGGSNN,
            (2, 48, 48),
            {"classes": 10, "norm": True, "pool": "avg", "hidden": (), "spiking_output": False},
            "TET, arXiv 2202.11946",
        ),
        "vggsnn-stride": Preset(
            "VGGSNN with a stride of 2 instead of pooling (VGGSNNwoAP)",
            _VGGSNN,
            (2, 48, 48),
            {"classes": 10, "norm": True, "pool": "stride", "hidden": (), "spiking_output": False},
            "TET, arXiv 2202.11946",
        ),
        "vgg11": Preset(
            "VGG-11 for CIFAR as in PTL's code: the convolutions of vggsnn-stride, head 4096-4096-10",
            _VGGSNN,
            (3, 32, 32),
            _PTL_VGG,
            _PTL_SOURCE,
        ),
        "vgg13": Preset(
            "VGG-13 for CIFAR, with the strides and the head of PTL's VGG-11",
            partial(vgg, groups=((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))),
            (3, 32, 32),
            _PTL_VGG,
            _PTL_SOURCE,
        ),
        "vgg16": Preset(
            "VGG-16 for CIFAR, with the strides and the head of PTL's VGG-11",
            partial(vgg, groups=((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)),
            (3, 32, 32),
            _PTL_VGG,
            _PTL_SOURCE,
        ),
        "alexnet": Preset(
            "AlexNet for CIFAR: 96-256-384-384-256, 2048-10",
            alexnet,
            (3, 32, 32),
            {"classes": 10, "norm": True, "spiking_output": False},
            _PTL_SOURCE,
        ),
        "mnist-cnn": Preset(
            "28x28-c16s1-c32s2-c32s1-c64s2-800-10",
            mnist_cnn,
            (1, 28, 28),
            {"classes": 10, "norm": True, "spiking_output": False},
            _PTL_SOURCE,
        ),
        "autoencoder": Preset(
            "784-128-64-32-64-128-784, whose last layer never fires",
            autoencoder,
            (1, 28, 28),
            {"norm": True},
            _PTL_SOURCE,
        ),
        "separation": Preset(
            "separator of two voices: ten dilated convolutions of 512 features along time",
            separation,
            (512, 1, 3199),
            {"norm": True},
            _PTL_SOURCE,
        ),
        "trevsnn": Preset(
            "a sub-network of T-RevSNN for small maps, 96-192-384-512, without shortcuts; whole, it has four of 29.8 M",
            partial(trevsnn, features=(96, 192, 384, 512)),
            (3, 32, 32),
            {"classes": 10, "norm": False, "spiking_output": False},
            "T-RevSNN, arXiv 2405.16466",
        ),
        "resnet18": Preset(
            "ResNet-18 for CIFAR and for events at 48x48: 64-128-256-512, two blocks each",
            partial(resnet, blocks=((64, 2), (128, 2), (256, 2), (512, 2))),
            (3, 32, 32),
            _RESNET,
            "arXiv 1512.03385, and MTT",
        ),
        "resnet19": Preset(
            "ResNet-19 for CIFAR: 128-256-512 with 3, 3 and 2 blocks, head 256-10",
            partial(resnet, blocks=((128, 3), (256, 3), (512, 2)), hidden=(256,)),
            (3, 32, 32),
            {"classes": 10, "norm": True, "spiking_output": False},
            "TET, arXiv 2202.11946, and MTT",
        ),
        "resnet34": Preset(
            "ResNet-34 for ImageNet: 64-128-256-512 with 3, 4, 6 and 3 blocks, average instead of maximum in its stem",
            partial(resnet, blocks=((64, 3), (128, 4), (256, 6), (512, 3))),
            (3, 224, 224),
            {**_RESNET, "classes": 1000, "stem": "imagenet"},
            "arXiv 1512.03385",
        ),
    }
)
"""{name: network}."""
