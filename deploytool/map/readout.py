"""Adapts the last layer to the chip's readout layer, which has its neurons in one of several layouts.

A layout is features x rows x columns. With single neurons (16x1x1) the features of the last layer are spread by the
chip's spacing; with maps the layer stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, Shape, format_shape
from deploytool.base.errors import FitError, UnsupportedError
from deploytool.chip.chips import Chip, Readout
from deploytool.chip.memory import cores_for, memories_text
from deploytool.ir.program import Layer, Program

BY_FEATURE: Final = "16x1x1"
"""The layout of single neurons: the class is the feature."""


def layout_numbers(chip: Chip) -> dict[str, int]:
    """{layout: value of readout_configuration_sel}. Raises UnsupportedError if the readout of ``chip`` is unknown."""
    return {format_shape(shape): number for number, shape in enumerate(readout_of(chip).layouts)}


def arranged(program: Program, chip: Chip, layout: str) -> Program:
    """``program`` with its last layer as the readout takes it in ``layout``: see `widen`, or unchanged with maps.

    Raises UnsupportedError if its output does not fit in the layout, and FitError as `widen` does.
    """
    if layout == BY_FEATURE:
        return widen(program, chip)
    most = readout_of(chip).layouts[layout_numbers(chip)[layout]]
    _answer(program, most, f"at most {most[0]} features of {most[1]}x{most[2]} neurons")
    return program


def class_spacing(chip: Chip, configuration: Mapping[str, Any]) -> int:
    """The number of features from one class to the next in the last layer of ``configuration``; 1 unless widened."""
    if chip.readout is None or not configuration["readout"]["enable"]:
        return 1
    by_feature = configuration["readout"]["readout_configuration_sel"] == layout_numbers(chip)[BY_FEATURE]
    return chip.readout.spacing if by_feature else 1


def as_configured(program: Program, chip: Chip, configuration: Mapping[str, Any]) -> Program:
    """``program`` as its ``configuration`` has it: widened if the readout makes that necessary."""
    return program if class_spacing(chip, configuration) == 1 else widen(program, chip)


def widen(program: Program, chip: Chip) -> Program:
    """``program`` with feature i of its last layer moved to feature 4 i (the chip's spacing), silent ones in between.

    Exact: weights, biases and starts of the features in between are 0 and their threshold is above 0: they never fire.
    ``program`` is placed and in integers. Raises UnsupportedError if its output does not suit the readout layer, and
    FitError if the core of the last layer is too small for the widened layer.
    """
    readout = readout_of(chip)
    name = _answer(program, (readout.classes, 1, 1), f"1 to {readout.classes} features of one neuron each")
    wide = _spaced(program.layers[name], readout.spacing)
    core, fitting = program.core_of[name], cores_for(wide.memory(), chip)
    if core not in fitting:
        hint = f"Pin it: --pin {name}={fitting[0]}." if fitting else "Use fewer features before it."
        raise FitError(
            f"layer {name!r}",
            f"{wide.out_shape[0]} features for the readout need {wide.memory().words}",
            f"a core that holds them (now it has {memories_text(chip, [core])})",
            hint,
        )
    return program.with_layers({**program.layers, name: wide})


def readout_of(chip: Chip) -> Readout:
    """The readout of ``chip``. Raises UnsupportedError if it is unknown."""
    if chip.readout is None:
        raise UnsupportedError(
            "readout", f"{chip.title}, whose readout fields are unknown", "a Speck", "Turn the readout off."
        )
    return chip.readout


def _answer(program: Program, most: Shape, need: str) -> str:
    """The one layer that gives the classes. Raises UnsupportedError if it is larger than ``most``: ``need`` says so."""
    if len(program.outputs) != 1:
        raise UnsupportedError("readout", f"{len(program.outputs)} output layers", "one", "Turn the readout off.")
    (name,) = program.outputs
    layer = program.layers[name]
    if layer.routes or any(size > limit for size, limit in zip(layer.out_shape, most, strict=True)):
        feeds = f", feeding {', '.join(route.to for route in layer.routes)}" if layer.routes else ""
        raise UnsupportedError(
            f"layer {name!r}",
            f"an output of {'x'.join(map(str, layer.out_shape))}{feeds}",
            f"{need} that feed no other layer",
            "Turn the readout off.",
        )
    return name


def _spaced(layer: Layer, spacing: int) -> Layer:
    features = spacing * (layer.out_shape[0] - 1) + 1

    def spaced(array: Array) -> Array:
        wide = np.zeros((features, *array.shape[1:]), array.dtype)
        wide[::spacing] = array
        return wide

    bias = None if layer.bias is None else spaced(layer.bias)
    v_init = spaced(np.broadcast_to(np.asarray(layer.neurons.v_init, np.int16), layer.out_shape))
    out_shape = (features, *layer.out_shape[1:])
    wide = layer.with_single(weights=spaced(layer.single.weights), out_shape=out_shape)
    return replace(wide, neurons=replace(layer.neurons, v_init=v_init), bias=bias)
