"""The network as an immutable value: named nodes, and edges. Changing a network makes a new Graph."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape, require_finite
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.ir.decoder import Decoder
from deploytool.ir.nodes import MERGES, PER_NEURON, Add, Concat, Delay, Input, Node, Output
from deploytool.ir.shapes import known_shape, out_shape

MIN_WEIGHT_BITS: Final = 2
NUMBERS: Final = ("weight", "bias", *PER_NEURON)
"""The fields of nodes that must be finite in float32, in which networks run."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: ``nodes`` by name and ``edges`` (from, to), which must form one connected graph.

    Equality is equality of ``digest``. Raises InputError, naming the node, when an edge leads nowhere, a node has
    the wrong number of inputs, shapes do not match, a number is not finite in float32, there is a cycle without a
    Delay, or ``weight_bits`` is below 2.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    dt_ms: float | None = None
    """Time step of the clock-driven network this came from, or None."""
    name: str = field(default="graph", compare=False)
    weight_bits: int | None = None
    """Width in bits, including the sign, of the integer weights used in training; None if unknown."""
    decoder: Decoder | None = None
    """How values are read from the outputs, in the order of their neurons; None if they are classes, or unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))
        object.__setattr__(self, "edges", tuple((str(a), str(b)) for a, b in self.edges))
        if self.weight_bits is not None and self.weight_bits < MIN_WEIGHT_BITS:
            need = f"at least {MIN_WEIGHT_BITS}, including the sign"
            raise InputError(self.name, f"weights of {self.weight_bits} bits", need)
        self._check_edges()
        _ = self.shapes
        self._check_numbers()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of nodes, edges, dt_ms, and weight_bits and the decoder if known.

        The graph's name and the order in which nodes are listed have no effect.
        """
        joined = [self.sources(name) for name in self.of_type(Concat)]
        width = [] if self.weight_bits is None else [self.weight_bits]
        nodes = [self.nodes[name] for name in self.order]
        decoder = [] if self.decoder is None else [self.decoder]
        return digest([self.order, nodes, sorted(self.edges), joined, self.dt_ms, *width, *decoder])

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names in topological order, ties broken alphabetically.

        A cycle is broken at its alphabetically first Delay, which then comes before the nodes that feed it.
        """
        waiting = {name: set(self.sources(name)) for name in self.nodes}
        ready = [name for name, sources in waiting.items() if not sources]
        heapq.heapify(ready)
        order: list[str] = []
        while waiting:
            name = heapq.heappop(ready) if ready else self._feedback_delay(waiting)
            order.append(name)
            del waiting[name]
            for target in self.targets(name):
                if target in waiting:
                    waiting[target].discard(name)
                    if not waiting[target]:
                        heapq.heappush(ready, target)
        return tuple(order)

    def _feedback_delay(self, waiting: Mapping[str, set[str]]) -> str:
        """The first Delay that is on a cycle among ``waiting`` {name: sources that are waiting too}.

        Raises InputError if there is none.
        """
        for name in sorted(name for name in waiting if isinstance(self.nodes[name], Delay)):
            if name in reachable(name, waiting):
                return name
        found = f"a cycle through {', '.join(sorted(waiting))}"
        raise InputError(self.name, found, "a Delay on every feedback path")

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The output shape (C, H, W) of every node."""
        shapes: dict[str, Shape] = {}
        while missing := [name for name in self.order if name not in shapes]:
            for name in missing:
                inputs = [shapes[source] for source in self.sources(name) if source in shapes]
                if len(inputs) == len(self.sources(name)) or (inputs and isinstance(self.nodes[name], Add)):
                    shapes[name] = out_shape(self.nodes[name], *inputs, where=self._where(name))
                elif (known := known_shape(self.nodes[name])) is not None:
                    shapes[name] = known
            if len([name for name in missing if name not in shapes]) == len(missing):
                found = "its shape cannot be inferred from the Input, because of the feedback path"
                raise InputError(self._where(missing[0]), found, "a Delay on that path with delay_us for every neuron")
        for name in self.order:
            inputs = [shapes[source] for source in self.sources(name)]
            out_shape(self.nodes[name], *inputs, where=self._where(name))
        return MappingProxyType({name: shapes[name] for name in self.order})

    def _where(self, name: str) -> str:
        return f"{self.name}: node {name!r}"

    def sources(self, name: str) -> tuple[str, ...]:
        """The nodes that feed ``name``, in the order of the edges."""
        return self._ends[0].get(name, ())

    def targets(self, name: str) -> tuple[str, ...]:
        """The nodes that ``name`` feeds, in the order of the edges."""
        return self._ends[1].get(name, ())

    @cached_property
    def _ends(self) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
        """({node: nodes that feed it}, {node: nodes that it feeds}), in the order of the edges."""
        sources: dict[str, list[str]] = {}
        targets: dict[str, list[str]] = {}
        for a, b in self.edges:
            sources.setdefault(b, []).append(a)
            targets.setdefault(a, []).append(b)
        return {name: tuple(found) for name, found in sources.items()}, {a: tuple(b) for a, b in targets.items()}

    def of_type(self, *types: type[Node]) -> tuple[str, ...]:
        """Names of the nodes of the given types, in topological order."""
        return tuple(name for name in self.order if isinstance(self.nodes[name], types))

    def _check_edges(self) -> None:
        for edge in self.edges:
            for name in edge:
                if name not in self.nodes:
                    raise InputError(
                        self.name,
                        f"edge {edge[0]} -> {edge[1]} refers to {name!r}, which is not a node",
                        f"one of {', '.join(self.nodes)}",
                    )
        if len(set(self.edges)) < len(self.edges):
            twice = next(edge for edge in self.edges if self.edges.count(edge) > 1)
            raise InputError(self.name, f"edge {twice[0]} -> {twice[1]} is listed twice", "each edge once")
        for name, node in self.nodes.items():
            found, where = len(self.sources(name)), self._where(name)
            kind = type(node).__name__
            if isinstance(node, Input):
                need, right = "none", found == 0
            elif isinstance(node, MERGES):
                need, right = "at least two", found >= 2
            else:
                need, right = "exactly one", found == 1
            if not right:
                raise InputError(where, f"{kind} has {found} inputs", need)
            if isinstance(node, Output) and self.targets(name):
                raise InputError(where, "Output feeds another node", "no outgoing edge")
            if not isinstance(node, Output) and not self.targets(name):
                raise InputError(where, f"{kind} feeds nothing", "an edge to another node or to an Output")
        for kind_needed in (Input, Output):
            if not any(isinstance(node, kind_needed) for node in self.nodes.values()):
                raise InputError(self.name, f"no {kind_needed.__name__} node", "at least one")

    def _check_numbers(self) -> None:
        for name, node in self.nodes.items():
            for field_name in NUMBERS:
                if (value := getattr(node, field_name, None)) is not None:
                    require_finite(self._where(name), field_name, value)


