"""Exact rewrites of layers into the shapes a chip has: dense, undilated, square kernels.

Each fills a kernel with zeros. An update by 0 changes no neuron, unless one update can leave a potential at or
above the threshold, where the next update of any weight lets the neuron fire. Layers with such weights keep their
form, except where no event ever meets the zeros: a Linear on an oblong map.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.chip.chips import Chip
from deploytool.ir.program import Layer, Program
from deploytool.map.geometry import arriving, targets


def lower(program: Program, chip: Chip) -> Program:
    """``program`` with groups, dilation and oblong kernels filled up with zeros where that changes no spike.

    What cannot be rewritten exactly stays, and the rules of the chip speak about it.
    Raises UnsupportedError with every layer whose neurons no chip has: those that leak or add potentials.
    """
    problems = [problem for name, layer in program.layers.items() for problem in _foreign(name, layer, chip)]
    problems += [
        UnsupportedError(
            f"layer {to!r} on {chip.title}",
            f"gets spikes of {source!r} with a delay",
            "spikes that arrive at once",
            "A core sends spikes on as soon as it can, and cores in a circle may deadlock: leave the Delay out, or run "
            "it on the simulator.",
        )
        for to, _, source, _ in program.delayed
    ]
    if problems:
        raise UnsupportedError.together(problems)
    layers: Mapping[str, Layer] = program.layers
    for name, layer in program.layers.items():
        dense = _undilated(_dense(layer), chip)
        last = [
            max((arriving(program, source, route, axis) for source, route in program.feeders(name)), default=0)
            for axis in (0, 1)
        ]
        layers = {**layers, name: _square(dense, last, chip)}
    return program.with_layers(layers)


def _foreign(name: str, layer: Layer, chip: Chip) -> Iterator[UnsupportedError]:
    where, target = f"layer {name!r} on {chip.title}", "or run it on the simulator."
    if layer.tau_ms is not None:
        yield UnsupportedError(
            where,
            "a leak (tau_ms is given)",
            "integrate-and-fire neurons (tau_ms None)",
            f"Train with IF neurons, or with a time constant much longer than a sample, {target}",
        )
    if np.any(layer.v_reset):
        yield UnsupportedError(where, "a v_reset that is not 0", "reset by subtraction or to 0")
    if layer.branches:
        yield UnsupportedError(
            where,
            f"an Add of the potentials of {len(layer.synapses)} sets of weights ({', '.join(layer.sources)})",
            "one Conv or Linear before a Spike",
            f"Put a Spike behind each of them, or join the inputs by a Concat before one Conv, {target}",
        )


def ignores_zeros(layer: Layer) -> bool:
    """Whether an update by 0 changes nothing: no neuron has V >= threshold before it, and none starts below its floor.

    With V < threshold and w <= threshold, V + w - threshold < threshold: after its spike a neuron is below again.
    """
    settles = layer.reset == "zero" or not layer.at_most_one
    heaviest, lowest = 0.0 if settles else float(layer.weights.max()), float(np.min(layer.threshold))
    return heaviest <= lowest and np.max(layer.v_init) < lowest and (layer.floor is None or layer.floor <= 0)


def _dense(layer: Layer) -> Layer:
    """One group: (O, I / groups, KH, KW) on the diagonal of (O, I, KH, KW)."""
    if layer.groups == 1 or not ignores_zeros(layer):
        return layer
    outputs, per_group, *kernel = layer.weights.shape
    dense = np.zeros((outputs, layer.in_shape[0], *kernel), layer.weights.dtype)
    rows = outputs // layer.groups
    for g in range(layer.groups):
        dense[g * rows : (g + 1) * rows, g * per_group : (g + 1) * per_group] = layer.weights[g * rows : (g + 1) * rows]
    return replace(layer, weights=dense, groups=1)


def _undilated(layer: Layer, chip: Chip) -> Layer:
    dy, dx = layer.dilation
    kernel = (dy * (layer.kernel[0] - 1) + 1, dx * (layer.kernel[1] - 1) + 1)
    if layer.dilation == (1, 1) or max(kernel) > chip.kernel_max or not ignores_zeros(layer):
        return layer
    weights = np.zeros((*layer.weights.shape[:2], *kernel), layer.weights.dtype)
    weights[:, :, ::dy, ::dx] = layer.weights
    return replace(layer, weights=weights, dilation=(1, 1))


def _square(layer: Layer, last: list[int], chip: Chip) -> Layer:
    """The kernel made square along its shorter side, or ``layer`` itself where no way is exact.

    ``last`` (rows, columns) is how far arriving events reach, their pooling rest included.
    """
    side = max(layer.kernel)
    if layer.kernel[0] == layer.kernel[1] or side > chip.kernel_max or layer.dilation != (1, 1):
        return layer
    axis = 0 if layer.kernel[0] < side else 1
    missing = side - layer.kernel[axis]
    strides = chip.strides if layer.out_shape[1 + axis] == 1 else (layer.stride[axis],)
    ways = (_filled(layer, axis, before, missing, step) for before in range(missing + 1) for step in strides)
    fitting = [filled for filled in ways if _has_room(filled, axis, chip)]
    unchanged = (filled for filled in fitting if _same_targets(layer, filled, axis, last[axis]))
    harmless = fitting if ignores_zeros(layer) else []
    return next(itertools.chain(unchanged, harmless), layer)


def _filled(layer: Layer, axis: int, before: int, missing: int, step: int) -> Layer:
    """``layer`` with ``missing`` zeros along ``axis``, ``before`` of them in front with as much more padding, and the
    stride ``step``, which is free where the output map has one row or column; both maps stay as they are."""
    widths = [(0, 0)] * 4
    widths[2 + axis] = (before, missing - before)
    weights: Array = np.pad(layer.weights, widths)
    padding, stride = list(layer.padding), list(layer.stride)
    padding[axis] += before
    stride[axis] = step
    return replace(layer, weights=weights, padding=(padding[0], padding[1]), stride=(stride[0], stride[1]))


def _has_room(filled: Layer, axis: int, chip: Chip) -> bool:
    """Whether the chip takes the padding of ``filled``, and computes the output map it should."""
    room = filled.in_shape[1 + axis] + 2 * filled.padding[axis] - filled.kernel[axis]
    output = room // filled.stride[axis] + 1
    return filled.padding[axis] <= chip.padding_max and room >= 0 and output == filled.out_shape[1 + axis]


def _same_targets(layer: Layer, filled: Layer, axis: int, last: int) -> bool:
    """Whether every event up to position ``last`` reaches the same neurons as before."""
    return all(
        sorted(targets(layer, axis, position)) == sorted(targets(filled, axis, position)) for position in range(last)
    )
