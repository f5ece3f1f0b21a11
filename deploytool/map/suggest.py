"""Suggestions to make a network fit: small sets of changes, each applied and checked before it is suggested."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

from deploytool.base.errors import DeployError
from deploytool.chip.chips import Chip, address_bits
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Conv, Input, Linear, Node, Output
from deploytool.ir.program import Program
from deploytool.ir.spec.rule import Violation
from deploytool.map.change import CHANGE_TEXTS, Change, Quantity, apply_all, pooling_before
from deploytool.map.cost import Cost, cost_of
from deploytool.map.split import Fit, Split


class Judge(Protocol):
    """Finds what keeps a graph from fitting, for a given chip and given pins."""

    def __call__(self, graph: Graph, may_split: bool = ..., /) -> Fit: ...


REMEDIES: Final[dict[str, tuple[Quantity, ...]]] = {
    "memory": ("crop", "features", "kernel", "stride", "pooling"),
    "placement": ("crop", "features", "kernel", "stride", "pooling"),
    "features": ("features",),
    "sensor": ("crop",),
    "output-map": ("crop", "stride", "pooling"),
    "input-map": ("crop", "stride", "pooling"),
    "kernel": ("pooling", "kernel", "crop"),
    "stride": ("stride",),
    "padding": ("kernel",),
    "pooling": ("pooling",),
    "pooling-remainder": ("crop", "pooling"),
    "input-routes": ("pooling",),
}
"""Quantities to change for each broken rule, mildest first. Changing sizes does not help with other rules."""

MOST_CHANGES: Final = 4
"""The most changes in one suggestion; with more it would be a different network."""


@dataclass(frozen=True)
class Suggestion:
    """Changes that together make the network fit, the ``splits`` needed with them, and what that costs."""

    changes: tuple[Change, ...]
    splits: tuple[Split, ...]
    cost: Cost

    @property
    def says(self) -> str:
        parts = (
            f"{split.layer} on {', '.join(split.into)}: {split.cores} more core{'s' * (split.cores > 1)}"
            for split in self.splits
        )
        return "; ".join((*(change.says for change in self.changes), *parts))

    @property
    def order(self) -> tuple[bool, float, float, int]:
        """What it may cost in accuracy, for sorting: training, pixels, the size of the changes, additional cores."""
        size = math.prod(change.factor for change in self.changes)
        return self.cost.retraining, 1 - self.cost.field_of_view, size, sum(split.cores for split in self.splits)

    def as_json(self) -> dict[str, Any]:
        """The suggestion as ``check --json`` has it, without its number."""
        return {
            "says": self.says,
            "changes": [asdict(change) for change in self.changes],
            "splits": [split.as_json() for split in self.splits],
            "cost": {**self.cost.as_json(), "says": self.cost.says},
        }


@dataclass(frozen=True)
class Way:
    """A set of changes after which the network fits with ``splits``."""

    changes: tuple[Change, ...]
    splits: tuple[Split, ...] = ()


def suggestions(graph: Graph, chip: Chip, found: Fit, judge: Judge) -> tuple[Suggestion, ...]:
    """Sets of changes after which ``judge`` finds no violation, cheapest in accuracy first; () if none was found.

    ``found`` is its result for ``graph``. One set is searched for each preferred quantity. If splitting was not allowed
    and would be enough, that is included.
    """
    ways: dict[tuple[Change, ...], Way] = {}
    if not (split := judge(graph, True)).issues:
        ways[()] = Way((), split.splits)
    for preferred in CHANGE_TEXTS:
        if way := _repair(graph, chip, found, judge, preferred):
            ways[way.changes] = way
    costs = {way: cost_of(graph, apply_all(graph, way.changes), way.changes, way.splits, chip) for way in ways.values()}
    found_ways = (Suggestion(way.changes, way.splits, cost) for way, cost in costs.items())
    return tuple(sorted(found_ways, key=lambda suggestion: suggestion.order))


def free_features(graph: Graph, program: Program, chip: Chip) -> dict[str, int]:
    """{layer: output features it could have at no extra cost}, if more than it has; outputs are left out.

    Up to the next power of two nothing changes in a core's addresses, as long as those who get the features have
    bits left for them. Each of these can be taken alone.
    """
    free = {}
    for name, layer in program.layers.items():
        features = layer.out_shape[0]
        most = min(1 << address_bits(features), chip.features_max)
        behind = [program.layers[route.to].single for route in layer.routes]
        weighted = all(_is_dense(graph.nodes.get(route.to)) for route in layer.routes)
        roomy = all(
            address_bits(after.in_shape[0] + most - features) == address_bits(after.in_shape[0]) for after in behind
        )
        if most > features and _is_dense(graph.nodes.get(name)) and weighted and roomy and name not in program.outputs:
            free[name] = most
    return free


def _is_dense(node: Node | None) -> bool:
    return isinstance(node, Linear) or (isinstance(node, Conv) and node.groups == 1)


def _repair(graph: Graph, chip: Chip, found: Fit, judge: Judge, preferred: Quantity) -> Way | None:
    """Changes found one by one, each for the first remaining violation; None if some violation cannot be fixed."""
    changes: list[Change] = []
    changed, left = graph, found
    while left.issues and len(changes) < MOST_CHANGES:
        for change in _options(changed, chip, left.issues[0], preferred):
            again = change.quantity == "crop" and any(change.node == other.node for other in changes)
            attempt = None if again else _judged(changed, (change,), judge)
            if attempt is not None and _settles(left.issues, attempt[1].issues):
                changed, left = attempt
                changes.append(change)
                break
        else:
            return None
    if left.issues:
        return None
    at_once = _merged(changes)
    whole = _judged(graph, at_once, judge)
    if whole is None or whole[1].issues:
        return Way(tuple(changes), left.splits)
    return Way(at_once, whole[1].splits)


def _judged(graph: Graph, changes: Sequence[Change], judge: Judge) -> tuple[Graph, Fit] | None:
    """``graph`` after ``changes`` and its violations, or None if the result is not a valid network."""
    try:
        graph = apply_all(graph, changes)
        return graph, judge(graph)
    except DeployError:
        return None


def _merged(changes: Sequence[Change]) -> tuple[Change, ...]:
    """``changes`` with several changes of one quantity of a node merged."""
    merged: dict[tuple[str, Quantity], Change] = {}
    for change in changes:
        first = merged.get((change.node, change.quantity), change)
        merged[change.node, change.quantity] = replace(change, before=first.before)
    return tuple(merged.values())


def _settles(before: Sequence[Violation], after: Sequence[Violation]) -> bool:
    """Whether the first issue is solved and no new one appeared, except for placement, which is checked last."""
    known = {(other.rule, other.layers) for other in before}
    left = {(other.rule, other.layers) for other in after}
    return (before[0].rule, before[0].layers) not in left and all(rule == "placement" for rule, _ in left - known)


def _options(graph: Graph, chip: Chip, issue: Violation, preferred: Quantity) -> list[Change]:
    """Changes that may solve ``issue``: ``preferred`` first, its layer before neighbours, small steps first."""
    remedies = sorted(REMEDIES.get(issue.rule, ()), key=lambda quantity: quantity != preferred)
    return [
        Change(node, quantity, *pair)
        for quantity in remedies
        for node in (graph.of_type(Input) if quantity == "crop" else _nodes_around(graph, issue))
        for pair in _values(graph, chip, node, quantity)
    ]


def _nodes_around(graph: Graph, issue: Violation) -> list[str]:
    return list(dict.fromkeys(node for layer in issue.layers for node in _around(graph, layer)))


def _around(graph: Graph, layer: str) -> list[str]:
    """The Conv or Linear of ``layer``, then those before and after it."""
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
    """(current, new) for the possible values of ``quantity`` of node ``name``, nearest first."""
    node = graph.nodes[name]
    match quantity:
        case "features" if isinstance(node, Conv | Linear) and not _is_last(graph, name):
            now, values = node.weight.shape[0], [1 << bits for bits in range(10, -1, -1)]
            values = [value for value in values if value < now]
        case "crop" if isinstance(node, Input):
            now = max(node.shape[1:])
            whole = {now // unit * unit for unit in (2, 4, 8, 16, 32)}
            sizes = whole | {1 << bits for bits in range(now.bit_length())}
            values = sorted((size for size in sizes if now // 2 <= size < now), reverse=True)
        case "stride" if isinstance(node, Conv) and node.stride[0] == node.stride[1]:
            now = node.stride[0]
            values = [value for value in chip.strides if value > now or now not in chip.strides]
        case "kernel" if isinstance(node, Conv) and node.weight.shape[2] == node.weight.shape[3]:
            now = node.weight.shape[2]
            values = list(range(now - 2, 0, -2))
        case "pooling" if isinstance(node, Conv | Linear):
            pooling = pooling_before(graph, name)[1]
            now = 1 if pooling is None else max(pooling.kernel)
            values = sorted((value for value in chip.poolings if value != now), key=lambda value: abs(value - now))
        case _:
            return []
    return [(now, value) for value in values]


def _is_last(graph: Graph, name: str) -> bool:
    """Whether the output features of ``name`` are the classes."""
    waiting = list(graph.targets(name))
    while waiting:
        target = waiting.pop()
        if isinstance(graph.nodes[target], Output):
            return True
        if not isinstance(graph.nodes[target], Conv | Linear):
            waiting += graph.targets(target)
    return False
