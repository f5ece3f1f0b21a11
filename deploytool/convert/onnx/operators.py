"""What each ONNX operator is in a network of spiking neurons: one literal table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from deploytool.base.arrays import Array, Pair
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.folding import BatchNorm, Weighted, fold_batch_norm, scale_outputs, with_bias
from deploytool.convert.onnx.file import REALS, Operator, type_name
from deploytool.convert.onnx.network import Network, Tensor
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Linear
from deploytool.ir.shapes import check_bias

TakeIn = Callable[[Network, Operator], None]
"""Adds an operator to the network."""


def shape_of(network: Network, operator: Operator) -> Array:
    """The result of Shape: the sizes of a tensor, batch first, from axis ``start`` to ``end``."""
    sizes = network.tensor(operator).sizes(network.file.batch)
    return np.array(sizes[operator.get("start", 0) : operator.get("end", len(sizes))], np.int64)


def _conv(network: Network, operator: Operator) -> None:
    weight, given = network.weights(operator, 1), network.tensor(operator)
    if weight.ndim != 4:
        raise UnsupportedError(operator.where, f"a convolution over {weight.ndim - 2} axes", "two")
    groups = operator.get("group", 1)
    if groups < 1:
        raise InputError(operator.where, f"{groups} groups", "at least 1")
    bias = network.weights(operator, 2) if network.has(operator, 2) else None
    node = Conv(weight, bias, operator.pair("strides"), _padding(operator), operator.pair("dilations"), groups)
    check_bias(node, operator.where)
    network.add(operator, with_bias(node, bias), given)


def _gemm(network: Network, operator: Operator) -> None:
    for name, allowed, default in (("alpha", 1.0, 1.0), ("beta", 1.0, 1.0), ("transA", 0, 0)):
        operator.require(name, allowed, default)
    weight = _matrix(network, operator)
    node = Linear(weight if operator.get("transB", 0) else weight.T)
    bias = _per_feature(operator, network.weights(operator, 2), node, 2) if network.has(operator, 2) else None
    network.add(operator, with_bias(node, bias), network.tensor(operator))


def _matmul(network: Network, operator: Operator) -> None:
    network.add(operator, Linear(_matrix(network, operator).T), network.tensor(operator))


def _matrix(network: Network, operator: Operator) -> Array:
    weight, given = network.weights(operator, 1), network.tensor(operator)
    if weight.ndim != 2:
        raise UnsupportedError(operator.where, f"{operator.type} with an array of {weight.ndim} axes", "two")
    if given.axes != 2:
        raise network.refuse(
            operator, given, "with a matrix", "a vector", "Flatten the map first: torch.flatten(x, 1)."
        )
    return weight


def _add(network: Network, operator: Operator) -> None:
    """Adds a bias if one side is stored; otherwise adds two tensors of one shape."""
    stored = next((index for index in (0, 1) if operator.inputs[index] in network.constants), None)
    if stored is None:
        network.add(operator, Add(), *_different(network, operator))
    else:
        _bias(network, operator, network.weights(operator, stored), 1 - stored)


def _subtract(network: Network, operator: Operator) -> None:
    if operator.inputs[0] in network.constants:
        raise UnsupportedError(operator.where, "a stored array minus a tensor", "a tensor minus a stored array")
    _bias(network, operator, -network.weights(operator, 1), 0)


def _bias(network: Network, operator: Operator, bias: Array, index: int) -> None:
    """Adds the stored ``bias`` to the weights that compute input ``index``."""
    axes = network.tensor(operator, index).axes

    def fit(node: Weighted) -> Weighted:
        added = _per_feature(operator, bias, node, axes)
        return with_bias(node, added + (0 if node.bias is None else node.bias))

    network.refit(operator, fit, index)


def _multiply(network: Network, operator: Operator) -> None:
    stored = next((index for index in (0, 1) if operator.inputs[index] in network.constants), None)
    if stored is None:
        raise UnsupportedError(operator.where, f"{operator.type} of two tensors", "one of them stored in the file")
    _scale(network, operator, network.weights(operator, stored), 1 - stored)


def _divide(network: Network, operator: Operator) -> None:
    divisor = network.weights(operator, 1)
    if not divisor.all():
        raise InputError(operator.where, "a division by 0", "other numbers")
    _scale(network, operator, 1 / divisor, 0)


def _scale(network: Network, operator: Operator, factor: Array, index: int) -> None:
    """Multiplies the weights that compute input ``index`` by the stored ``factor``."""
    axes = network.tensor(operator, index).axes
    network.refit(operator, lambda node: scale_outputs(node, _per_feature(operator, factor, node, axes)), index)


def _per_feature(operator: Operator, array: Array, node: Weighted, axes: int) -> Array:
    """(O,): ``array``, as it is broadcast to the output of ``node``, a tensor with ``axes``.

    Raises UnsupportedError unless it has one number, or one for each output feature.
    """
    features = len(node.weight)
    each = (features, *[1] * (axes - 2))
    leading = array.shape[: max(array.ndim - len(each), 0)]
    if array.size > 1 and (array.shape != (*leading, *each) or math.prod(leading) > 1 or array.ndim > axes):
        found = f"{operator.type} with an array of shape {array.shape}"
        raise UnsupportedError(operator.where, found, f"one number, or one for each of the {features} features")
    return np.array(np.broadcast_to(array.reshape(-1), (features,)))


def _concat(network: Network, operator: Operator) -> None:
    tensors = _different(network, operator)
    if operator.get("axis", 0) not in (1, 1 - tensors[0].axes):
        raise network.refuse(operator, tensors[0], f"along axis {operator.get('axis', 0)}", "axis 1, the features")
    network.add(operator, Concat(), *tensors)


def _different(network: Network, operator: Operator) -> list[Tensor]:
    """All inputs of ``operator``. Raises UnsupportedError if one is there twice or is stored in the file."""
    tensors = [network.tensor(operator, index) for index in range(len(operator.inputs))]
    if len({tensor.node for tensor in tensors}) < len(tensors):
        raise UnsupportedError(operator.where, f"{operator.type} of a tensor with itself", "different tensors")
    if len({tensor.axes for tensor in tensors}) > 1:
        raise UnsupportedError(operator.where, f"{operator.type} of maps and vectors", "tensors of one kind")
    return tensors


def _batch_norm(network: Network, operator: Operator) -> None:
    operator.require("training_mode", 0, 0)
    if any(operator.outputs[1:]):
        raise UnsupportedError(operator.where, "a batch norm with the statistics of a batch", "its running statistics")
    gamma, beta, mean, variance = (network.weights(operator, index) for index in (1, 2, 3, 4))
    epsilon = operator.get("epsilon", 1e-5)
    if not (math.isfinite(epsilon) and (variance + epsilon > 0).all()):
        raise InputError(operator.where, f"epsilon = {epsilon}", "a number that makes every variance positive")
    norm = BatchNorm(gamma, beta, mean, variance, epsilon)
    network.refit(operator, lambda node: fold_batch_norm(node, norm, operator.where))


def _relu(network: Network, operator: Operator) -> None:
    network.add(operator, network.spike, network.tensor(operator))


def _average_pool(network: Network, operator: Operator) -> None:
    operator.require("ceil_mode", 0, 0)
    if _padding(operator) != (0, 0):
        raise UnsupportedError(operator.where, "AveragePool with padding", "padding 0")
    if operator.pair("dilations") != (1, 1):
        raise UnsupportedError(operator.where, "AveragePool with dilation", "dilation 1")
    network.add(operator, AvgPool(operator.pair("kernel_shape"), operator.pair("strides")), network.tensor(operator))


def _global_average_pool(network: Network, operator: Operator) -> None:
    _mean_over_map(network, operator, axes=4)


def _reduce_mean(network: Network, operator: Operator) -> None:
    """Adds the mean over both axes of a map, which torch's exporter writes for a global average pool."""
    given = network.tensor(operator)
    wanted = network.constant(operator, 1) if network.has(operator, 1) else np.array(operator.get("axes", []))
    over = sorted(int(axis) % given.axes for axis in wanted.reshape(-1))
    if given.axes != 4 or over != [2, 3]:
        raise network.refuse(operator, given, f"over the axes {over}", "a mean over both axes of a map")
    _mean_over_map(network, operator, axes=4 if operator.get("keepdims", 1) else 2)


