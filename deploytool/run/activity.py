"""What a run says of layers beside their spikes: updates per neuron, how far V can go, weights above threshold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deploytool.events import Shape
from deploytool.graph import Array
from deploytool.program import Arithmetic, Layer, Program, Route
from deploytool.run.checks import STATE


def weights_above(layer: Layer) -> int:
    """The number of weights that take V from 0 past the (lowest) threshold in one update."""
    return int((layer.weights > np.min(layer.threshold)).sum())


def bound(layer: Layer, arithmetic: Arithmetic) -> tuple[int, int] | None:
    """(lowest, highest) V that no input can pass, before reset; None in float32, or where V may pile up.

        floor <= V <= threshold - 1 + max w

    holds where V < threshold before every update: with a reset to zero, with many spikes per update, or where no
    weight is above the threshold. Elsewhere what one spike leaves adds up, until V saturates.
    """
    if arithmetic == "float32":
        return None
    largest = int(layer.weights.max(initial=0))
    if layer.at_most_one and layer.reset == "subtract" and largest > np.min(layer.threshold):
        return None
    floor = STATE.min if layer.floor is None else layer.floor
    return int(floor), min(int(STATE.max), int(np.max(layer.threshold)) - 1 + largest)


def updates_of_neurons(program: Program, spikes: Mapping[str, Array]) -> dict[str, NDArray[np.int64]]:
    """{logical layer: (C, H, W)}: synaptic updates of every neuron, from the spikes that were sent to its layer.

    ``spikes`` {logical layer or "input": (C, H, W)} are counts before pooling; layers that get spikes from one that
    is not among them are left out.
    """
    found = {}
    for name, parts in program.parts.items():
        if all(source in spikes for source, _ in program.inflows(parts[0])):
            found[name] = np.concatenate([_updates(program, part, spikes) for part in parts])
    return found


def _updates(program: Program, name: str, spikes: Mapping[str, Array]) -> NDArray[np.int64]:
    """Updates (O, H, W) of the neurons of one layer: the events on its input map below each of its kernels."""
    layer = program.layers[name]
    arrived = np.zeros(layer.in_shape, np.int64)
    for source, routes in program.inflows(name):
        for part, route in routes.items():
            start = program.place_in(part)[1]
            _arrive(arrived, spikes[source][start : start + program.map_of(part)[0]], route)
    outputs, height, width = layer.out_shape
    padded = np.pad(arrived.reshape(layer.groups, -1, *layer.in_shape[1:]).sum(axis=1), _sides(layer))
    total = np.zeros((layer.groups, height, width), np.int64)
    for ky in range(layer.kernel[0]):
        for kx in range(layer.kernel[1]):
            y, x = ky * layer.dilation[0], kx * layer.dilation[1]
            below = padded[:, y :: layer.stride[0], x :: layer.stride[1]]
            total += below[:, :height, :width]
    return np.repeat(total, outputs // layer.groups, axis=0)


def _sides(layer: Layer) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    (y, x) = layer.padding
    return (0, 0), (y, y), (x, x)


def _arrive(arrived: Array, sent: Array, route: Route) -> None:
    """Adds the spikes ``sent`` (C, H, W) to where they arrive by ``route``; those that fall outside are dropped."""
    shape: Shape = sent.shape
    c, y, x = np.indices(shape)
    c, y, x = c + route.feature_shift, y // route.pool[0], x // route.pool[1]
    features, height, width = arrived.shape
    inside = (c < features) & (y < height) & (x < width)
    np.add.at(arrived, (c[inside], y[inside], x[inside]), sent[inside])
