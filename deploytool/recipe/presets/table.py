"""All presets by name, and their layers. A new family needs a file in this folder and a line in PRESETS."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError
from deploytool.recipe.presets.blocks import map_after
from deploytool.recipe.presets.events import EVENT_NETWORKS
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection
from deploytool.recipe.presets.ptl import PTL_NETWORKS
from deploytool.recipe.presets.resnet import RESNET
from deploytool.recipe.presets.trevsnn import TREVSNN
from deploytool.recipe.presets.vgg import VGG

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({**EVENT_NETWORKS, **VGG, **PTL_NETWORKS, **TREVSNN, **RESNET})
"""{name: network}."""


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
    """The layers of ``preset`` for an input of ``shape``. Raises InputError when the map shrinks to nothing."""
    layers = preset.build(shape, options)
    map_after(layers, shape)
    return layers


def _takes(preset: Preset, shape: Shape, options: PresetSection) -> bool:
    try:
        _checked(preset, shape, options)
    except InputError:
        return False
    return True
