"""The synaptic updates that a spike causes, neuron by neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape
from deploytool.ir.geometry import targets
from deploytool.ir.program import Program, Route, Synapses


@dataclass(frozen=True, eq=False)
class FanOut:
    """A spike of a neuron of the logical layer ``source``, or "input", causes ``updates`` (C, H, W) synaptic updates,
    ``delay_us`` (C, H, W) after it left."""

    source: str
    updates: NDArray[np.int64]
    delay_us: NDArray[np.int64]


def fan_outs(program: Program) -> tuple[FanOut, ...]:
    """The fan-out of every layer and of the input: one for all routes without a delay, one for each with a delay."""
    prompt: dict[str, NDArray[np.int64]] = {}
    found = []
    for name in program.layers:
        for source, routes in program.inflows(name):
            shape = program.map_of(source)
            updates, delay_us = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
            for part, route in routes.items():
                start, features = program.place_in(part)[1], program.map_of(part)[0]
                synapses = program.layers[name].synapses[route.synapses]
                updates[start : start + features] = _updates(program.map_of(part), route, synapses)
                delay_us[start : start + features] = route.delays_us(program.map_of(part))
            if delay_us.any():
                found.append(FanOut(source, updates, delay_us))
            else:
                prompt[source] = prompt.get(source, 0) + updates
    return (*(FanOut(source, updates, np.zeros_like(updates)) for source, updates in prompt.items()), *found)


def _updates(shape: Shape, route: Route, synapses: Synapses) -> Array:
    """(C, H, W): the updates that a spike of each neuron on a map of ``shape`` causes along ``route``."""
    channels, height, width = shape
    features, *sizes = synapses.in_shape
    reached = [
        np.array([len(targets(synapses, axis, at // pool)) if at // pool < size else 0 for at in range(side)])
        for axis, (side, pool, size) in enumerate(zip((height, width), route.pool, sizes, strict=True))
    ]
    inside = np.arange(channels) + route.feature_shift < features
    per_position = synapses.out_shape[0] // synapses.groups
    updates: Array = np.multiply.outer(inside * per_position, np.multiply.outer(*reached))
    return updates