def reachable(name: str, sources: Mapping[str, Iterable[str]]) -> set[str]:
    """All nodes with a path of at least one edge to ``name``; ``sources`` {node: nodes that feed it}."""
    found: set[str] = set()
    new = [name]
    while new:
        fresh = {source for node in new for source in sources[node]} - found
        found |= fresh
        new = list(fresh)
    return found


def cycles(sources: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """The strongly connected sets of nodes with a cycle; ``sources`` {node: nodes that feed it} has every node.

    R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1(2), 1972, without recursion.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    held: dict[str, None] = {}
    found: list[set[str]] = []
    for root in sources:
        path = [] if root in number else [(root, iter(sources[root]))]
        while path:
            name, left = path[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                held[name] = None
            for source in left:
                if source not in number:
                    path.append((source, iter(sources[source])))
                    break
                if source in held:
                    lowest[name] = min(lowest[name], number[source])
            else:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[name])
                if lowest[name] == number[name]:
                    together = {name}
                    while (last := held.popitem()[0]) != name:
                        together.add(last)
                    if len(together) > 1 or name in sources[name]:
                        found.append(together)
    return found


def chain(nodes: Iterable[tuple[str, Node]], dt_ms: float | None = None, name: str = "graph") -> Graph:
    """A graph in which each of ``nodes`` (name, node) feeds the next."""
    listed = list(nodes)
    edges = tuple((a, b) for (a, _), (b, _) in itertools.pairwise(listed))
    return Graph(dict(listed), edges, dt_ms, name)
