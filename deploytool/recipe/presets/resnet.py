"""Residual networks of basic blocks, with average pooling of the maps before the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.recipe.presets.blocks import conv_layer, head, mean_of_maps, pool_layer, with_neurons
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection


@dataclass(frozen=True)
class Block:
    """Two convolutions to ``out`` features, the first with ``stride``, added to the layer ``before`` the block.

    That layer is added unchanged, or ``projected`` by a 1x1 convolution. The block may begin a ``stage``.
    """

    name: str
    before: str
    out: int
    stride: int
    projected: bool
    stage: bool


def resnet(
    shape: Shape, options: PresetSection, kinds: Sequence[tuple[int, int]], hidden: Sequence[int] = ()
) -> list[Layer]:
    """A stem, basic blocks, the mean of every map, and fully connected layers.

    ``kinds`` are (features, number of blocks); each kind except the first begins with a stride of 2. Each block is a
    stage; the stem belongs to the first stage and the head to the last.
    """
    layers = _stem(kinds[0][0], options)
    before, features = str(layers[-1]["name"]), kinds[0][0]
    number = 0
    for kind, (out, count) in enumerate(kinds):
        for position in range(count):
            number += 1
            stride = 2 if kind and not position else 1
            block = Block(f"block{number}", before, out, stride, stride > 1 or out != features, stage=number > 1)
            layers += _block_layers(block, options.norm)
            before, features = str(layers[-1]["name"]), out
    return [*layers, mean_of_maps(layers, shape, options), *head(options, hidden)]


def _stem(out: int, options: PresetSection) -> list[Layer]:
    imagenet = options.stem == "imagenet"
    first = conv_layer(out, 7, 2, stage=True) if imagenet else conv_layer(out, stage=True)
    named = _named("stem", with_neurons(first, options.norm))
    return [*named, {**pool_layer(2, options), "name": "stem_pool"}] if imagenet else named


def _block_layers(block: Block, norm: bool) -> list[Layer]:
    name = block.name
    first = _named(f"{name}_conv1", with_neurons(conv_layer(block.out, 3, block.stride, block.stage), norm))
    second = _named(f"{name}_conv2", with_neurons(conv_layer(block.out), norm)[:-1])
    shortcut = []
    if block.projected:
        projection = {**conv_layer(block.out, 1, block.stride), "from": block.before}
        shortcut = _named(f"{name}_shortcut", with_neurons(projection, norm)[:-1])
    other = shortcut[-1]["name"] if block.projected else block.before
    add = {"type": "add", "name": f"{name}_add", "from": second[-1]["name"], "other": [other]}
    return [*first, *second, *shortcut, add, {"type": "spike", "name": f"{name}_spike"}]


def _named(name: str, layers: Sequence[Layer]) -> list[Layer]:
    """``layers``, the first called ``name`` and those behind it after it: ..._bn, ..._spike."""
    ends = {"batchnorm": "_bn", "spike": "_spike"}
    return [{**layer, "name": name + ends.get(layer["type"], "")} for layer in layers]


_RESNET: Final = {"classes": 10, "norm": True, "stem": "cifar", "spiking_output": False}

RESNET: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "resnet18": Preset(
            "ResNet-18 for CIFAR and for events at 48x48: 64-128-256-512, two blocks each",
            partial(resnet, kinds=((64, 2), (128, 2), (256, 2), (512, 2))),
            (3, 32, 32),
            _RESNET,
            "arXiv 1512.03385, and MTT",
        ),
        "resnet19": Preset(
            "ResNet-19 for CIFAR: 128-256-512 with 3, 3 and 2 blocks, head 256-10",
            partial(resnet, kinds=((128, 3), (256, 3), (512, 2)), hidden=(256,)),
            (3, 32, 32),
            {"classes": 10, "norm": True, "spiking_output": False},
            "TET, arXiv 2202.11946, and MTT",
        ),
        "resnet34": Preset(
            "ResNet-34 for ImageNet: 64-128-256-512 with 3, 4, 6 and 3 blocks, average instead of maximum in its stem",
            partial(resnet, kinds=((64, 3), (128, 4), (256, 6), (512, 3))),
            (3, 224, 224),
            {**_RESNET, "classes": 1000, "stem": "imagenet"},
            "arXiv 1512.03385",
        ),
    }
)
"""{name: network}."""
