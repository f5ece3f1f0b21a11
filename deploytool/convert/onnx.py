"""ONNX, from a trained network with ReLUs, to a Graph of integrate-and-fire neurons.

A ReLU unit and an integrate-and-fire neuron with reset by subtraction have the same transfer function, once the rate
of spikes stands for the activation (Rueckauer et al., 2017, doi:10.3389/fnins.2017.00682, section 2.1):

    rate = max(0, sum_j w_j rate_j + b) / threshold      for rates below one spike per input event

Weights are carried over as they are. Activations well above the threshold saturate and small ones come late, so
weights should be normalised to the activations that occur (ibid., section 2.2) before they are exported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, Pair, Shape, format_shape
from deploytool.base.errors import InputError, UnsupportedError, UsageError
from deploytool.convert.folding import BatchNorm, Weighted, fold_batch_norm, input_to_output, require_finite, with_bias
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Linear, Node, Reset, Spike
from deploytool.ir.shapes import out_shape


@dataclass(frozen=True)
class Operator:
    """One ONNX node: its type, the tensors it reads and the one it makes, its attributes."""

    where: str
    name: str
    type: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def numbers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Attribute ``name``, as many numbers as ``default`` has."""
        values = tuple(int(value) for value in self.get(name, default))
        if len(values) != len(default):
            raise UnsupportedError(self.where, f"{self.type} with {name} = {values}", f"{len(default)} numbers")
        return values

    def pair(self, name: str, default: Pair = (1, 1)) -> Pair:
        vertical, horizontal = self.numbers(name, default)
        return vertical, horizontal

    def require(self, name: str, allowed: Any, default: Any) -> None:
        """Raises UnsupportedError when attribute ``name`` is not ``allowed``."""
        if (found := self.get(name, default)) != allowed:
            raise UnsupportedError(self.where, f"{self.type} with {name} = {found}", f"{name} = {allowed}")


@dataclass
class Chain:
    """The network as far as it has been read: ``nodes`` each feed the next, ``last`` is the tensor they end in."""

    spike: Spike
    constants: dict[str, Array]
    last: str
    shape: Shape
    nodes: list[tuple[str, Node]] = field(default_factory=list)

    def add(self, operator: Operator, node: Node) -> None:
        self.shape = out_shape(node, self.shape, where=operator.where)
        self.nodes.append((operator.name, node))

    def constant(self, operator: Operator, index: int) -> Array:
        """Input ``index`` of ``operator``, which must be stored in the file."""
        name = operator.inputs[index] if index < len(operator.inputs) else ""
        if name not in self.constants:
            raise UnsupportedError(operator.where, f"{operator.type} computes its input {index}", "a stored array")
        require_finite(operator.where, name, self.constants[name])
        return self.constants[name]

    def refit(self, operator: Operator, fit: Callable[[Weighted], Weighted]) -> None:
        """Replaces the weights just read. Raises UnsupportedError when something else comes before ``operator``."""
        name, node = self.nodes[-1] if self.nodes else ("", None)
        if not isinstance(node, Conv | Linear):
            raise UnsupportedError(operator.where, f"{operator.type} that follows no weights", "Conv, Gemm or MatMul")
        self.nodes[-1] = (name, fit(node))