def _mean_over_map(network: Network, operator: Operator, axes: int) -> None:
    given = network.tensor(operator)
    size = (given.shape[1], given.shape[2])
    network.add(operator, AvgPool(size, size), given, axes=axes)


def _flatten(network: Network, operator: Operator) -> None:
    given = network.tensor(operator)
    if operator.get("axis", 1) not in (1, 1 - given.axes):
        raise network.refuse(operator, given, f"with axis = {operator.get('axis', 1)}", "axis = 1")
    network.flatten(operator, given)


def _reshape(network: Network, operator: Operator) -> None:
    given = network.tensor(operator)
    wanted = tuple(int(size) for size in network.constant(operator, 1).reshape(-1))
    sizes, batch, values = given.sizes(network.file.batch), network.file.batch, math.prod(given.shape)
    if not operator.get("allowzero", 0):
        wanted = tuple(sizes[i] if size == 0 and i < len(sizes) else size for i, size in enumerate(wanted))
    left = batch * values // max(math.prod(size for size in wanted if size != -1), 1)
    reached = tuple(left if size == -1 else size for size in wanted)
    if reached == (batch, values):
        network.flatten(operator, given)
    elif reached == (batch, *given.shape):
        network.keep(operator, Tensor(given.node, given.shape, 4))
    else:
        need = "(batch, all values)"
        raise network.refuse(operator, given, f"to {wanted}", need, "Export it with torch.flatten(x, 1).")


