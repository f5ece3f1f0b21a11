"""Adapts the last layer to the chip's readout layer: spreads its features by the chip's spacing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import FitError, UnsupportedError
from deploytool.chip.chips import Chip, Readout
from deploytool.chip.memory import cores_for, memories_text
from deploytool.ir.program import Layer, Program


def widen(program: Program, chip: Chip) -> Program:
    """``program`` with feature i of its last layer moved to feature 4 i (the chip's spacing), silent ones in between.

    Exact: weights, biases and starts of the features in between are 0 and their threshold is above 0: they never fire.
    ``program`` is placed and in integers. Raises UnsupportedError if its output does not suit the readout layer, and
    FitError if the core of the last layer is too small for the widened layer.
    """
    readout, name = _readout(chip), _answer(program, chip)
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


def _readout(chip: Chip) -> Readout:
    if chip.readout is None:
        raise UnsupportedError(
            "readout", f"{chip.title}, whose readout fields are unknown", "a Speck", "Turn the readout off."
        )
    return chip.readout


def _answer(program: Program, chip: Chip) -> str:
    """The one layer that gives the classes."""
    if len(program.outputs) != 1:
        raise UnsupportedError("readout", f"{len(program.outputs)} output layers", "one", "Turn the readout off.")
    (name,) = program.outputs
    layer, classes = program.layers[name], _readout(chip).classes
    if layer.routes or layer.out_shape[1:] != (1, 1) or layer.out_shape[0] > classes:
        feeds = f", feeding {', '.join(route.to for route in layer.routes)}" if layer.routes else ""
        raise UnsupportedError(
            f"layer {name!r}",
            f"an output of {'x'.join(map(str, layer.out_shape))}{feeds}",
            f"1 to {classes} features of one neuron each that feed no other layer",
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
