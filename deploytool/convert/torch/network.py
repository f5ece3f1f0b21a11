"""The network while a trace is read: nodes so far, and which of them each value of the trace is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from deploytool.base.arrays import Array, Pair, Shape, format_shape
from deploytool.base.errors import UnsupportedError
from deploytool.convert.folding import Weighted
from deploytool.convert.torch.arrays import to_array
from deploytool.convert.torch.kinds import is_layer
from deploytool.convert.torch.trace import Step, Value
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Spike
from deploytool.ir.shapes import out_shape

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Signal:
    """The output of node ``node``, times ``scale``, with ``padding`` zeros around the map.

    ``left_out`` names a call after the node that was left out because it only turns the values of the
    last layer into an answer.
    """

    node: str
    scale: float = 1.0
    padding: Pair = (0, 0)
    left_out: str = ""


@dataclass
class Network:
    """The network as read so far: ``nodes``, ``edges`` and ``shapes`` of the graph, and a ``signal`` for every value.

    ``samples`` is how many maps went through the forward; ``uses`` counts the steps that take a value; ``reserved``
    are the paths of layers, which name the node of their first call; ``notes`` are sentences for the user.
    """

    name: str
    samples: int
    relu: Spike | None
    uses: Counter[Value]
    reserved: frozenset[str]
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    signals: dict[Value, Signal] = field(default_factory=dict)
    neurons: dict[str, Step] = field(default_factory=dict)
    """The step of every layer of neurons that has a module."""
    called: set[int] = field(default_factory=set)
    """The modules with weights or potentials that were called, by their id."""
    notes: list[str] = field(default_factory=list)

    def start(self, value: Value, shape: Shape) -> None:
        """Makes ``value`` the input, of ``shape``."""
        self.nodes[INPUT], self.shapes[INPUT], self.signals[value] = Input(shape), shape, Signal(INPUT)

    def add(self, call: Call, node: Node, *signals: Signal, name: str = "") -> Signal:
        """The signal of a new ``node`` after ``signals``, with their scale and padding applied in the node."""
        name = self._unique(name or self._name(call.step), call.step)
        shape = out_shape(node, *(self.shapes[signal.node] for signal in signals), where=call.where)
        self.nodes[name], self.shapes[name] = node, shape
        self.edges += [(signal.node, name) for signal in signals]
        return Signal(name)

    def _name(self, step: Step) -> str:
        layer = step.layer
        alone = is_layer(layer.module) or next(layer.module.children(), None) is None
        return layer.path if alone and layer.path else step.function.strip("_")

    def _unique(self, name: str, step: Step) -> str:
        while name in (INPUT, OUTPUT):
            name += "_"
        taken = {*self.nodes, *(self.reserved - {step.layer.path}), OUTPUT}
        numbered = (f"{name}_{number}" for number in range(1, len(taken) + 2))
        return name if name not in taken else next(other for other in numbered if other not in taken)

    def signal(self, call: Call, value: Value) -> Signal:
        """The signal of ``value``. Raises UnsupportedError if it is already an answer."""
        signal = self.signals[value]
        if signal.left_out:
            raise UnsupportedError(call.where, f"{call.step.function} after {signal.left_out}", "it only at the end")
        return signal

    def unpadded(self, call: Call, value: Value) -> Signal:
        """The signal of ``value``. Raises UnsupportedError if it is padded or already an answer."""
        signal = self.signal(call, value)
        if signal.padding != (0, 0):
            raise UnsupportedError(call.where, f"{call.step.function} of a padded map", "Conv2d after the padding")
        return signal

    def plain(self, call: Call, value: Value) -> Signal:
        """The signal of ``value``. Raises UnsupportedError if it is scaled, padded or already an answer."""
        signal = self.unpadded(call, value)
        if signal.scale != 1:
            found = f"{call.step.function} of values multiplied by {signal.scale:g}"
            raise UnsupportedError(call.where, found, "Conv2d or Linear directly before or after the factor")
        return signal

    def weighted(self, call: Call, value: Value) -> Weighted | None:
        """The node with weights that computes ``value``; None if it has no weights or others use its output too."""
        signal = self.signal(call, value)
        node = self.nodes[signal.node]
        if not isinstance(node, Conv | Linear) or not self.is_alone(signal.node) or signal.padding != (0, 0):
            return None
        return node

    def is_alone(self, name: str) -> bool:
        """Whether only one step uses the output of node ``name``."""
        return all(self.uses[value] == 1 for value, signal in self.signals.items() if signal.node == name)

    def refit(self, value: Value, fit: Callable[[Any], Node]) -> Signal:
        """The signal of ``value`` after ``fit`` has changed the node that computes it."""
        signal = self.signals[value]
        self.nodes[signal.node] = fit(self.nodes[signal.node])
        return signal

    def is_map(self, value: Value, shape: Shape) -> bool:
        """Whether ``value`` consists of maps of ``shape`` (C, H, W)."""
        return value.shape[-3:] == shape and math.prod(value.shape[:-3]) == self.samples

    def is_vector(self, value: Value, size: int) -> bool:
        """Whether ``value`` consists of vectors of ``size``."""
        return value.shape[-1:] == (size,) and math.prod(value.shape[:-1]) == self.samples

    def leading(self, value: Value) -> int:
        """The number of sample and time axes of ``value``. Raises ValueError if other axes are mixed in."""
        for axes in range(len(value.shape) + 1):
            if math.prod(value.shape[:axes]) == self.samples:
                return axes
        raise ValueError(value.shape)

    def require_map(self, call: Call, value: Value, grown: Pair = (0, 0)) -> Shape:
        """The shape of ``value``, which is a map as its node gives it, ``grown`` by padding on each side."""
        c, h, w = self.shapes[self.signals[value].node]
        if not self.is_map(value, (c, h + 2 * grown[0], w + 2 * grown[1])):
            found = f"{call.step.function} of a tensor of {tuple(value.shape)}, made from maps of {c}x{h}x{w}"
            raise UnsupportedError(call.where, found, f"the map itself: (..., {c}, {h}, {w})")
        return c, h, w

    def as_vector(self, call: Call, value: Value) -> Signal:
        """The signal of ``value``, which is a vector; a map of one row that is used as a vector is flattened."""
        signal = self.unpadded(call, value)
        shape = self.shapes[signal.node]
        size = math.prod(shape)
        if not self.is_vector(value, size):
            found = f"{call.step.function} along the last axis of a map of {format_shape(shape)}"
            todo = "Flatten the map first: torch.flatten(x, 1)."
            raise UnsupportedError(call.where, found, f"vectors of {size}", todo)
        return signal if shape == (size, 1, 1) else self.flatten(call, signal, "flatten")

    def flatten(self, call: Call, signal: Signal, name: str = "") -> Signal:
        """The signal of all values of ``signal`` as a vector."""
        return replace(self.add(call, Flatten(), signal, name=name), scale=signal.scale)


@dataclass(frozen=True)
class Call:
    """A step that is being read: its arguments by their ``names``."""

    step: Step
    names: tuple[str, ...]

    @property
    def where(self) -> str:
        return self.step.where

    def argument(self, name: str, default: Any = None) -> Any:
        """The argument ``name`` of the call."""
        options = self.step.options
        alias = {"dim": "axis", "input": "self"}.get(name, name)
        if name in options or alias in options:
            return options.get(name, options.get(alias))
        index = self.names.index(name)
        return self.step.arguments[index] if index < len(self.step.arguments) else default

    def value(self, name: str = "input") -> Value:
        """The argument ``name``, which depends on the input."""
        found = self.argument(name)
        if not isinstance(found, Value):
            need = "an output of the layers before it"
            raise UnsupportedError(
                self.where, f"{self.step.function} of a value that does not come from the input", need
            )
        return found

    def constant(self, name: str) -> Array | None:
        """The argument ``name`` as an array that is the same for every input; None if there is none."""
        found = self.argument(name)
        if isinstance(found, Value):
            need = "weights that are the same for every input"
            raise UnsupportedError(self.where, f"{self.step.function} with a {name} that depends on the input", need)
        if found is None:
            return None
        if isinstance(found, torch.Tensor):
            return to_array(found, name, self.where)
        return np.asarray(found, np.float64)

    def pair(self, name: str, default: Any = 1) -> Pair:
        """The argument ``name`` as (vertical, horizontal)."""
        found = self.argument(name, default)
        values = tuple(found) if isinstance(found, list | tuple) else (found,)
        vertical, horizontal = values * 2 if len(values) == 1 else values
        return int(vertical), int(horizontal)
