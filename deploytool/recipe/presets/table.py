"""All presets by name, and their layers. A new family needs a file in this folder and a line in PRESETS."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError, RecipeError
from deploytool.base.nearest import did_you_mean
from deploytool.recipe.presets.blocks import map_after
from deploytool.recipe.presets.events import EVENT_NETWORKS
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection
from deploytool.recipe.presets.ptl import PTL_NETWORKS
from deploytool.recipe.presets.resnet import RESNET
from deploytool.recipe.presets.trevsnn import TREVSNN
from deploytool.recipe.presets.vgg import VGG
from deploytool.recipe.section import ConflictError

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({**EVENT_NETWORKS, **VGG, **PTL_NETWORKS, **TREVSNN, **RESNET})
"""{name: network}."""


def expand(values: Mapping[str, Any]) -> list[Layer]:
    """The layers that a [network] section of ``values`` with a preset stands for.

    Raises ConflictError for an unknown preset, options it does not have, and an input that is too small for it;
    pydantic's ValidationError, with every problem, for wrong values.
    """
    name = values["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        need = f"one of {', '.join(PRESETS)}"
        raise ConflictError([RecipeError("preset", f"found {name!r}", need, did_you_mean(name, PRESETS))])
    preset = PRESETS[name]
    if problems := list(_option_problems(name, preset, values)):
        raise ConflictError(problems)
    options = PresetSection.model_validate({**preset.options, **values})
    try:
        return _checked(preset, options.input, options)
    except InputError:
        features = options.input[0]
        least = next(side for side in itertools.count(1) if _takes(preset, (features, side, side), options))
        found = f"preset {name!r} with an input of {format_shape(options.input)}"
        need = f"at least {format_shape((features, least, least))}"
        ways = ({"input": [features, least, least]},)
        raise ConflictError([RecipeError("input", found, need, ways=ways)]) from None


def _option_problems(name: str, preset: Preset, values: Mapping[str, Any]) -> Iterator[RecipeError]:
    """Keys that the preset called ``name`` does not have, and the one that it needs."""
    keys = ("preset", "input", *preset.options)
    for key in values:
        if key not in keys:
            found = f"no option of preset {name!r}"
            yield RecipeError(key, found, f"one of {', '.join(keys)}", did_you_mean(key, keys))
    if "classes" in preset.options and "classes" not in values:
        count = preset.options["classes"]
        need = f"their number, {count} in its source"
        yield RecipeError("classes", f"missing with preset {name!r}", need, ways=({"classes": count},))


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
