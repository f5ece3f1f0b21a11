"""Rules for int8/int16 arithmetic: representable numbers, and neurons without time constants."""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.program import STATE, Layer, Program
from deploytool.ir.spec.rule import Findings, Level, Rule, on_layers, on_program

NO_LEAK: Final = (
    "Train with integrate-and-fire neurons, or with a time constant much longer than a sample, or run the network on "
    "the simulator."
)


def _arithmetic(program: Program) -> Findings:
    if program.arithmetic == "float32":
        yield f"program for {program.chip!r}", "computes in float32"


def _leak(layer: Layer) -> str | None:
    return None if layer.neurons.leak is None else "a leak (tau_ms is given)"


def _zero_reset(layer: Layer) -> str | None:
    return "a v_reset that is not 0" if np.any(layer.neurons.v_reset) else None


def _threshold(layer: Layer) -> str | None:
    threshold = np.asarray(layer.neurons.threshold)
    return None if _whole(threshold) and threshold.max() <= STATE.max else f"a threshold of {_range(threshold)}"


def _floor(layer: Layer) -> str | None:
    floor = layer.neurons.floor
    return None if floor is None or (_whole(np.asarray(floor)) and floor >= STATE.min) else f"a floor of {floor}"


def _start(layer: Layer) -> str | None:
    start = np.asarray(layer.neurons.v_init)
    inside = start.min() >= STATE.min and start.max() <= STATE.max
    return None if inside and _whole(start) else f"v_init of {_range(start)}"


def _whole(values: Array) -> bool:
    return bool((values == np.floor(values)).all())


def _range(values: Array) -> str:
    return f"{values.min()}" if values.min() == values.max() else f"{values.min()}..{values.max()}"


INTEGER: Final[tuple[Rule, ...]] = (
    Rule(
        "arithmetic",
        Level.INTEGER,
        "int8/int16",
        on_program(_arithmetic),
        "Map the network for a chip first: deploytool map GRAPH --target speck2e.",
    ),
    Rule(
        "leak",
        Level.INTEGER,
        "integrate-and-fire neurons in int8/int16",
        on_layers(_leak),
        NO_LEAK,
        early=True,
    ),
    Rule(
        "zero-reset",
        Level.INTEGER,
        "reset by subtraction or to 0 in int8/int16",
        on_layers(_zero_reset),
        "Train with one of these resets, or run the network on the simulator.",
        early=True,
    ),
    Rule(
        "whole-threshold",
        Level.INTEGER,
        f"integer thresholds of at most {STATE.max}",
        on_layers(_threshold),
        "Quantise the layer again.",
    ),
    Rule(
        "whole-floor",
        Level.INTEGER,
        f"integer floors of at least {STATE.min}",
        on_layers(_floor),
        "Quantise the layer again.",
    ),
    Rule(
        "whole-start",
        Level.INTEGER,
        f"integer v_init in {STATE.min}..{STATE.max}",
        on_layers(_start),
        "Quantise the layer again.",
    ),
)
