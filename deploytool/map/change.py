"""Changes of a network's sizes: one quantity of one node, applied, with all later nodes adapted to the new shapes.

A changed network has the new shapes; its weights are the old ones cropped or padded with zeros, and need training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Input, Linear, Node, Spike, SumPool
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
            new = f"{change.node}_pool"
            nodes[new] = SumPool((change.after,) * 2, (change.after,) * 2)
            source = graph.sources(place)[0]
            edges[edges.index((source, place))] = (new, place)
            edges.append((source, new))
            order.insert(order.index(place), new)
    else:
        nodes[change.node] = _changed(nodes[change.node], change)
    shapes: dict[str, Shape] = {}
    for name in order:
        inputs = [shapes[source] for source, target in edges if target == name]
        nodes[name] = _fitted(nodes[name], *inputs)
        shapes[name] = out_shape(nodes[name], *inputs, where=name)
    return replace(graph, nodes=nodes, edges=tuple(edges))


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
            padding = max(node.padding[0] - (change.before - change.after) // 2, 0)
            weight = _resized(node.weight, (*node.weight.shape[:2], change.after, change.after))
            return replace(node, weight=weight, padding=(padding, padding))
    raise AssertionError(change)


def _fitted(node: Node, *shapes: Shape) -> Node:
    """``node`` adapted to inputs of ``shapes``."""
    match node:
        case Conv() if node.groups == 1:
            return replace(
                node, weight=_resized(node.weight, (node.weight.shape[0], shapes[0][0], *node.weight.shape[2:]))
            )
        case Linear():
            return replace(node, weight=_resized(node.weight, (node.weight.shape[0], shapes[0][0])))
        case Spike() if isinstance(node.threshold, np.ndarray) and node.threshold.shape != shapes[0]:
            return replace(node, threshold=float(node.threshold.max()))
    return node


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
