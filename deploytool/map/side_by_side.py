"""Adds of currents on a chip: the weights of a layer side by side in one kernel, one after the other in features.

A core has one set of weights. Sets that agree in stride and in the size of their input map become one set, whose input
features are those of all sets in order; each route's feature shift grows by the first feature of its set. Every event
updates the same neurons by the same weights in the same order, so no spike changes.

Sets with kernels of different sizes are padded with zeros to one kernel, so that each tap keeps its place:
with padding P = max p, a tap at k of a kernel with padding p goes to k + P - p. The zeros are harmless where updates
by 0 are (`deploytool.map.lower.ignores_zeros`); otherwise only sets with the same kernel and padding are joined.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from deploytool.base.arrays import Array, Pair
from deploytool.ir.program import Program, Route, Synapses


class Sets(NamedTuple):
    """The ``sets`` of synapses of a layer, or rewritten ones that update the same neurons alike.

    ``fill`` is True if updates by 0 have no effect.
    """

    sets: Sequence[Synapses]
    fill: bool


def side_by_side(program: Program, wanted: Mapping[str, Sets]) -> Program:
    """``program`` with the sets of synapses of each layer in ``wanted`` joined to one, if they agree.

    The set that receives the input comes first, because the features of the sensor cannot be shifted.
    """
    fed_by_input = {(route.to, route.synapses) for route in program.input_routes}
    joined: dict[str, Synapses] = {}
    starts: dict[tuple[str, int], int] = {}
    for name, (sets, fill) in wanted.items():
        order = sorted(range(len(sets)), key=lambda number: (name, number) not in fed_by_input)
        if (found := _joined([sets[number] for number in order], fill)) is not None:
            joined[name] = found
            first = itertools.accumulate((sets[number].in_shape[0] for number in order), initial=0)
            starts |= {(name, number): start for number, start in zip(order, first, strict=False)}

    def led(routes: tuple[Route, ...]) -> tuple[Route, ...]:
        return tuple(
            _shifted(route, starts[route.to, route.synapses]) if route.to in joined else route for route in routes
        )

    layers = {
        name: replace(layer, routes=led(layer.routes), synapses=(joined[name],) if name in joined else layer.synapses)
        for name, layer in program.layers.items()
    }
    return program.with_layers(layers, input_routes=led(program.input_routes)) if joined else program


def _shifted(route: Route, start: int) -> Route:
    return replace(route, synapses=0, feature_shift=route.feature_shift + start)


def _joined(sets: Sequence[Synapses], fill: bool) -> Synapses | None:
    """One set of synapses with the input features of all ``sets``, or None if they do not agree."""
    first = sets[0]
    if any(
        (each.stride, each.dilation, each.in_shape[1:], each.groups) != (first.stride, (1, 1), first.in_shape[1:], 1)
        for each in sets
    ):
        return None
    padding = _largest([each.padding for each in sets])
    kernel = _largest([_end(each, padding) for each in sets])
    if not fill and any((each.kernel, each.padding) != (kernel, padding) for each in sets):
        return None
    weights = np.concatenate([_padded(each, kernel, padding) for each in sets], axis=1)
    joined = replace(first, weights=weights, in_shape=(weights.shape[1], *first.in_shape[1:]), padding=padding)
    return joined if all(_output_size(joined, axis) == first.out_shape[1 + axis] for axis in (0, 1)) else None


def _largest(pairs: Sequence[Pair]) -> Pair:
    return max(y for y, _ in pairs), max(x for _, x in pairs)


def _end(synapses: Synapses, padding: Pair) -> Pair:
    """The first row and column after the kernel of ``synapses`` in a kernel with ``padding``."""
    (ky, kx), (py, px) = synapses.kernel, synapses.padding
    return ky + padding[0] - py, kx + padding[1] - px


def _padded(synapses: Synapses, kernel: Pair, padding: Pair) -> Array:
    """The weights with zeros around them: those of a ``kernel`` with ``padding``."""
    widths = [(0, 0), (0, 0)]
    for axis in (0, 1):
        before = padding[axis] - synapses.padding[axis]
        widths.append((before, kernel[axis] - synapses.kernel[axis] - before))
    padded: Array = np.pad(synapses.weights, widths)
    return padded


def _output_size(synapses: Synapses, axis: int) -> int:
    room = synapses.in_shape[1 + axis] + 2 * synapses.padding[axis] - synapses.kernel[axis]
    return room // synapses.stride[axis] + 1 if room >= 0 else 0
