"""What would make a network fit: few changes, each set applied to the network and checked before it is told.

A changed network has the new shapes; its weights are the old ones cut or filled up with zeros, and need training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from deploytool.chip import Chip
from deploytool.errors import DeployError
from deploytool.events import Shape
from deploytool.graph import (
    Array,
    AvgPool,
    Conv,
    Flatten,
    Graph,
    Linear,
    Node,
    Output,
    Spike,
    SumPool,
    out_shape,
)
from deploytool.map.rules import Violation

Quantity: TypeAlias = Literal["features", "stride", "pooling", "kernel"]
Judge: TypeAlias = Callable[[Graph], Sequence[Violation]]

REMEDIES: Final[dict[str, tuple[Quantity, ...]]] = {
    "memory": ("features", "kernel", "stride", "pooling"),
    "placement": ("features", "kernel", "stride", "pooling"),
    "features": ("features",),
    "output-map": ("stride", "pooling"),
    "input-map": ("stride", "pooling"),
    "kernel": ("pooling", "kernel"),
    "stride": ("stride",),
    "padding": ("kernel",),
    "pooling": ("pooling",),
    "pooling-remainder": ("pooling",),
    "input-routes": ("pooling",),
}
"""What may be changed where a rule is broken, the mildest first; no change of size helps the other rules."""

SAYS: Final[dict[Quantity, str]] = {
    "features": "{} output features",
    "kernel": "a kernel of {}",
    "stride": "a stride of {}",
    "pooling": "a pooling of {} before it",
}
MOST_CHANGES: Final = 4
"""A set of more changes is another network."""


@dataclass(frozen=True)
class Change:
    """``quantity`` of the Conv or Linear ``node``: ``after`` instead of ``before``."""

    node: str
    quantity: Quantity
    before: int
    after: int

    @property
    def says(self) -> str:
        unpooled = self.quantity == "pooling" and self.before == 1
        instead = "none" if unpooled else str(self.before)
        return f"{self.node}: {SAYS[self.quantity].format(self.after)} instead of {instead}"

    @property
    def factor(self) -> float:
        return max(self.before, self.after) / min(self.before, self.after)


@dataclass(frozen=True)
class Suggestion:
    """Changes that together make the network fit."""

    changes: tuple[Change, ...]

    @property
    def says(self) -> str:
        return "; ".join(change.says for change in self.changes)


def suggestions(graph: Graph, chip: Chip, judge: Judge) -> tuple[Suggestion, ...]:
    """Sets of changes after which ``judge`` finds nothing, the smallest first; () where none was found.

    One set is sought for each quantity that is preferred to the others.
    """
    found: dict[tuple[Change, ...], Suggestion] = {}
    for preferred in SAYS:
        if changes := _repair(graph, chip, judge, preferred):
            found[changes] = Suggestion(changes)
    return tuple(sorted(found.values(), key=lambda s: (len(s.changes), sum(change.factor for change in s.changes))))


def apply(graph: Graph, change: Change) -> Graph:
    """``graph`` with ``change`` made and everything behind it fitted to the new shapes.

    Raises InputError where that gives no network.
    """
    nodes, edges = dict(graph.nodes), list(graph.edges)
    order = list(graph.order)
    if change.quantity == "pooling":
        place, pooling = _pooling_before(graph, change.node)
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
    return Graph(nodes, tuple(edges), graph.dt_ms, graph.name)


def _repair(graph: Graph, chip: Chip, judge: Judge, preferred: Quantity) -> tuple[Change, ...]:
    """Changes, made one by one for the first violation there is, until nothing is violated; () when that fails."""
    changes: list[Change] = []
    issues = judge(graph)
    while issues and len(changes) < MOST_CHANGES:
        issue = issues[0]
        for change in _options(graph, chip, issue, preferred):
            try:
                changed = apply(graph, change)
                left = judge(changed)
            except DeployError:
                continue
            if _settles(issue, issues, left):
                graph, issues = changed, left
                changes.append(change)
                break
        else:
            return ()
    return () if issues else tuple(changes)


def _settles(issue: Violation, before: Sequence[Violation], after: Sequence[Violation]) -> bool:
    """Whether ``issue`` is gone and nothing but another placement, which is judged last, became an issue instead."""
    known = {(other.rule, other.layers) for other in before}
    left = {(other.rule, other.layers) for other in after}
    return (issue.rule, issue.layers) not in left and all(rule == "placement" for rule, _ in left - known)


def _options(graph: Graph, chip: Chip, issue: Violation, preferred: Quantity) -> Iterator[Change]:
    remedies = sorted(REMEDIES.get(issue.rule, ()), key=lambda quantity: quantity != preferred)
    for quantity in remedies:
        for layer in issue.layers:
            for node in _around(graph, layer):
                yield from (Change(node, quantity, *pair) for pair in _values(graph, chip, node, quantity))


def _around(graph: Graph, layer: str) -> list[str]:
    """The Conv or Linear of ``layer``, then those before and those behind it."""
    own = [layer] if isinstance(graph.nodes.get(layer), Conv | Linear) else []
    start = layer if layer in graph.nodes else next(iter(graph.order))
    return [*own, *_weights_next(graph, start, graph.sources), *_weights_next(graph, start, graph.targets)]


def _weights_next(graph: Graph, start: str, neighbours: Callable[[str], tuple[str, ...]]) -> list[str]:
    found, waiting = [], list(neighbours(start))
    while waiting:
        name = waiting.pop()
        if isinstance(graph.nodes[name], Conv | Linear):
            found.append(name)
        else:
            waiting += neighbours(name)
    return found


def _values(graph: Graph, chip: Chip, name: str, quantity: Quantity) -> list[tuple[int, int]]:
    """(now, then) for the values that ``quantity`` of node ``name`` could take, the nearest first."""
    node = graph.nodes[name]
    match quantity:
        case "features" if isinstance(node, Conv | Linear) and not _is_last(graph, name):
            now, values = node.weight.shape[0], [1 << bits for bits in range(10, -1, -1)]
            values = [value for value in values if value < now]
        case "stride" if isinstance(node, Conv) and node.stride[0] == node.stride[1]:
            now = node.stride[0]
            values = [value for value in chip.strides if value > now or now not in chip.strides]
        case "kernel" if isinstance(node, Conv) and node.weight.shape[2] == node.weight.shape[3]:
            now = node.weight.shape[2]
            values = list(range(now - 2, 0, -2))
        case "pooling" if isinstance(node, Conv | Linear):
            pooling = _pooling_before(graph, name)[1]
            now = 1 if pooling is None else max(pooling.kernel)
            values = sorted((value for value in chip.poolings if value != now), key=lambda value: abs(value - now))
        case _:
            return []
    return [(now, value) for value in values]


def _is_last(graph: Graph, name: str) -> bool:
    """Whether the neurons of ``name`` are the classes."""
    waiting = list(graph.targets(name))
    while waiting:
        target = waiting.pop()
        if isinstance(graph.nodes[target], Output):
            return True
        if not isinstance(graph.nodes[target], Conv | Linear):
            waiting += graph.targets(target)
    return False


def _pooling_before(graph: Graph, name: str) -> tuple[str, SumPool | AvgPool | None]:
    """The pooling in front of ``name`` and its name; where there is none, the node in front of which one can go."""
    place = name
    while isinstance(graph.nodes[source := graph.sources(place)[0]], Flatten):
        place = source
    node = graph.nodes[source]
    return (source, node) if isinstance(node, SumPool | AvgPool) else (place, None)


def _changed(node: Node, change: Change) -> Node:
    match node, change.quantity:
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
    """``node`` with as many inputs as ``shapes`` have."""
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
    """``array`` cut to ``shape``, or filled up with zeros."""
    if array.shape == shape:
        return array
    resized = np.zeros(shape, array.dtype)
    common = tuple(slice(min(pair)) for pair in zip(array.shape, shape, strict=True))
    resized[common] = array[common]
    resized.setflags(write=False)
    return resized
