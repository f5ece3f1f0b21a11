"""One NIR node to one node of ours, exactly, or an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Array, Pair, Shape
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.folding import same_padding, with_bias
from deploytool.convert.nir.fields import Assumptions, Fields, as_shape
from deploytool.convert.nir.neurons import current_based, integrate_and_fire, leaky
from deploytool.ir.nodes import AvgPool, Conv, Delay, Flatten, Input, Linear, Node, Output, SumPool
from deploytool.ir.shapes import check_bias

US_TOLERANCE: Final = 0.01
"""Largest allowed distance from a whole microsecond, in us: the rounding error of float32 seconds."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Elementwise product with ``factor``. It is not a node of a Graph: it is folded into weights before that."""

    factor: Array


def does_nothing(fields: Fields) -> bool:
    """Whether the node has no effect: an Identity, or a Delay of zero."""
    return fields.type == "Identity" or (fields.type == "Delay" and not np.any(fields.array("delay")))


def stated_shapes(fields: Fields) -> dict[str, Shape]:
    """The shapes {"in" or "out": shape} that the node states, to be checked against the actual shapes."""
    match fields.type:
        case "Input" | "Output":
            return {"out": fields.shape("shape")} if "shape" in fields.values else {}
        case "Conv2d" if "input_shape" in fields.values:
            weight = fields.array("weight", 4)
            return {"in": (weight.shape[1] * fields.integer("groups", 1), *fields.pair("input_shape", 1))}
        case "Conv1d" if "input_shape" in fields.values:
            weight = fields.array("weight", 3)
            return {"in": (weight.shape[1] * fields.integer("groups", 1), 1, fields.integer("input_shape", 1))}
        case "Linear" | "Affine":
            return {"in": (fields.array("weight", 2).shape[1], 1, 1)}
        case "Flatten" if "input_type" in fields.values:
            sizes = fields.integers("input_type", 1)
            batch = len(sizes) == 4 and sizes[0] == 1
            return {"in": as_shape(sizes[1:] if batch else sizes, f"{fields.where}: input_type")}
        case "Delay" if (delay := fields.array("delay")).size > 1:
            return {"out": as_shape(delay.shape, f"{fields.where}: delay")}
        case "IF" | "LIF" | "CubaLIF" if (threshold := fields.array("v_threshold")).size > 1:
            return {"out": as_shape(threshold.shape, f"{fields.where}: v_threshold")}
    return {}


def _input(fields: Fields, _: Assumptions) -> Node:
    fields.check_known("shape")
    return Input(fields.shape("shape"))


def _output(fields: Fields, _: Assumptions) -> Node:
    fields.check_known("shape")
    return Output()


def _conv(fields: Fields, _: Assumptions) -> Node:
    stride, dilation = fields.pair("stride", 1), fields.pair("dilation", 1)
    return _convolution(fields, fields.array("weight", 4), stride, dilation, lambda: fields.pair("padding", 0))


def _conv1d(fields: Fields, _: Assumptions) -> Node:
    """A convolution of rows: a map (C, L) is (C, 1, L)."""
    weight, stride, dilation = fields.array("weight", 3), fields.integer("stride", 1), fields.integer("dilation", 1)
    return _convolution(
        fields, weight[:, :, None], (1, stride), (1, dilation), lambda: (0, fields.integer("padding", 0))
    )


def _convolution(
    fields: Fields, weight: Array, stride: Pair, dilation: Pair, numbers: Callable[[], Pair]
) -> Conv | Linear:
    """The convolution with the padding that the node gives as a word or as ``numbers``."""
    fields.check_known("weight", "bias", "stride", "padding", "dilation", "groups")
    word = fields.get("padding")
    if not isinstance(word, str):
        padding = numbers()
    elif word == "same":
        padding = same_padding((weight.shape[2], weight.shape[3]), stride, dilation, fields.where)
    elif word == "valid":
        padding = (0, 0)
    else:
        raise InputError(fields.where, f"padding is {word!r}", "numbers, 'same' or 'valid'")
    return _biased(fields, Conv(weight, None, stride, padding, dilation, fields.integer("groups", 1)))


def _linear(fields: Fields, _: Assumptions) -> Node:
    fields.check_known("weight")
    return Linear(fields.array("weight", 2))


def _affine(fields: Fields, _: Assumptions) -> Node:
    fields.check_known("weight", "bias")
    return _biased(fields, Linear(fields.array("weight", 2)))


