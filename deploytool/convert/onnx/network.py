"""The network while it is read: nodes so far, and which of them makes each tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from deploytool.base.arrays import Array, Shape, format_shape, require_finite
from deploytool.base.errors import UnsupportedError
from deploytool.convert.folding import Weighted
from deploytool.convert.onnx.file import OnnxFile, Operator
from deploytool.ir.nodes import Conv, Flatten, Linear, Node, Spike
from deploytool.ir.shapes import out_shape


@dataclass(frozen=True)
class Tensor:
    """The output of node ``node``: a map (batch, C, H, W) with ``axes`` 4, or a vector (batch, N) with 2."""

    node: str
    shape: Shape
    axes: int

    def sizes(self, batch: int) -> tuple[int, ...]:
        """Its shape in the file, ``batch`` first."""
        return (batch, *self.shape[: self.axes - 1])


@dataclass
class Network:
    """The network read so far: ``nodes`` and ``edges`` of the graph, ``tensors`` by name, stored or computed arrays.

    ``uses`` counts how often each tensor is read; ``notes`` are sentences for the person who converts.
    """

    file: OnnxFile
    spike: Spike
    constants: dict[str, Array]
    tensors: dict[str, Tensor]
    uses: Counter[str]
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def constant(self, operator: Operator, index: int) -> Array:
        """Input ``index`` of ``operator``, which must be stored in the file or computed from stored arrays."""
        name = operator.inputs[index] if index < len(operator.inputs) else ""
        if name not in self.constants:
            raise UnsupportedError(operator.where, f"{operator.type} has a computed input {index}", "a stored array")
        array = self.constants[name]
        if array.dtype.kind not in "fiub":
            raise UnsupportedError(operator.where, f"{name} holds {array.dtype}", "numbers")
        require_finite(operator.where, name, array)
        return array

    def weights(self, operator: Operator, index: int) -> Array:
        """Input ``index`` of ``operator`` as float32 or float64."""
        array = self.constant(operator, index)
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)

    def has(self, operator: Operator, index: int) -> bool:
        """Whether ``operator`` has an input ``index``."""
        return index < len(operator.inputs) and bool(operator.inputs[index])

    def tensor(self, operator: Operator, index: int = 0) -> Tensor:
        """Input ``index`` of ``operator``, which the network computes."""
        name = operator.inputs[index] if self.has(operator, index) else ""
        if name not in self.tensors:
            found = f"{operator.type} has {name or 'nothing'} as input {index}"
            raise UnsupportedError(operator.where, found, "a value that the network computes")
        return self.tensors[name]

    def add(self, operator: Operator, node: Node, *inputs: Tensor, axes: int | None = None, suffix: str = "") -> None:
        """Makes the output of ``operator`` a new ``node`` after ``inputs``; it has as many ``axes`` as the first."""
        name = operator.name + suffix
        if name in self.nodes:
            raise UnsupportedError(operator.where, f"a second node named {name}", "unique names")
        shape = out_shape(node, *(tensor.shape for tensor in inputs), where=operator.where)
        self.nodes[name] = node
        self.edges += [(tensor.node, name) for tensor in inputs]
        self.tensors[operator.output] = Tensor(name, shape, inputs[0].axes if axes is None else axes)

    def flatten(self, operator: Operator, tensor: Tensor) -> None:
        """Makes the output of ``operator`` the vector of all values of ``tensor``, in the order of (C, H, W)."""
        self.add(operator, Flatten(), tensor, axes=2)

    def keep(self, operator: Operator, tensor: Tensor) -> None:
        """Makes ``tensor`` the output of ``operator``."""
        self.tensors[operator.output] = tensor

    def refit(self, operator: Operator, fit: Callable[[Weighted], Weighted], index: int = 0) -> None:
        """Changes the weights before ``operator`` by ``fit``; their output becomes the output of ``operator``.

        Raises UnsupportedError if no weights come directly before ``operator``, or if others read their output too.
        """
        tensor = self.tensor(operator, index)
        node = self.nodes.get(tensor.node)
        if not isinstance(node, Conv | Linear):
            raise UnsupportedError(
                operator.where, f"{operator.type} without weights before it", "Conv, Gemm or MatMul before it"
            )
        if self.uses[operator.inputs[index]] > 1:
            found = f"{operator.type} of {operator.inputs[index]}, which other nodes also use"
            raise UnsupportedError(operator.where, found, "weights whose output feeds this node only")
        self.nodes[tensor.node] = fit(node)
        self.keep(operator, tensor)

    def refuse(self, operator: Operator, tensor: Tensor, what: str, need: str, hint: str = "") -> UnsupportedError:
        """The error for ``what`` on a tensor of this shape."""
        found = f"{operator.type} of {format_shape(tensor.shape)} {what}"
        return UnsupportedError(operator.where, found, need, hint)
