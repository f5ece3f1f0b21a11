"""Shape inference: the output shape of each node for its input shapes. No other module computes it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError
from deploytool.ir.nodes import (
    PER_NEURON,
    Add,
    AvgPool,
    Concat,
    Conv,
    Delay,
    Flatten,
    Input,
    Linear,
    Node,
    Output,
    Spike,
    SumPool,
)

VALUES_MAX: Final = 2**28
"""Largest map: 600 times the largest map we found in the literature, and 1 GB in float32."""


def out_shape(node: Node, *shapes: Shape, where: str = "node") -> Shape:
    """The output shape (C, H, W) of ``node`` for inputs of ``shapes``.

    Raises InputError, located at ``where``, if the node does not accept these inputs.
    """
    match node:
        case Input():
            return _positive(node.shape, where)
        case Conv():
            return _conv_shape(node, shapes[0], where)
        case Linear():
            size = shapes[0][0]
            if shapes[0] != (size, 1, 1) or size != node.weight.shape[1]:
                raise InputError(
                    where,
                    f"Linear takes {node.weight.shape[1]} values but gets {format_shape(shapes[0])}",
                    f"a vector of {node.weight.shape[1]}",
                    "Check whether a Flatten is missing.",
                )
            check_bias(node, where)
            return _positive((node.weight.shape[0], 1, 1), where, "the Linear")
        case SumPool() | AvgPool():
            c, h, w = shapes[0]
            pooled = (c, (h - node.kernel[0]) // node.stride[0] + 1, (w - node.kernel[1]) // node.stride[1] + 1)
            return _positive(pooled, where, f"{type(node).__name__} of {node.kernel} on {format_shape(shapes[0])}")
        case Flatten():
            return (math.prod(shapes[0]), 1, 1)
        case Add():
            if len(set(shapes)) > 1:
                raise InputError(where, f"Add of {', '.join(map(format_shape, shapes))}", "inputs of one shape")
            return shapes[0]
        case Concat():
            if len({shape[1:] for shape in shapes}) > 1:
                raise InputError(where, f"Concat of {', '.join(map(format_shape, shapes))}", "maps of one size")
            return (sum(shape[0] for shape in shapes), *shapes[0][1:])
        case Spike():
            for what in PER_NEURON:
                if isinstance(value := getattr(node, what), np.ndarray) and value.shape != shapes[0]:
                    raise InputError(where, f"{what} of shape {value.shape}", f"one number or shape {shapes[0]}")
            return shapes[0]
        case Delay():
            if isinstance(node.delay_us, np.ndarray) and node.delay_us.shape != shapes[0]:
                raise InputError(where, f"delay_us of shape {node.delay_us.shape}", f"one number or shape {shapes[0]}")
            return shapes[0]
        case Output():
            return shapes[0]


def _conv_shape(node: Conv, shape: Shape, where: str) -> Shape:
    if node.weight.ndim != 4:
        raise InputError(where, f"weights with {node.weight.ndim} axes", "four: (O, I / groups, KH, KW)")
    out, per_group = node.weight.shape[:2]
    if per_group * node.groups != shape[0]:
        raise InputError(
            where,
            f"weights of shape {node.weight.shape} in {node.groups} group(s) on {format_shape(shape)}",
            f"{per_group * node.groups} input features",
        )
    if out % node.groups:
        raise InputError(where, f"{out} output features in {node.groups} groups", "a multiple of the groups")
    check_bias(node, where)
    reach = [node.dilation[i] * (node.weight.shape[2 + i] - 1) for i in (0, 1)]
    sizes = [(shape[1 + i] + 2 * node.padding[i] - reach[i] - 1) // node.stride[i] + 1 for i in (0, 1)]
    kernel = f"a kernel of {node.weight.shape[2]}x{node.weight.shape[3]} on {format_shape(shape)}"
    return _positive((out, sizes[0], sizes[1]), where, kernel)


def check_bias(node: Conv | Linear, where: str) -> None:
    """Raises InputError unless ``node`` has one bias for each output feature, or none."""
    if node.bias is not None and node.bias.shape != (node.weight.shape[0],):
        raise InputError(where, f"a bias of shape {node.bias.shape}", f"shape ({node.weight.shape[0]},)")


def _positive(shape: Shape, where: str, what: str = "the map") -> Shape:
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(where, f"{what} gives the shape {tuple(shape)}", "three sizes of at least 1")
    if math.prod(shape) > VALUES_MAX:
        raise InputError(where, f"{what} gives {format_shape(shape)}", f"maps of at most {VALUES_MAX:,} values")
    return shape


def known_shape(node: Node) -> Shape | None:
    """The output shape of ``node`` if it does not depend on the inputs, else None."""
    match node:
        case Linear():
            return node.weight.shape[0], 1, 1
        case Delay() if isinstance(node.delay_us, np.ndarray) and node.delay_us.ndim == 3:
            return tuple(node.delay_us.shape)
    return None