def read_onnx(path: Path, threshold: float = 1.0, reset: Reset = "subtract", floor: float | None = None) -> Graph:
    """The spiking network that the ONNX file ``path`` becomes when every ReLU is a neuron with ``threshold``.

    Conv, Gemm, MatMul and an Add of a stored bias, BatchNormalization (folded with its eps), Relu, AveragePool,
    GlobalAveragePool, Flatten and Reshape to a vector, one after the other; Identity and Dropout are left out, as
    they do nothing. Neurons are added at the end where the last layer has no ReLU, because only spikes leave a chip.

    Raises UsageError when the onnx package is missing, InputError for a file that is missing, damaged or has no
    fixed input shape, UnsupportedError naming every node that is something else.
    """
    proto = _load(path)
    file = path.name
    operators, constants = _operators(proto, file)
    if unknown := [operator for operator in operators if operator.type not in OPERATORS]:
        need = f"one of {', '.join(OPERATORS)}"
        raise UnsupportedError.together(
            UnsupportedError(operator.where, f"{operator.type} is not supported", need) for operator in unknown
        )
    source, shape = _input(proto, constants, file)
    chain = Chain(Spike(threshold, floor, reset), constants, source, shape)
    for operator in operators:
        used = [name for name in operator.inputs if name not in constants]
        if used != [chain.last]:
            found = f"{operator.type} takes {', '.join(used) or 'nothing'} where {chain.last} was made last"
            raise UnsupportedError(operator.where, found, "a chain, in which each node feeds the next")
        OPERATORS[operator.type](chain, operator)
        chain.last = operator.output
    if (made := [item.name for item in proto.graph.output]) != [chain.last]:
        raise UnsupportedError(file, f"the outputs {', '.join(made)}", f"only the last one made, {chain.last}")
    if not chain.nodes:
        raise InputError(file, "a network without layers", "at least one")
    last, node = chain.nodes[-1]
    if not isinstance(node, Spike):
        chain.nodes.append((f"{last}.spike", chain.spike))
    return input_to_output(shape, chain.nodes, file)


def _load(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise UsageError(
            str(path), "reading ONNX takes the onnx package", "it installed", "pip install 'deploytool[onnx]'"
        ) from None
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise InputError(str(path), "no such file", "an ONNX file")
    try:
        proto = onnx.load(path)
        onnx.checker.check_model(proto)
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(str(path), f"no whole ONNX file ({reason})", "a file that onnx can read") from None
    return proto


def _operators(proto: Any, file: str) -> tuple[list[Operator], dict[str, Array]]:
    """(operators in order, stored arrays by name); what a Constant makes is a stored array."""
    from onnx import helper, numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    operators: list[Operator] = []
    for index, item in enumerate(proto.graph.node):
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in item.attribute}
        if item.op_type == "Constant" and "value" in attributes:
            constants[item.output[0]] = numpy_helper.to_array(attributes["value"])
            continue
        name = item.name.strip("/").replace("/", ".") or f"{item.op_type}_{index}"
        where = f"{file}: node {item.name or name!r}"
        inputs = tuple(tensor for tensor in item.input if tensor)
        operators.append(Operator(where, name, item.op_type, inputs, item.output[0], attributes))
    return operators, constants


def _input(proto: Any, constants: Mapping[str, Array], file: str) -> tuple[str, Shape]:
    """(name, shape) of the one input; its first axis is the batch."""
    inputs = [item for item in proto.graph.input if item.name not in constants]
    if len(inputs) != 1:
        raise UnsupportedError(file, f"{len(inputs)} inputs", "one")
    sizes = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim][1:]
    match sizes:
        case [int(n)] if n > 0:
            return inputs[0].name, (n, 1, 1)
        case [int(c), int(h), int(w)] if min(c, h, w) > 0:
            return inputs[0].name, (c, h, w)
    raise InputError(
        file, f"input {inputs[0].name!r} has the sizes {sizes} (0: not fixed)", "(batch, C, H, W) or (batch, N)"
    )


def _conv(chain: Chain, operator: Operator) -> None:
    weight = chain.constant(operator, 1)
    if weight.ndim != 4:
        raise UnsupportedError(operator.where, f"a convolution over {weight.ndim - 2} axes", "two")
    groups = int(operator.get("group", 1))
    node = Conv(weight, None, operator.pair("strides"), _padding(operator), operator.pair("dilations"), groups)
    chain.add(operator, with_bias(node, chain.constant(operator, 2) if len(operator.inputs) > 2 else None))


def _gemm(chain: Chain, operator: Operator) -> None:
    for name, allowed, default in (("alpha", 1.0, 1.0), ("beta", 1.0, 1.0), ("transA", 0, 0)):
        operator.require(name, allowed, default)
    weight = _matrix(chain, operator)
    node = Linear(weight if operator.get("transB", 0) else weight.T)
    bias = _vector(operator, chain.constant(operator, 2), node) if len(operator.inputs) > 2 else None
    chain.add(operator, with_bias(node, bias))


def _matmul(chain: Chain, operator: Operator) -> None:
    chain.add(operator, Linear(_matrix(chain, operator).T))


