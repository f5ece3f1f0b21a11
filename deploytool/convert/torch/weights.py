"""Calls with weights, and what is folded into the weights beside it: batch norm, factors, biases, padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.convert.folding import (
    BatchNorm,
    Weighted,
    fold_batch_norm,
    rounded,
    same_padding,
    scale_outputs,
    with_bias,
)
from deploytool.convert.torch.kinds import is_layer
from deploytool.convert.torch.network import Call, Network, Signal
from deploytool.convert.torch.trace import Value
from deploytool.ir.nodes import Add, AvgPool, Conv, Linear, SumPool


def conv2d(network: Network, call: Call) -> Signal:
    """A convolution with the weight that it is called with."""
    value = call.value()
    signal = network.signal(call, value)
    network.require_map(call, value, grown=signal.padding)
    stride, dilation = call.pair("stride"), call.pair("dilation")
    weight = _weight(call, signal)
    match call.argument("padding", 0):
        case "same":
            padding = same_padding(weight.shape[2:], stride, dilation, call.where)
        case "valid":
            padding = (0, 0)
        case _:
            padding = call.pair("padding", 0)
    padding = padding[0] + signal.padding[0], padding[1] + signal.padding[1]
    node = Conv(weight, None, stride, padding, dilation, int(call.argument("groups", 1)))
    return _add(network, call, with_bias(node, call.constant("bias")), signal)


def linear(network: Network, call: Call) -> Signal:
    """Fully connected weights (O, I)."""
    signal = network.as_vector(call, call.value())
    return _add(network, call, with_bias(Linear(_weight(call, signal)), call.constant("bias")), signal)


def matmul(network: Network, call: Call) -> Signal:
    """A vector times a matrix (I, O) that is the same for every input."""
    signal = network.as_vector(call, call.value())
    matrix = call.constant("other")
    if matrix is None or matrix.ndim != 2:
        raise UnsupportedError(call.where, "a product with something other than a matrix", "a matrix (I, O)")
    return _add(network, call, Linear(np.ascontiguousarray(_scaled(matrix.T, signal))), signal)


def _weight(call: Call, signal: Signal) -> Array:
    weight = call.constant("weight")
    if weight is None:
        raise UnsupportedError(call.where, f"{call.step.function} without weights", "weights")
    return _scaled(weight, signal)


def _scaled(weight: Array, signal: Signal) -> Array:
    return weight if signal.scale == 1 else rounded(weight * np.float64(signal.scale), weight)


def _add(network: Network, call: Call, node: Weighted, signal: Signal) -> Signal:
    require_first_call(network, call, "weights")
    return network.add(call, node, signal)


def require_first_call(network: Network, call: Call, what: str) -> None:
    """Raises UnsupportedError if the layer, which has its own ``what``, was called before."""
    module = call.step.layer.module
    if is_layer(module) and id(module) in network.called:
        todo = "Create a second layer; it may share the weights." if what == "weights" else "Create a second layer."
        raise UnsupportedError(call.where, f"is called twice, but has its own {what}", "one call per layer", todo)
    network.called.add(id(module))


def batch_norm(network: Network, call: Call) -> Signal:
    """A batch norm with its running statistics, folded into the weights before it."""
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    if call.argument("training", False) or mean is None or variance is None:
        found = "a batch norm that uses batch statistics"
        raise UnsupportedError(call.where, found, "running statistics (track_running_stats=True)")
    weighted = network.weighted(call, call.value())
    if weighted is None:
        need = "Conv2d or Linear before it that feeds nothing else"
        raise UnsupportedError(call.where, "a batch norm without its own weights before it", need)
    gamma, beta = call.constant("weight"), call.constant("bias")
    gamma = np.ones_like(mean) if gamma is None else gamma
    beta = np.zeros_like(mean) if beta is None else beta
    norm = BatchNorm(gamma, beta, mean, variance, float(call.argument("eps", 1e-5)))
    return network.refit(call.value(), lambda node: fold_batch_norm(node, norm, call.where))


def add(network: Network, call: Call) -> Signal:
    """A sum of two branches, or a bias that is the same for every input."""
    if call.argument("alpha", 1) != 1:
        raise UnsupportedError(call.where, f"add with alpha {call.argument('alpha')}", "alpha=1")
    one, other = call.argument("input"), call.argument("other")
    if not (isinstance(one, Value) and isinstance(other, Value)):
        constant = "input" if isinstance(other, Value) else "other"
        return _bias(network, call, call.value("other" if constant == "input" else "input"), call.constant(constant), 1)
    if one.shape != other.shape:
        raise UnsupportedError(
            call.where, f"a sum of tensors of {one.shape} and {other.shape}", "tensors of the same shape"
        )
    if network.signals[one].node == network.signals[other].node:
        raise UnsupportedError(call.where, "takes the same output twice", "different inputs")
    return network.add(call, Add(), network.plain(call, one), network.plain(call, other))


def subtract(network: Network, call: Call) -> Signal:
    """What is the same for every input, taken from a layer with weights."""
    if isinstance(call.argument("other"), Value):
        raise UnsupportedError(call.where, "a difference of two branches", "a sum: put the sign into the weights")
    return _bias(network, call, call.value(), call.constant("other"), -1)


def _bias(network: Network, call: Call, value: Value, constant: Array | None, sign: int) -> Signal:
    """Adds ``sign`` times ``constant`` to the bias of the weights before it."""
    if constant is None or not constant.any():
        return network.signal(call, value)
    weighted = network.weighted(call, value)
    if weighted is None:
        found = f"{call.step.function} of a constant that is not 0"
        raise UnsupportedError(call.where, found, "Conv2d or Linear directly before it that feeds nothing else")
    bias = sign * _per_feature(network, call, value, constant)
    old = 0 if weighted.bias is None else weighted.bias
    return network.refit(value, lambda node: with_bias(node, rounded(old + bias, node.weight)))


def multiply(network: Network, call: Call) -> Signal:
    """A factor that is the same for every input."""
    one, other = call.argument("input"), call.argument("other")
    if isinstance(one, Value) and isinstance(other, Value):
        raise UnsupportedError(call.where, f"{call.step.function} of two tensors of the network", "a constant factor")
    constant = "input" if isinstance(other, Value) else "other"
    factor = call.constant(constant)
    return _scale(network, call, call.value("other" if constant == "input" else "input"), factor)


def divide(network: Network, call: Call) -> Signal:
    """A divisor that is the same for every input."""
    if isinstance(call.argument("other"), Value) or call.argument("rounding_mode") is not None:
        raise UnsupportedError(call.where, "a division that is not by a constant", "a constant divisor")
    divisor = call.constant("other")
    if divisor is None or not divisor.all():
        raise UnsupportedError(call.where, "a division by 0", "another divisor")
    return _scale(network, call, call.value(), 1 / divisor)


def _scale(network: Network, call: Call, value: Value, factor: Array | None) -> Signal:
    """Folds ``factor`` into the weights before it, or keeps it for the weights after it."""
    if factor is None:
        raise UnsupportedError(call.where, f"{call.step.function} without a factor", "a constant factor")
    weighted = network.weighted(call, value)
    if weighted is not None:
        per_feature = _per_feature(network, call, value, factor)
        return network.refit(value, lambda node: scale_outputs(node, per_feature))
    if factor.size != 1 or not factor.all():
        found = f"a factor of shape {factor.shape} without its own weights before it"
        raise UnsupportedError(call.where, found, "one number other than 0, or Conv2d or Linear directly before it")
    signal = network.signal(call, value)
    scale, node = signal.scale * float(factor.reshape(-1)[0]), network.nodes[signal.node]
    if isinstance(node, AvgPool) and scale == node.kernel[0] * node.kernel[1] and network.is_alone(signal.node):
        network.nodes[signal.node], scale = SumPool(node.kernel, node.stride), 1.0
    return replace(signal, scale=scale)


def _per_feature(network: Network, call: Call, value: Value, array: Array) -> Array:
    """``array`` as (O,), if it has one number for each feature of ``value``, or one for all."""
    shape = network.shapes[network.signals[value].node]
    features, behind = shape[0], 3 if network.is_map(value, shape) else 1
    if array.size == 1:
        return np.full(features, array.reshape(-1)[0])
    wide = np.ones(max(len(value.shape) - array.ndim, 0), int).tolist() + list(array.shape)
    if wide[-behind:] == [features, *[1] * (behind - 1)] and array.size == features:
        return array.reshape(-1)
    found = f"{call.step.function} with a constant of shape {array.shape}"
    raise UnsupportedError(call.where, found, f"one number, or one for each of the {features} features")


def pad(network: Network, call: Call) -> Signal:
    """Zeros around a map, which the next convolution applies as its padding."""
    value = call.value()
    sides = [int(side) for side in call.argument("pad")]
    left, right, top, bottom = (*sides, *[0] * (4 - len(sides)))[:4]
    if not any(sides):
        return network.signal(call, value)
    constant = call.argument("mode", "constant") == "constant" and (call.argument("value") or 0) == 0
    if not constant or any(sides[4:]) or (left, top) != (right, bottom) or min(sides) < 0:
        found = f"padding {tuple(sides)} of mode {call.argument('mode', 'constant')!r}"
        raise UnsupportedError(call.where, found, "zero padding, equal on opposite sides of the map")
    signal = network.signal(call, value)
    network.require_map(call, value, grown=signal.padding)
    return replace(signal, padding=(signal.padding[0] + top, signal.padding[1] + left))
