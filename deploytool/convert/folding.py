"""Arithmetic shared by all importers: folds a factor, a batch norm or a zero bias into adjacent weights.

Each fold is exact in real numbers; the new weights are computed in float64 and rounded once to the precision of the
old ones, unless those are integers. Where they overflow, the Graph of the new nodes is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from deploytool.base.arrays import Array, Pair, one_number, without_repeats
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.ir.nodes import Conv, Linear

Weighted: TypeAlias = Conv | Linear


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """A trained batch norm as an affine map per feature.

        y = gamma * (x - mean) / sqrt(variance + eps) + beta        Ioffe & Szegedy, 2015, algorithm 2

    All arrays have the shape (C,).
    """

    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    eps: float


def fold_batch_norm(node: Weighted, norm: BatchNorm, where: str) -> Weighted:
    """``node`` followed by ``norm``, as one node. Raises InputError at ``where`` if their sizes differ."""
    for array in (norm.gamma, norm.beta, norm.mean, norm.variance):
        if array.shape != (len(node.weight),):
            found = f"a batch norm with an array of shape {array.shape}"
            raise InputError(where, found, f"arrays of shape {(len(node.weight),)}, as the layer before it gives")
    factor = norm.gamma.astype(np.float64) / np.sqrt(norm.variance.astype(np.float64) + norm.eps)
    bias = (0 if node.bias is None else node.bias) - norm.mean.astype(np.float64)
    scaled = scale_outputs(replace(node, bias=None), factor)
    return with_bias(scaled, rounded(bias * factor + norm.beta, node.weight))


def scale_outputs(node: Weighted, factor: Array) -> Weighted:
    """``node`` with output feature o multiplied by ``factor`` (O,), bias included."""
    scaled = replace(node, weight=_times(node.weight, factor.reshape(-1, *[1] * (node.weight.ndim - 1))))
    return scaled if node.bias is None else with_bias(scaled, rounded(node.bias * factor, node.bias))


def scale_inputs(node: Weighted, factor: Array) -> Weighted:
    """``node`` with input feature i multiplied by ``factor`` (I,), on ungrouped weights."""
    return replace(node, weight=_times(node.weight, factor.reshape(1, -1, *[1] * (node.weight.ndim - 2))))


def _times(weight: Array, factor: Array) -> Array:
    """``weight`` times ``factor`` in its precision. One number that is broadcast stays one, if the factor is one."""
    factor = factor.astype(np.float64)
    if not any(weight.strides) and not isinstance(number := one_number(factor), np.ndarray):
        product = without_repeats(weight).astype(np.float64) * number
        return np.broadcast_to(rounded(product, weight).reshape(()), weight.shape)
    return rounded(weight * factor, weight)


def rounded(array: Array, like: Array) -> Array:
    """``array`` in the precision of ``like``, of integers in float64; infinite where that has no such number."""
    with np.errstate(over="ignore"):
        return array.astype(like.dtype if like.dtype.kind == "f" else np.float64, copy=False)


def with_bias(node: Weighted, bias: Array | None) -> Weighted:
    """``node`` with ``bias`` (O,); a bias of zeros is dropped."""
    return replace(node, bias=None if bias is None or not np.any(bias) else bias)


def same_padding(kernel: Pair, stride: Pair, dilation: Pair, where: str) -> Pair:
    """The padding that the word "same" stands for. Raises UnsupportedError if no symmetric padding keeps the size."""
    total = [dilation[i] * (kernel[i] - 1) for i in (0, 1)]
    if stride != (1, 1) or any(size % 2 for size in total):
        found = f"padding 'same' with a kernel of {kernel[0]}x{kernel[1]}, stride {stride} and dilation {dilation}"
        raise UnsupportedError(where, found, "stride 1 and equal padding on both sides")
    return total[0] // 2, total[1] // 2
