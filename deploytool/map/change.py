"""Changes of a network's sizes: one quantity of one node, applied, with all later nodes adapted to the new shapes.

The weights of a changed network are the old ones, cropped or padded with zeros; those of a Linear behind a map stay
with the features and pixels that they belong to. A crop keeps the first rows and columns, a smaller kernel the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import PER_NEURON, AvgPool, Conv, Delay, Flatten, Input, Linear, Node, Spike, SumPool
from deploytool.ir.shapes import out_shape

Quantity: TypeAlias = Literal["crop", "features", "kernel", "stride", "pooling"]

CHANGE_TEXTS: Final[dict[Quantity, str]] = {
    "crop": "events cropped to {0}x{0}",
    "features": "{} output features",
    "kernel": "a kernel of {}",
    "stride": "a stride of {}",
    "pooling": "a pooling of {} before it",
}


@dataclass(frozen=True)
class Change:
    """``quantity`` of the Conv or Linear ``node``, or of the Input for a crop: ``after`` instead of ``before``."""

    node: str
    quantity: Quantity
    before: int
    after: int

    @property
    def says(self) -> str:
        unpooled = self.quantity == "pooling" and self.before == 1
        instead = "none" if unpooled else str(self.before)
        return f"{self.node}: {CHANGE_TEXTS[self.quantity].format(self.after)} instead of {instead}"

    @property
    def factor(self) -> float:
        """The ratio of neurons or weights before and after: all quantities but features act along two axes."""
        ratio = max(self.before, self.after) / min(self.before, self.after)
        return ratio if self.quantity == "features" else ratio**2


def apply_all(graph: Graph, changes: Iterable[Change]) -> Graph:
    """``graph`` with ``changes`` applied one after the other. Raises as `apply`."""
    for change in changes:
        graph = apply(graph, change)
    return graph


def apply(graph: Graph, change: Change) -> Graph:
    """``graph`` with ``change`` applied and all later nodes adapted to the new shapes.

    Raises InputError if the result is not a valid network.
    """
    nodes, edges = dict(graph.nodes), list(graph.edges)
    order = list(graph.order)
    if change.quantity == "pooling":
        place, pooling = pooling_before(graph, change.node)
        if pooling is not None:
            nodes[place] = replace(pooling, kernel=(change.after,) * 2, stride=(change.after,) * 2)
        else:
            new = _unused(f"{change.node}_pool", graph)
            nodes[new] = SumPool((change.after,) * 2, (change.after,) * 2)
            source = graph.sources(place)[0]
            edges[edges.index((source, place))] = (new, place)
            edges.append((source, new))
            order.insert(order.index(place), new)
    else:
        nodes[change.node] = _changed(nodes[change.node], change)
    shapes: dict[str, Shape] = {}
    unchanged = {name: graph.sources(name) for name in graph.order}
    sources = {name: [source for source, target in edges if target == name] for name in order}
    for name in order:
        inputs = [shapes[source] for source in sources[name]]
        if isinstance(node := nodes[name], Linear):
            before = _flattened(unchanged, graph.shapes, graph.nodes, name)
            nodes[name] = _linear(node, before, _flattened(sources, shapes, nodes, name))
        else:
            nodes[name] = _fitted(node, *inputs)
        shapes[name] = out_shape(nodes[name], *inputs, where=name)
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _unused(name: str, graph: Graph) -> str:
    while name in graph.nodes:
        name += "_"
    return name


def _flattened(
    sources: Mapping[str, Sequence[str]], shapes: Mapping[str, Shape], nodes: Mapping[str, Node], name: str
) -> Shape:
    """The map (C, H, W) whose values, flattened or not, the Linear ``name`` takes."""
    (source,) = sources[name]
    while isinstance(nodes[source], Flatten):
        (source,) = sources[source]
    return shapes[source]


def pooling_before(graph: Graph, name: str) -> tuple[str, SumPool | AvgPool | None]:
    """(name, node) of the pooling before ``name``; without one, (node before which it can be inserted, None)."""
    place = name
    while isinstance(graph.nodes[source := graph.sources(place)[0]], Flatten):
        place = source
    node = graph.nodes[source]
    return (source, node) if isinstance(node, SumPool | AvgPool) else (place, None)


def _changed(node: Node, change: Change) -> Node:
    match node, change.quantity:
        case Input(), "crop":
            return Input((node.shape[0], min(node.shape[1], change.after), min(node.shape[2], change.after)))
        case Conv() | Linear(), "features":
            bias = None if node.bias is None else _resized(node.bias, (change.after,))
            return replace(node, weight=_resized(node.weight, (change.after, *node.weight.shape[1:])), bias=bias)
        case Conv(), "stride":
            return replace(node, stride=(change.after,) * 2)
        case Conv(), "kernel":
            cut = (change.before - change.after) // 2
            middle = slice(cut, cut + change.after)
            padding = max(node.padding[0] - cut, 0)
            return replace(node, weight=node.weight[:, :, middle, middle], padding=(padding, padding))
    raise AssertionError(change)


def _fitted(node: Node, *shapes: Shape) -> Node:
    """``node`` adapted to inputs of ``shapes``."""
    match node:
        case Conv() if node.groups == 1:
            return replace(
                node, weight=_resized(node.weight, (node.weight.shape[0], shapes[0][0], *node.weight.shape[2:]))
            )
        case Spike():
            return replace(node, **{name: _refitted(getattr(node, name), shapes[0]) for name in PER_NEURON})
        case Delay():
            return replace(node, delay_us=_refitted(node.delay_us, shapes[0]))
    return node


def _refitted(value: Any, shape: Shape) -> Any:
    """A ``value`` for each neuron of another map, for the neurons of a map of ``shape``; new ones get the largest."""
    if not isinstance(value, np.ndarray) or value.shape == shape:
        return value
    refitted = np.full(shape, value.max(), value.dtype)
    common = tuple(slice(min(pair)) for pair in zip(value.shape, shape, strict=True))
    refitted[common] = value[common]
    return refitted


def _linear(node: Linear, before: Shape, after: Shape) -> Linear:
    """``node`` for a map of shape ``after`` instead of ``before``; each weight stays with its feature and pixel."""
    features = len(node.weight)
    if before == after or not any(node.weight.strides):
        return replace(node, weight=_resized(node.weight, (features, math.prod(after))))
    weight = _resized(node.weight.reshape(features, *before), (features, *after))
    return replace(node, weight=weight.reshape(features, -1))


def _resized(array: Array, shape: tuple[int, ...]) -> Array:
    """``array`` cropped to ``shape``, or padded with zeros. One number that is broadcast to a shape stays one."""
    if array.shape == shape:
        return array
    if array.size and not any(array.strides):
        return np.broadcast_to(array[(0,) * array.ndim], shape)
    resized = np.zeros(shape, array.dtype)
    common = tuple(slice(min(pair)) for pair in zip(array.shape, shape, strict=True))
    resized[common] = array[common]
    resized.setflags(write=False)
    return resized