def _matrix(chain: Chain, operator: Operator) -> Array:
    weight = chain.constant(operator, 1)
    if weight.ndim != 2:
        raise UnsupportedError(operator.where, f"{operator.type} with an array of {weight.ndim} axes", "two")
    return weight


def _add(chain: Chain, operator: Operator) -> None:
    bias = chain.constant(operator, 0 if operator.inputs[0] in chain.constants else 1)

    def fit(node: Weighted) -> Weighted:
        if isinstance(node, Conv) and bias.size > 1 and bias.shape[-3:] != (len(node.weight), 1, 1):
            raise UnsupportedError(operator.where, f"Add of shape {bias.shape} to a map", "one number per feature")
        return with_bias(node, _vector(operator, bias, node) + (0 if node.bias is None else node.bias))

    chain.refit(operator, fit)


def _batch_norm(chain: Chain, operator: Operator) -> None:
    operator.require("training_mode", 0, 0)
    gamma, beta, mean, variance = (chain.constant(operator, index) for index in (1, 2, 3, 4))
    norm = BatchNorm(gamma, beta, mean, variance, float(operator.get("epsilon", 1e-5)))
    chain.refit(operator, lambda node: fold_batch_norm(node, norm, operator.where))


def _relu(chain: Chain, operator: Operator) -> None:
    chain.add(operator, replace(chain.spike))


def _average_pool(chain: Chain, operator: Operator) -> None:
    operator.require("ceil_mode", 0, 0)
    if _padding(operator) != (0, 0):
        raise UnsupportedError(operator.where, "AveragePool with padding", "padding 0")
    if operator.pair("dilations") != (1, 1):
        raise UnsupportedError(operator.where, "AveragePool with dilation", "dilation 1")
    chain.add(operator, AvgPool(operator.pair("kernel_shape"), operator.pair("strides")))


def _global_average_pool(chain: Chain, operator: Operator) -> None:
    size = (chain.shape[1], chain.shape[2])
    chain.add(operator, AvgPool(size, size))


def _flatten(chain: Chain, operator: Operator) -> None:
    operator.require("axis", 1, 1)
    chain.add(operator, Flatten())


def _reshape(chain: Chain, operator: Operator) -> None:
    wanted = tuple(int(size) for size in chain.constant(operator, 1).reshape(-1))
    if len(wanted) != 2 or wanted[1] not in (-1, math.prod(chain.shape)) or wanted[0] not in (-1, 0, 1):
        found = f"Reshape of {format_shape(chain.shape)} to {wanted}"
        raise UnsupportedError(operator.where, found, "to (batch, all values)")
    chain.add(operator, Flatten())


def _nothing(chain: Chain, operator: Operator) -> None:
    """What is the identity once training is over."""


OPERATORS: Final[Mapping[str, Callable[[Chain, Operator], None]]] = MappingProxyType(
    {
        "Conv": _conv,
        "Gemm": _gemm,
        "MatMul": _matmul,
        "Add": _add,
        "BatchNormalization": _batch_norm,
        "Relu": _relu,
        "AveragePool": _average_pool,
        "GlobalAveragePool": _global_average_pool,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Identity": _nothing,
        "Dropout": _nothing,
    }
)


def _padding(operator: Operator) -> Pair:
    """(vertical, horizontal) padding; ONNX gives (top, left, bottom, right)."""
    word = operator.get("auto_pad", b"NOTSET")
    if word not in (b"NOTSET", b"VALID"):
        raise UnsupportedError(operator.where, f"auto_pad {word.decode()}", "explicit padding")
    top, left, bottom, right = operator.numbers("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise UnsupportedError(operator.where, f"padding {(top, left, bottom, right)}", "as much on opposite sides")
    return top, left


def _vector(operator: Operator, bias: Array, node: Weighted) -> Array:
    """``bias`` as (O,), repeated where it is one number."""
    size = len(node.weight)
    if bias.size not in (1, size):
        raise InputError(operator.where, f"a bias of shape {bias.shape}", f"{size} values")
    return np.array(np.broadcast_to(bias.reshape(-1), (size,)))
