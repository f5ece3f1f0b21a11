"""Statistics of layers in a run: updates per neuron, bounds of V, weights above the threshold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape
from deploytool.ir.program import STATE, Arithmetic, Layer, Program, Route, Synapses


def weights_above(layer: Layer) -> int:
    """The number of weights that take V from 0 past the (lowest) threshold in one update."""
    return sum(int((synapses.weights > np.min(layer.neurons.threshold)).sum()) for synapses in layer.synapses)


def bound(layer: Layer, arithmetic: Arithmetic) -> tuple[int, int] | None:
    """(lowest, highest) bounds of V before reset, for any input; None in float32, or if V may accumulate.

        floor <= V <= max(threshold - 1, v_init) + max w, with the bias among the w,

    holds where V < threshold before every update, or below v_init: with a reset to zero, with many spikes per update,
    or if no weight is above the threshold. Otherwise the remainder after each spike accumulates until V saturates.
    """
    if arithmetic == "float32":
        return None
    largest = max(int(synapses.weights.max(initial=0)) for synapses in layer.synapses)
    largest = max(largest, 0 if layer.bias is None else int(layer.bias.max()))
    neurons = layer.neurons
    if neurons.at_most_one and neurons.reset == "subtract" and largest > np.min(neurons.threshold):
        return None
    floor = STATE.min if neurons.floor is None else neurons.floor
    start = max(int(np.max(neurons.threshold)) - 1, int(np.max(neurons.v_init)))
    return int(floor), min(int(STATE.max), start + largest)


def updates_of_neurons(program: Program, spikes: Mapping[str, Array]) -> dict[str, NDArray[np.int64]]:
    """{logical layer: (C, H, W)}: synaptic updates of every neuron, computed from the spikes sent to its layer.

    ``spikes`` {logical layer or "input": (C, H, W)} are counts before pooling; layers that get spikes from one that
    is not among them, or that may arrive after the end, and layers with a balancer, are left out.
    """
    found = {}
    unknown = {to for to, *_ in program.delayed} | {name for name, layer in program.layers.items() if layer.balancer}
    for name, parts in program.parts.items():
        known = unknown.isdisjoint((name, *parts))
        if known and all(source in spikes for source, _ in program.inflows(parts[0])):
            found[name] = np.concatenate([_updates(program, part, spikes) for part in parts])
    return found


def _updates(program: Program, name: str, spikes: Mapping[str, Array]) -> NDArray[np.int64]:
    """(O, H, W): updates of each neuron of one layer, the number of input events under its kernels."""
    layer = program.layers[name]
    arrived = [np.zeros(synapses.in_shape, np.int64) for synapses in layer.synapses]
    for source, routes in program.inflows(name):
        for part, route in routes.items():
            start = program.place_in(part)[1]
            _arrive(arrived[route.synapses], spikes[source][start : start + program.map_of(part)[0]], route)
    total = np.zeros(layer.out_shape, np.int64)
    for synapses, events in zip(layer.synapses, arrived, strict=True):
        total += _below(synapses, events)
    return total


def _below(synapses: Synapses, arrived: Array) -> NDArray[np.int64]:
    """(O, H, W): the number of events ``arrived`` (C, H, W) under the kernel of each neuron."""
    outputs, height, width = synapses.out_shape
    (y_side, x_side), groups = synapses.padding, synapses.groups
    by_group = arrived.reshape(groups, -1, *synapses.in_shape[1:]).sum(axis=1)
    padded = np.pad(by_group, ((0, 0), (y_side, y_side), (x_side, x_side)))
    total = np.zeros((groups, height, width), np.int64)
    for ky in range(synapses.kernel[0]):
        for kx in range(synapses.kernel[1]):
            y, x = ky * synapses.dilation[0], kx * synapses.dilation[1]
            below = padded[:, y :: synapses.stride[0], x :: synapses.stride[1]]
            total += below[:, :height, :width]
    return np.repeat(total, outputs // groups, axis=0)


def _arrive(arrived: Array, sent: Array, route: Route) -> None:
    """Adds the spikes ``sent`` (C, H, W) to ``arrived`` at their positions after ``route``; drops those outside."""
    shape: Shape = sent.shape
    c, y, x = np.indices(shape)
    c, y, x = c + route.feature_shift, y // route.pool[0], x // route.pool[1]
    features, height, width = arrived.shape
    inside = (c < features) & (y < height) & (x < width)
    np.add.at(arrived, (c[inside], y[inside], x[inside]), sent[inside])