def _biased(fields: Fields, node: Conv | Linear) -> Conv | Linear:
    """``node`` with its bias; zeros mean no bias unless stated otherwise. Some writers omit the field for no bias."""
    if "bias" not in fields.values:
        return node
    if np.asarray(fields.get("bias")).dtype == np.bool_:
        return _without_bias(fields, node)
    biased = type(node)(**{**vars(node), "bias": fields.array("bias", 1)})
    check_bias(biased, fields.where)
    return biased if fields.stated.get("bias") else with_bias(node, biased.bias)


def _without_bias(fields: Fields, node: Conv | Linear) -> Conv | Linear:
    """``node`` without a bias. Some writers give booleans as the bias when there is none; no value may be true."""
    if np.any(fields.get("bias")):
        raise InputError(fields.where, "bias is true", "numbers, or false for no bias")
    return node


def _sum_pool(fields: Fields, _: Assumptions) -> Node:
    return SumPool(*_windows(fields))


def _avg_pool(fields: Fields, _: Assumptions) -> Node:
    return AvgPool(*_windows(fields))


def _windows(fields: Fields) -> tuple[Pair, Pair]:
    fields.check_known("kernel_size", "stride", "padding")
    if any(padding := fields.pair("padding", 0)):
        raise UnsupportedError(fields.where, f"{fields.type} with padding {padding}", "padding 0")
    return fields.pair("kernel_size", 1), fields.pair("stride", 1)


def _flatten(fields: Fields, _: Assumptions) -> Node:
    """Flattens the whole map: from axis 0, or from axis 1 if the writer counts a batch axis."""
    fields.check_known("start_dim", "end_dim")
    rank = len(fields.integers("input_type", 1)) if "input_type" in fields.values else 3
    start, end = (int(fields.array(name, 0)) for name in ("start_dim", "end_dim"))
    if start + (rank if start < 0 else 0) not in (0, 1) or end not in (-1, rank - 1, rank):
        found = f"Flatten from axis {start} to axis {end}"
        raise UnsupportedError(fields.where, found, "the whole map as a vector: from axis 0 or 1 to axis -1")
    return Flatten()


def _delay(fields: Fields, _: Assumptions) -> Node:
    """The Delay in microseconds. NIR has seconds; a delay that is not a whole number of microseconds is refused."""
    fields.check_known("delay")
    delay_us = fields.array("delay").astype(np.float64) * 1e6
    whole = np.rint(delay_us)
    if np.any(whole < 1) or np.any(np.abs(delay_us - whole) > US_TOLERANCE):
        found = f"delays of {delay_us.min():g} to {delay_us.max():g} us"
        raise UnsupportedError(fields.where, found, "whole microseconds, at least 1")
    stated: int | None = fields.stated.get("delay_us")
    if stated is not None and np.any(whole != stated):
        raise InputError(fields.where, f"delay differs from the stated {stated} us", "equal values")
    if whole.size == 1 or stated is not None:
        return Delay(int(whole.flat[0]))
    return Delay(whole.astype(np.int64).reshape(as_shape(whole.shape, f"{fields.where}: delay")))


def _scale(fields: Fields, _: Assumptions) -> Scale:
    fields.check_known("scale")
    return Scale(fields.array("scale"))


NODES: Final[Mapping[str, Callable[[Fields, Assumptions], Node | Scale]]] = MappingProxyType(
    {
        "Input": _input,
        "Output": _output,
        "Conv1d": _conv1d,
        "Conv2d": _conv,
        "Linear": _linear,
        "Affine": _affine,
        "SumPool2d": _sum_pool,
        "AvgPool2d": _avg_pool,
        "Flatten": _flatten,
        "IF": integrate_and_fire,
        "LIF": leaky,
        "CubaLIF": current_based,
        "Scale": _scale,
        "Delay": _delay,
    }
)
"""The supported NIR nodes, besides NIRGraph, which is flattened, and Identity, which is removed."""

Parsed: TypeAlias = Node | Scale


def read_node(fields: Fields, assumed: Assumptions) -> Parsed:
    """The node that ``fields`` describe. Raises UnsupportedError or InputError, naming it."""
    if fields.type not in NODES:
        raise UnsupportedError(fields.where, f"{fields.type} is not supported", f"one of {', '.join(NODES)}")
    return NODES[fields.type](fields, assumed)
