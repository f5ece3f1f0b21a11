"""The calls of a forward, written down: values that depend on its input, and the steps that make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from deploytool.base.errors import DeployError
from deploytool.convert.torch.kinds import is_layer, kind_of
from deploytool.convert.torch.neurons import Neurons


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of ``shape`` that depends on the input."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """The innermost module that is running."""

    path: str
    module: nn.Module
    sensor: str | None
    """The path of the DVSLayer around it, if there is one."""

    @property
    def is_hooked(self) -> bool:
        return bool(self.module._forward_hooks or self.module._forward_pre_hooks)


@dataclass(frozen=True, eq=False)
class Step:
    """A call of ``function``, which gave ``results``; tensors that depend on the input are Values in ``arguments``."""

    function: str
    layer: Layer
    line: str
    """``net.py:12``, or "" for none."""
    in_hook: bool
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    results: tuple[Value, ...]
    keeps: bool = False
    """Whether the result has the values of the first tensor, in their order."""
    change: float | None = None
    """The largest difference between the result and the first tensor, if they have the same shape."""
    neurons: Neurons | None = None
    problem: DeployError | None = None

    @property
    def where(self) -> str:
        place = f"module {self.layer.path!r}" if self.layer.path else "forward"
        return f"{place} ({self.line})" if self.line else place

    @property
    def what(self) -> str:
        """``torch.MaxPool2d``, or ``max_pool2d`` if it is called as a function."""
        return kind_of(self.layer.module) if is_layer(self.layer.module) else self.function.strip("_")

    @property
    def takes(self) -> tuple[Value, ...]:
        """The values that it depends on."""
        return tuple(found for found in leaves((self.arguments, self.options)) if isinstance(found, Value))


@dataclass(frozen=True, eq=False)
class Trace:
    """All ``steps`` from the value ``start`` on, and the ``output`` of the forward, with Values for tensors."""

    start: Value
    steps: tuple[Step, ...]
    output: Any
    currents: dict[Step, Tensor]
    """The input of each layer of neurons."""
    spikes: dict[Step, Tensor]
    """The output assigned to each layer of neurons: random numbers, so that the layers after it get nonzero input."""
    answer: dict[Value, Tensor]
    """The tensors in ``output``."""
    notes: tuple[str, ...]


def leaves(item: Any) -> Iterator[Any]:
    """The items in ``item`` and in the lists, tuples and dicts nested in it."""
    if isinstance(item, dict):
        for part in item.values():
            yield from leaves(part)
    elif isinstance(item, list | tuple):
        for part in item:
            yield from leaves(part)
    else:
        yield item
