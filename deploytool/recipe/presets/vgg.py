"""VGG: groups of convolutions of 3x3 with pooling after each, and fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.recipe.presets.blocks import Unit, convolutions, head, pool_layer
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection


def vgg9(_: Shape, options: PresetSection) -> list[Layer]:
    """Pooling over 4 x 4, eight convolutions in pairs, each of which is a stage, and the answer."""
    pairs = ((64, 128), (256, 256), (512, 512), (512, 512))
    units = [unit for first, last in pairs for unit in (Unit(first, stage=True), Unit(last, pool=2))]
    return [pool_layer(4, options), *convolutions(units, options), *head(options)]


def vgg(_: Shape, options: PresetSection, groups: Sequence[Sequence[int]]) -> list[Layer]:
    """``groups`` of convolutions, each a stage, with pooling after each group, and fully connected layers."""
    units = [
        Unit(out, pool=2 if number == len(group) else 1, stage=True)
        for group in groups
        for number, out in enumerate(group, start=1)
    ]
    return [*convolutions(units, options), *head(options, options.hidden, options.norm)]


_VGGSNN: Final = partial(vgg, groups=((64, 128), (256, 256), (512, 512), (512, 512)))
_PTL_SOURCE: Final = "PTL, arXiv 2007.01204"
_PTL_VGG: Final = {"classes": 10, "norm": True, "pool": "stride", "hidden": (4096, 4096), "spiking_output": False}

VGG: Final[Mapping[str, Preset]] = MappingProxyType(
    {
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
        "vgg14": Preset(
            "VGG-14 for CIFAR: the convolutions of VGG-16, with average pooling, and one fully connected layer",
            partial(vgg, groups=((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)),
            (3, 32, 32),
            {"classes": 100, "norm": True, "pool": "avg", "spiking_output": False},
            "MTT's code, arXiv 2503.17394",
        ),
        "vgg16": Preset(
            "VGG-16 for CIFAR, with the strides and the head of PTL's VGG-11",
            partial(vgg, groups=((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)),
            (3, 32, 32),
            _PTL_VGG,
            _PTL_SOURCE,
        ),
    }
)
"""{name: network}."""
