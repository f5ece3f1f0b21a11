"""Exact rewrites of layers into the shapes a chip has: one set of weights, with a dense, undilated, square kernel.

Most of them pad a kernel with zeros. An update by 0 changes no neuron, unless an earlier update can leave V at or above
the threshold: then any update, even by 0, makes the neuron fire. Layers with such weights stay as they are, except if
no event ever reaches the zeros: a Linear on an oblong map.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

import numpy as np

from deploytool.base.arrays import Array, without_repeats
from deploytool.base.errors import UnsupportedError
from deploytool.chip.chips import Chip
from deploytool.ir.geometry import arrival_size, targets
from deploytool.ir.program import Layer, Program, Synapses
from deploytool.ir.spec.verify import rules_named, violations
from deploytool.map.side_by_side import Sets, side_by_side

NEURONS: Final = rules_named("leak", "zero-reset", "synapses", "no-delay")
"""Rules about the neurons of a layer; no change of sizes can satisfy them."""


def lower(program: Program, chip: Chip) -> Program:
    """``program`` with one square, dense, undilated kernel per layer, wherever that changes no spike.

    Other layers stay as they are; the chip's rules report them.
    Raises UnsupportedError with every layer whose neurons no chip supports: those that leak or add currents.
    """
    program = side_by_side(
        program, {name: _sets(each, chip) for name, each in program.layers.items() if len(each.synapses) > 1}
    )
    if found := violations(program, NEURONS, chip):
        raise UnsupportedError.together(violation.error(UnsupportedError) for violation in found)
    layers: dict[str, Layer] = {}
    for name, layer in program.layers.items():
        last = [
            max((arrival_size(program, source, route, axis) for source, route in program.feeders(name)), default=0)
            for axis in (0, 1)
        ]
        synapses, fill = layer.single, ignores_zeros(layer)
        if fill:
            synapses = _undilated(_dense(synapses), chip)
        layers[name] = replace(layer, synapses=(_square(synapses, fill, last, chip),))
    return program.with_layers(layers)


def _sets(layer: Layer, chip: Chip) -> Sets:
    """The sets of synapses of ``layer``, rewritten where updates by 0 have no effect."""
    fill = ignores_zeros(layer)
    sets = [_undilated(_dense(synapses), chip) for synapses in layer.synapses] if fill else layer.synapses
    return Sets(sets, fill)


def ignores_zeros(layer: Layer) -> bool:
    """Whether an update by 0 has no effect: V < threshold before it, and no neuron starts below its floor.

    With V < threshold and w <= threshold, V + w - threshold < threshold, so V is below the threshold after a spike.
    """
    neurons = layer.neurons
    settles = neurons.reset == "zero" or not neurons.at_most_one
    heaviest = 0.0 if settles else max(float(without_repeats(synapses.weights).max()) for synapses in layer.synapses)
    lowest = float(np.min(neurons.threshold))
    return heaviest <= lowest and np.max(neurons.v_init) < lowest and (neurons.floor is None or neurons.floor <= 0)


def _dense(synapses: Synapses) -> Synapses:
    """One group: (O, I / groups, KH, KW) on the diagonal of (O, I, KH, KW)."""
    if synapses.groups == 1:
        return synapses
    weights = synapses.weights
    outputs, per_group, *kernel = weights.shape
    dense = np.zeros((outputs, synapses.in_shape[0], *kernel), weights.dtype)
    rows = outputs // synapses.groups
    for g in range(synapses.groups):
        dense[g * rows : (g + 1) * rows, g * per_group : (g + 1) * per_group] = weights[g * rows : (g + 1) * rows]
    return replace(synapses, weights=dense, groups=1)


def _undilated(synapses: Synapses, chip: Chip) -> Synapses:
    """The kernel with zeros between its rows and columns, if ``chip`` supports that size."""
    dy, dx = synapses.dilation
    kernel = (dy * (synapses.kernel[0] - 1) + 1, dx * (synapses.kernel[1] - 1) + 1)
    if synapses.dilation == (1, 1) or max(kernel) > chip.kernel_max:
        return synapses
    weights = np.zeros((*synapses.weights.shape[:2], *kernel), synapses.weights.dtype)
    weights[:, :, ::dy, ::dx] = synapses.weights
    return replace(synapses, weights=weights, dilation=(1, 1))


def _square(synapses: Synapses, fill: bool, last: list[int], chip: Chip) -> Synapses:
    """The kernel padded to a square, or ``synapses`` unchanged if no exact rewrite exists.

    ``fill`` is True if updates by 0 have no effect; ``last`` (row, column) is the last position of arriving events,
    including the pooling remainder.
    """
    side = max(synapses.kernel)
    if synapses.kernel[0] == synapses.kernel[1] or side > chip.kernel_max or synapses.dilation != (1, 1):
        return synapses
    axis = 0 if synapses.kernel[0] < side else 1
    missing = side - synapses.kernel[axis]
    strides = chip.strides if synapses.out_shape[1 + axis] == 1 else (synapses.stride[axis],)
    ways = (_filled(synapses, axis, before, missing, step) for before in range(missing + 1) for step in strides)
    fitting = [filled for filled in ways if _has_room(filled, axis, chip)]
    unchanged = (filled for filled in fitting if _same_targets(synapses, filled, axis, last[axis]))
    harmless = fitting if fill else []
    return next(itertools.chain(unchanged, harmless), synapses)


def _filled(synapses: Synapses, axis: int, before: int, missing: int, step: int) -> Synapses:
    """``synapses`` with ``missing`` zeros along ``axis``, ``before`` of them in front with as much more padding, and
    the stride ``step``, which is free where the output map has one row or column; both maps stay as they are."""
    widths = [(0, 0)] * 4
    widths[2 + axis] = (before, missing - before)
    weights: Array = np.pad(synapses.weights, widths)
    padding, stride = list(synapses.padding), list(synapses.stride)
    padding[axis] += before
    stride[axis] = step
    return replace(synapses, weights=weights, padding=(padding[0], padding[1]), stride=(stride[0], stride[1]))


def _has_room(filled: Synapses, axis: int, chip: Chip) -> bool:
    """Whether the chip supports the padding of ``filled`` and computes the right output map."""
    room = filled.in_shape[1 + axis] + 2 * filled.padding[axis] - filled.kernel[axis]
    output = room // filled.stride[axis] + 1
    return filled.padding[axis] <= chip.padding_max and room >= 0 and output == filled.out_shape[1 + axis]


def _same_targets(synapses: Synapses, filled: Synapses, axis: int, last: int) -> bool:
    """Whether every event up to position ``last`` reaches the same neurons as before."""
    return all(
        sorted(targets(synapses, axis, position)) == sorted(targets(filled, axis, position)) for position in range(last)
    )
