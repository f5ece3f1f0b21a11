"""How NIR nodes are connected: subgraphs flattened, nodes without effect removed, sums made explicit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.base.progress import Tell
from deploytool.convert.folding import Weighted, scale_inputs, scale_outputs
from deploytool.convert.nir.fields import Fields, type_of
from deploytool.convert.nir.nodes import Parsed, Scale
from deploytool.ir.graph import cycles
from deploytool.ir.nodes import Add, Conv, Linear, Node

Edge: TypeAlias = tuple[str, str]
Edges: TypeAlias = tuple[Edge, ...]
Nodes: TypeAlias = dict[str, Fields]
GRAPH: Final = "NIRGraph"

EDGES_MAX: Final = 100_000
"""The most connections between nodes."""


def flatten_subgraphs(graph: Mapping[str, Any], file: str, prefix: str = "") -> tuple[Nodes, Edges]:
    """(nodes, edges) of ``graph`` and of every graph inside it; a node n of a subgraph s is called "s.n".

    The inputs and outputs of a subgraph become nodes of type Identity. Raises InputError for a graph that lacks
    nodes or edges, UnsupportedError for a subgraph with several inputs or outputs, because NIR's edges do not
    say which of them they mean.
    """
    where = f"{file}: subgraph {prefix[:-1]!r}" if prefix else file
    nodes: Nodes = {}
    edges: list[Edge] = []
    ports: dict[str, Edge] = {}
    for name, values in _nodes_of(graph, where).items():
        full = prefix + name
        inner: Nodes = {full: Fields(f"{file}: node {full!r}", values)}
        if type_of(values) == GRAPH:
            inner, inner_edges = flatten_subgraphs(values, file, f"{full}.")
            edges += inner_edges
            ports[full] = _close_ports(inner, _nodes_of(values, full), f"{full}.", file)
        if twice := sorted(inner.keys() & nodes.keys()):
            raise InputError(file, f"two nodes are named {twice[0]!r} once subgraphs are flattened", "unique names")
        nodes |= inner
    for a, b in _edges_of(graph, where):
        source, target = prefix + a, prefix + b
        edges.append((ports[source][1] if source in ports else source, ports[target][0] if target in ports else target))
    _check_ends(edges, nodes, file)
    return nodes, tuple(edges)


def without_batch_axis(nodes: Nodes, edges: Edges, file: str, tell: Tell) -> Nodes:
    """``nodes`` without an axis of 1 sample: (1, C, H, W), or (1, N) where the input feeds weights for N values."""
    batched = {name for name, fields in nodes.items() if fields.type == "Input" and _is_one_sample(name, nodes, edges)}
    if not batched:
        return nodes
    axes = max(np.size(nodes[name].values["shape"]) for name in batched)
    tell(f"{file}: ignored the batch axis of size 1 in the shape of {', '.join(sorted(batched))}")
    return {name: Fields(fields.where, _unbatched(fields.values, axes)) for name, fields in nodes.items()}


def _is_one_sample(name: str, nodes: Nodes, edges: Edges) -> bool:
    shape = np.asarray(nodes[name].values.get("shape", ())).reshape(-1).tolist()
    if len(shape) == 4:
        return bool(shape[0] == 1)
    fed = [nodes[b] for a, b in edges if a == name]
    values = [np.asarray(item.values.get("weight")).shape[-1:] for item in fed if item.type in ("Linear", "Affine")]
    return len(shape) == 2 and shape[0] == 1 and values == [(shape[1],)] * len(fed) != []


def _unbatched(values: Mapping[str, Any], axes: int) -> Mapping[str, Any]:
    """The fields of a node without the first of ``axes`` axes, in stated shapes and per-neuron parameters."""
    changed = dict(values)
    for name, value in values.items():
        array = np.asarray(value) if not isinstance(value, (str, Mapping)) else np.empty(0)
        if name == "shape" and array.size == axes and array.reshape(-1)[0] == 1:
            changed[name] = array.reshape(-1)[1:]
        elif type_of(values) in ("IF", "LIF", "CubaLIF") and array.ndim == axes and len(array) == 1:
            changed[name] = array[0]
    return changed


def _nodes_of(graph: Mapping[str, Any], where: str) -> Mapping[str, Mapping[str, Any]]:
    nodes = graph.get("nodes")
    if not isinstance(nodes, Mapping) or not nodes:
        raise InputError(where, "a NIRGraph without nodes", "a graph with nodes")
    if wrong := [name for name, values in nodes.items() if not isinstance(values, Mapping)]:
        raise InputError(where, f"node {wrong[0]!r} is not a group of fields", "a node with its fields")
    return nodes


def _edges_of(graph: Mapping[str, Any], where: str) -> list[Edge]:
    edges = np.asarray(graph.get("edges", np.empty((0, 2))))
    if not edges.size:
        return []
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise InputError(where, f"edges of shape {edges.shape}", "pairs of names")
    return [(str(a), str(b)) for a, b in edges]


def _close_ports(inner: Nodes, own: Mapping[str, Mapping[str, Any]], prefix: str, file: str) -> Edge:
    """The names of the one Input and the one Output of a subgraph, which become Identity nodes."""
    names: list[str] = []
    for kind in ("Input", "Output"):
        found = [prefix + name for name, values in own.items() if type_of(values) == kind]
        if len(found) != 1:
            raise UnsupportedError(f"{file}: subgraph {prefix[:-1]!r}", f"{len(found)} nodes of type {kind}", "one")
        inner[found[0]] = Fields(f"{file}: node {found[0]!r}", {"type": "Identity"})
        names += found
    return names[0], names[1]


def _check_ends(edges: Iterable[Edge], nodes: Nodes, file: str) -> None:
    for edge in edges:
        for name in edge:
            if name not in nodes:
                found = f"edge {edge[0]} -> {edge[1]} names {name!r}, which is not a node"
                raise InputError(file, found, f"one of {', '.join(nodes)}")


class Wires:
    """Edges in their order, of which some are removed and others added at the end. This object is mutable."""

    def __init__(self, edges: Edges) -> None:
        self._edges: dict[int, Edge] = {}
        self._into: dict[str, dict[int, str]] = {}
        self._out_of: dict[str, dict[int, str]] = {}
        self._added = 0
        for a, b in edges:
            self._add(a, b)

    @property
    def edges(self) -> Edges:
        """The edges that are left, in order."""
        return tuple(self._edges.values())

    def sources(self, name: str) -> list[str]:
        """The nodes that feed ``name``, in the order of the edges."""
        return list(self._into.get(name, {}).values())

    def targets(self, name: str) -> list[str]:
        """The nodes that ``name`` feeds, in the order of the edges."""
        return list(self._out_of.get(name, {}).values())

    def leave_out(self, name: str) -> None:
        """Replaces ``name`` by connections from each of its sources to each of its targets.

        Raises InputError if that makes more than `EDGES_MAX`.
        """
        sources, targets = self.sources(name), self.targets(name)
        self.cut(name)
        if len(self._edges) + len(sources) * len(targets) > EDGES_MAX:
            found = f"removing node {name!r} creates more than {EDGES_MAX:,} connections"
            raise InputError("the graph", found, "fewer parallel nodes that have no effect")
        for a in sources:
            for b in targets:
                self._add(a, b)

    def cut(self, name: str) -> None:
        """Removes the edges of ``name``."""
        for number in {**self._into.get(name, {}), **self._out_of.get(name, {})}:
            a, b = self._edges.pop(number)
            del self._out_of[a][number], self._into[b][number]

    def _add(self, a: str, b: str) -> None:
        self._edges[self._added] = a, b
        self._into.setdefault(b, {})[self._added] = a
        self._out_of.setdefault(a, {})[self._added] = b
        self._added += 1


def on_cycles(nodes: Iterable[str], edges: Edges) -> list[str]:
    """Names of the nodes on or between cycles."""
    left = Wires(edges)
    known = set(nodes)
    ends = [name for name in known if not (left.sources(name) and left.targets(name))]
    while ends:
        name = ends.pop()
        near = {*left.sources(name), *left.targets(name)} - {name}
        known.discard(name)
        left.cut(name)
        ends += [each for each in near if each in known and not (left.sources(each) and left.targets(each))]
    return sorted(known)


def on_cycles_without(types: Sequence[str], nodes: Nodes, edges: Edges) -> list[str]:
    """Names of the nodes on cycles on which there is no node of ``types``."""
    return sorted(set().union(*cycles(_feeding(nodes, edges, types))))


def with_delays(nodes: Nodes, edges: Edges, delay_us: int, file: str) -> tuple[Nodes, Edges]:
    """(nodes, edges) with a Delay of ``delay_us`` on every feedback path that has none.

    A feedback path is an edge of a cycle into the node of the cycle that also has an input from outside it. Raises
    UnsupportedError for a cycle with outside inputs at several nodes or at none: its feedback path is ambiguous.
    """
    while unstated := cycles(_feeding(nodes, edges, ("Delay",))):
        cycle = min(unstated, key=min)
        entries = sorted({b for a, b in edges if b in cycle and a not in cycle})
        if len(entries) != 1:
            raise UnsupportedError(
                file,
                f"recurrent connections through {', '.join(sorted(cycle))} that have inputs at {len(entries)} nodes",
                "one node where the cycle begins",
                "Write the file with Delay nodes.",
            )
        for source in sorted(a for a, b in edges if b == entries[0] and a in cycle):
            name = f"{source}.delay"
            while name in nodes:
                name += "_"
            nodes = {
                **nodes,
                name: Fields(f"{file}: node {name!r}", {"type": "Delay", "delay": np.array(delay_us / 1e6)}),
            }
            edges = (*(edge for edge in edges if edge != (source, entries[0])), (source, name), (name, entries[0]))
    return nodes, edges


def _feeding(nodes: Nodes, edges: Edges, without: Sequence[str]) -> dict[str, list[str]]:
    """{node: the nodes that feed it} for the nodes whose type is not one of ``without``."""
    kept = {name for name, fields in nodes.items() if fields.type not in without}
    wires = Wires(edges)
    return {name: [source for source in wires.sources(name) if source in kept] for name in kept}


def leave_out(names: Iterable[str], edges: Edges) -> Edges:
    """``edges`` with each of ``names`` replaced by connections from each of its sources to each of its targets.

    Raises InputError if that makes more than `EDGES_MAX`.
    """
    wires = Wires(edges)
    for name in names:
        wires.leave_out(name)
    return wires.edges


def with_ends(nodes: Nodes, edges: Edges, file: str) -> tuple[Nodes, Edges]:
    """(nodes, edges) with Input and Output nodes added if the file has none at all, like files of older versions.

    An Input that is added, or that has no shape, gets the shape stated by the nodes that it feeds. Raises
    InputError, naming the node, if they state none.
    """
    nodes = dict(nodes)
    fed, feeding = {b for _, b in edges}, {a for a, _ in edges}
    kinds = {fields.type for fields in nodes.values()}
    for kind, loose in (("Input", nodes.keys() - fed), ("Output", nodes.keys() - feeding)):
        if kind in kinds:
            continue
        for neighbour in sorted(loose):
            name = kind.lower() if len(loose) == 1 else f"{kind.lower()}_{neighbour}"
            while name in nodes:
                name += "_"
            nodes[name] = Fields(f"{file}: node {name!r}", {"type": kind})
            edges = (*edges, (name, neighbour) if kind == "Input" else (neighbour, name))
    for name, fields in nodes.items():
        if fields.type == "Input" and "shape" not in fields.values:
            shape = np.array(_shape_wanted(name, nodes, edges, file))
            nodes[name] = Fields(fields.where, {**fields.values, "shape": shape})
    return nodes, edges


def _shape_wanted(name: str, nodes: Nodes, edges: Edges, file: str) -> tuple[int, ...]:
    """The input shape stated by the nodes that ``name`` feeds."""
    targets = [b for a, b in edges if a == name]
    for target in targets:
        fields = nodes[target]
        match fields.type:
            case "Conv2d" if "input_shape" in fields.values:
                return fields.array("weight", 4).shape[1] * fields.integer("groups", 1), *fields.pair("input_shape", 1)
            case "Linear" | "Affine":
                return (int(fields.array("weight", 2).shape[1]),)
            case "Flatten" if "input_type" in fields.values:
                return fields.integers("input_type", 1)
            case "IF" | "LIF" | "CubaLIF" if shape := fields.array("v_threshold").shape:
                return shape
    found = f"the file states no input shape, and none can be inferred from node {', '.join(map(repr, targets))}"
    raise InputError(file, found, "an Input node with a shape, or an input_shape", "Write it with a newer nir.")


def fold_scales(nodes: Mapping[str, Parsed], edges: Edges, file: str) -> tuple[dict[str, Node], Edges]:
    """(nodes, edges) without Scales: each multiplied into the weights before it, or else into those after it.

    Exact in real numbers. Raises UnsupportedError, naming the Scales for which neither is possible.
    """
    folded: dict[str, Any] = dict(nodes)
    problems: list[DeployError] = []
    wires = Wires(edges)
    for name in [name for name, node in nodes.items() if isinstance(node, Scale)]:
        factor = folded[name].factor
        sources, targets = wires.sources(name), wires.targets(name)
        only_target = len(sources) == 1 and len(wires.targets(sources[0])) == 1
        only_source = len(targets) == 1 and len(wires.sources(targets[0])) == 1
        before = folded[sources[0]] if only_target else None
        after = folded[targets[0]] if only_source else None
        if np.all(factor == 1):
            pass
        elif isinstance(before, Conv | Linear) and (per := _per_feature(factor, before, before.weight.shape[0])).size:
            folded[sources[0]] = scale_outputs(before, per)
        elif (
            isinstance(after, Conv | Linear)
            and getattr(after, "groups", 1) == 1
            and (per := _per_feature(factor, after, after.weight.shape[1])).size
        ):
            folded[targets[0]] = scale_inputs(after, per)
        else:
            found = "a Scale that cannot be folded into adjacent weights"
            problems.append(UnsupportedError(f"{file}: node {name!r}", found, "one factor per feature of a layer"))
            continue
        del folded[name]
        wires.leave_out(name)
    if problems:
        raise UnsupportedError.together(problems)
    return folded, wires.edges


def _per_feature(factor: Array, node: Weighted, features: int) -> Array:
    """``factor`` as (features,), or empty if it is not one number per feature of ``node``."""
    if factor.size == 1:
        return np.full(features, factor.reshape(-1)[0])
    rows = factor.reshape(factor.shape[0], -1)
    uniform = bool(np.all(rows == rows[:, :1])) and factor.ndim == (1 if isinstance(node, Linear) else 3)
    return rows[:, 0] if uniform and len(rows) == features else np.empty(0)


def with_sums(nodes: Mapping[str, Node], edges: Edges, stated: list[Any] | None) -> tuple[dict[str, Node], Edges]:
    """(nodes, edges) with an Add before every node that has several inputs, which NIR sums.

    ``stated`` are the edges of the graph that was written; the Adds among them get their names back.
    """
    if stated is not None and all(isinstance(edge, list) and len(edge) == 2 for edge in stated):
        original = tuple((str(a), str(b)) for a, b in stated)
        adds = {name for edge in original for name in edge} - nodes.keys()
        if sorted(leave_out(sorted(adds), original)) == sorted(edges):
            return {**nodes, **dict.fromkeys(adds, Add())}, original
    summed: dict[str, Node] = dict(nodes)
    sources = Counter(b for _, b in edges)
    add_of: dict[str, str] = {}
    for name in nodes:
        if sources[name] > 1:
            add = f"{name}.add"
            while add in summed:
                add += "_"
            summed[add] = Add()
            add_of[name] = add
    return summed, (*((a, add_of.get(b, b)) for a, b in edges), *((add, name) for name, add in add_of.items()))