def _squeeze(network: Network, operator: Operator) -> None:
    """Removes axes of size 1: a map of one pixel becomes a vector."""
    given = network.tensor(operator)
    wanted = network.constant(operator, 1) if network.has(operator, 1) else np.array(operator.get("axes", []))
    axes = {int(axis) % given.axes for axis in wanted.reshape(-1)} or set(range(2, given.axes))
    if given.axes == 4 and axes == {2, 3} and given.shape[1:] == (1, 1):
        network.keep(operator, Tensor(given.node, given.shape, 2))
    else:
        raise network.refuse(operator, given, f"over the axes {sorted(axes)}", "both axes of a 1x1 map")


def _unsqueeze(network: Network, operator: Operator) -> None:
    """Makes a vector a map of one pixel."""
    given = network.tensor(operator)
    wanted = network.constant(operator, 1) if network.has(operator, 1) else np.array(operator.get("axes", []))
    axes = sorted(int(axis) % 4 for axis in wanted.reshape(-1))
    if given.axes == 2 and axes == [2, 3]:
        network.keep(operator, Tensor(given.node, given.shape, 4))
    else:
        raise network.refuse(operator, given, f"over the axes {axes}", "a vector as a 1x1 map")


def _identity(network: Network, operator: Operator) -> None:
    network.keep(operator, network.tensor(operator))


def _dropout(network: Network, operator: Operator) -> None:
    """Passes its input on, as after training."""
    if network.has(operator, 2) and network.constant(operator, 2).any():
        network.notes.append(f"ignored the Dropout {operator.name}, which is on: export the network in eval mode")
    _identity(network, operator)


def _cast(network: Network, operator: Operator) -> None:
    """Passes its input on, if the type has fractions."""
    if (kind := type_name(operator.get("to", 1))) not in REALS:
        raise UnsupportedError(operator.where, f"a Cast to {kind}", f"one of {', '.join(REALS)}")
    _identity(network, operator)


OPERATORS: Final[Mapping[str, TakeIn]] = MappingProxyType(
    {
        "Conv": _conv,
        "Gemm": _gemm,
        "MatMul": _matmul,
        "Add": _add,
        "Sub": _subtract,
        "Mul": _multiply,
        "Div": _divide,
        "Concat": _concat,
        "BatchNormalization": _batch_norm,
        "Relu": _relu,
        "AveragePool": _average_pool,
        "GlobalAveragePool": _global_average_pool,
        "ReduceMean": _reduce_mean,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Squeeze": _squeeze,
        "Unsqueeze": _unsqueeze,
        "Identity": _identity,
        "Dropout": _dropout,
        "Cast": _cast,
    }
)
"""{type: the function that reads it}. Nodes that only compute on stored arrays need no entry."""

ANSWERS: Final = frozenset({"Softmax", "LogSoftmax", "ArgMax", "Sigmoid"})
"""Operators that only turn the values of the last layer into a prediction."""

IN_PLACE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "MaxPool": "Train with average pooling or a stride: max pooling is not defined for single spikes.",
        "Clip": "Train with ReLU instead of ReLU6 or a clipped ReLU.",
        "LeakyRelu": "Train with ReLU: neurons do not fire negative spikes.",
        "Sigmoid": "Train with ReLU.",
        "HardSwish": "Train with ReLU.",
        "Gelu": "Train with ReLU.",
        "Erf": "Train with ReLU instead of GELU.",
        "Tanh": "Train with ReLU.",
    }
)
"""{type: what to do if a network has it}."""


def _padding(operator: Operator) -> Pair:
    """(vertical, horizontal) padding; ONNX gives (top, left, bottom, right)."""
    word = operator.get("auto_pad", b"NOTSET").decode("utf-8", "replace")
    if word not in ("NOTSET", "VALID"):
        raise UnsupportedError(operator.where, f"auto_pad {word}", "explicit padding")
    top, left, bottom, right = operator.numbers("pads", (0, 0, 0, 0))
    if min(top, left, bottom, right) < 0:
        raise UnsupportedError(operator.where, f"padding {(top, left, bottom, right)}", "padding of 0 or more")
    if (top, left) != (bottom, right):
        raise UnsupportedError(
            operator.where, f"padding {(top, left, bottom, right)}", "equal padding on opposite sides"
        )
    return top, left
