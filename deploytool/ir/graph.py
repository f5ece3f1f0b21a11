"""The network as a value: nodes, edges, and the one shape rule.

Every map has the shape (C, H, W); a vector of N is (N, 1, 1). Weights are (O, I, KH, KW) or (O, I); pairs are
(vertical, horizontal). Arrays inside nodes are read-only, and a changed network is a new Graph.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.ir.events import Shape, format_shape

Pair: TypeAlias = tuple[int, int]
Array: TypeAlias = NDArray[Any]
Reset: TypeAlias = Literal["subtract", "zero"]


def frozen(array: Array) -> Array:
    """A read-only, C-contiguous copy of ``array``, or ``array`` itself when it is that already."""
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def one_number(array: Array) -> float | Array:
    """The value that all of ``array`` has, or ``array``."""
    first = array.reshape(-1)[0]
    return float(first) if np.all(array == first) else array


def _freeze(node: object, *names: str) -> None:
    for name in names:
        if isinstance(value := getattr(node, name), np.ndarray):
            object.__setattr__(node, name, frozen(value))


@dataclass(frozen=True, eq=False)
class Input:
    """Where events enter, on a map of ``shape`` (C, H, W)."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution: ``weight`` (O, I / groups, KH, KW), ``bias`` (O,) or None; zero padding on both sides."""

    weight: Array
    bias: Array | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        _freeze(self, "weight", "bias")


@dataclass(frozen=True, eq=False)
class Linear:
    """Fully connected: ``weight`` (O, I), ``bias`` (O,) or None, on a vector (I, 1, 1)."""

    weight: Array
    bias: Array | None = None

    def __post_init__(self) -> None:
        _freeze(self, "weight", "bias")


PER_NEURON: Final = ("threshold", "tau_ms", "tau_syn_ms", "v_leak", "v_reset", "v_init")


@dataclass(frozen=True, eq=False)
class Spike:
    """Spiking neurons, whose membrane V, in the unit of the weights, starts at ``v_init``. An event of weight w is

        V += w                                                      without a synapse (``tau_syn_ms`` None)
        I += w                                                      with one

    and between events, in continuous time,

        dV/dt = 0                                                   IF: ``tau_ms`` None
        tau_ms dV/dt = v_leak - V                                   LIF
        tau_ms dV/dt = v_leak - V + I,  tau_syn_ms dI/dt = -I       CubaLIF, with I = 0 at the start

    the last two being NIR's (Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9) with their input gain taken out of
    V; convert/nir/neurons.py says what it is. After each update V is clamped to at least ``floor`` (None: no clamp).
    A neuron fires the moment an update leaves V >= ``threshold``, of LIF and CubaLIF also between events; then
    ``reset`` "subtract" takes the threshold off V, and "zero" sets V to ``v_reset``. ``at_most_one`` spike per update
    is what the chip does; otherwise a neuron fires until V < threshold.

    ``threshold``, ``tau_ms``, ``tau_syn_ms``, ``v_leak``, ``v_reset`` and ``v_init`` are one number, or an array
    (C, H, W) where neurons differ; equal values of all but the threshold become one number. Raises InputError for a
    time constant that is not above 0, for ``tau_syn_ms`` or ``v_leak`` without ``tau_ms``, and for ``v_init`` below the
    floor.
    """

    threshold: float | Array = 1.0
    floor: float | None = None
    reset: Reset = "subtract"
    tau_ms: float | Array | None = None
    at_most_one: bool = True
    tau_syn_ms: float | Array | None = None
    v_leak: float | Array = 0.0
    v_reset: float | Array = 0.0
    v_init: float | Array = 0.0

    def __post_init__(self) -> None:
        for name in PER_NEURON[1:]:
            if (value := getattr(self, name)) is not None:
                unsigned_zero = np.asarray(value, np.float64) + 0.0
                object.__setattr__(self, name, one_number(unsigned_zero))
        _freeze(self, *PER_NEURON)
        for name in ("tau_ms", "tau_syn_ms"):
            if (value := getattr(self, name)) is not None and not np.all(np.asarray(value) > 0):
                raise InputError("Spike", f"{name} is {np.min(value)}", "time constants above 0")
        if self.tau_ms is None and (self.tau_syn_ms is not None or np.any(self.v_leak)):
            raise InputError("Spike", "tau_syn_ms or v_leak without tau_ms", "the membrane's time constant as well")
        if np.any(self.v_init) and self.floor is not None and np.min(self.v_init) < self.floor:
            raise InputError("Spike", f"v_init is {np.min(self.v_init)}", f"{self.floor} or more, which is the floor")


@dataclass(frozen=True, eq=False)
class SumPool:
    """Sum over windows of ``kernel``; rows and columns that fill no whole window are left out."""

    kernel: Pair
    stride: Pair


@dataclass(frozen=True, eq=False)
class AvgPool:
    """Mean over windows of ``kernel``; rows and columns that fill no whole window are left out."""

    kernel: Pair
    stride: Pair


@dataclass(frozen=True, eq=False)
class Flatten:
    """(C, H, W) to (C * H * W, 1, 1), row-major: index = (c * H + y) * W + x."""


@dataclass(frozen=True, eq=False)
class Add:
    """Sum of several inputs of one shape."""


@dataclass(frozen=True, eq=False)
class Concat:
    """Inputs joined along the feature axis, in the order of the edges."""


@dataclass(frozen=True, eq=False)
class Delay:
    """Spikes later: y(t) = x(t - ``delay_us``), whole microseconds, one number or an array (C, H, W).

    Every way back in a network leads through one. Raises InputError for a delay below 1 us or a part of one.
    """

    delay_us: int | Array

    def __post_init__(self) -> None:
        delays = np.asarray(self.delay_us)
        if delays.dtype.kind not in "iu" or not delays.size or delays.min() < 1:
            found = f"delay_us is {delays.min() if delays.size else 'empty'}"
            raise InputError("Delay", found, "whole microseconds, at least 1")
        one = delays.ndim == 0
        object.__setattr__(self, "delay_us", int(delays) if one else frozen(delays.astype(np.int64)))


@dataclass(frozen=True, eq=False)
class Output:
    """Where the answer leaves."""


Node: TypeAlias = Input | Conv | Linear | Spike | SumPool | AvgPool | Flatten | Add | Concat | Delay | Output
MERGES = (Add, Concat)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: ``nodes`` by name and ``edges`` (from, to), which must form one connected graph.

    Equality is equality of ``digest``. Raises InputError, naming the node, when an edge leads nowhere, a node has
    the wrong number of inputs, shapes do not match, or there is a cycle without a Delay.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    dt_ms: float | None = None
    """Time step of the clock-driven network this was trained or written as, if it had one."""
    name: str = field(default="graph", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))
        object.__setattr__(self, "edges", tuple((str(a), str(b)) for a, b in self.edges))
        self._check_edges()
        _ = self.shapes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of nodes, edges and dt_ms; the name does not count, nor does the order in which nodes are listed."""
        joined = [self.sources(name) for name in self.of_type(Concat)]
        return digest([self.order, [self.nodes[name] for name in self.order], sorted(self.edges), joined, self.dt_ms])

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names in topological order; among the ready ones the alphabetically first goes first.

        Where a cycle leaves none ready, the alphabetically first Delay on it goes before what feeds it.
        """
        waiting = {name: set(self.sources(name)) for name in self.nodes}
        order: list[str] = []
        while waiting:
            ready = sorted(name for name, sources in waiting.items() if not sources) or self._ways_back(waiting)
            if not ready:
                found = f"a cycle through {', '.join(sorted(waiting))}"
                raise InputError(self.name, found, "a Delay on every way back")
            order.append(ready[0])
            del waiting[ready[0]]
            for sources in waiting.values():
                sources.discard(ready[0])
        return tuple(order)

    def _ways_back(self, waiting: Mapping[str, set[str]]) -> list[str]:
        """The Delays among ``waiting`` {name: sources that are waiting too} that feed themselves."""
        delays = sorted(name for name in waiting if isinstance(self.nodes[name], Delay))
        return [name for name in delays if name in reachable(name, waiting)]

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The output shape (C, H, W) of every node."""
        shapes: dict[str, Shape] = {}
        while missing := [name for name in self.order if name not in shapes]:
            for name in missing:
                inputs = [shapes[source] for source in self.sources(name) if source in shapes]
                if len(inputs) == len(self.sources(name)) or (inputs and isinstance(self.nodes[name], Add)):
                    shapes[name] = out_shape(self.nodes[name], *inputs, where=self._where(name))
                elif (known := _known_shape(self.nodes[name])) is not None:
                    shapes[name] = known
            if len([name for name in missing if name not in shapes]) == len(missing):
                found = "its shape does not follow from the Input, through the way back"
                raise InputError(self._where(missing[0]), found, "a Delay there with delay_us for every neuron")
        for name in self.order:
            inputs = [shapes[source] for source in self.sources(name)]
            out_shape(self.nodes[name], *inputs, where=self._where(name))
        return MappingProxyType({name: shapes[name] for name in self.order})

    def _where(self, name: str) -> str:
        return f"{self.name}: node {name!r}"

    def sources(self, name: str) -> tuple[str, ...]:
        """The nodes that feed ``name``, in the order of the edges."""
        return tuple(a for a, b in self.edges if b == name)

    def targets(self, name: str) -> tuple[str, ...]:
        """The nodes that ``name`` feeds, in the order of the edges."""
        return tuple(b for a, b in self.edges if a == name)

    def of_type(self, *types: type[Node]) -> tuple[str, ...]:
        """Names of the nodes of the given types, in topological order."""
        return tuple(name for name in self.order if isinstance(self.nodes[name], types))

    def _check_edges(self) -> None:
        for edge in self.edges:
            for name in edge:
                if name not in self.nodes:
                    raise InputError(
                        self.name, f"edge {edge[0]} -> {edge[1]} names {name!r}, which is no node",
                        f"one of {', '.join(self.nodes)}",
                    )  # fmt: skip
        if len(set(self.edges)) < len(self.edges):
            twice = next(edge for edge in self.edges if self.edges.count(edge) > 1)
            raise InputError(self.name, f"edge {twice[0]} -> {twice[1]} is there twice", "every edge once")
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


def reachable(name: str, sources: Mapping[str, Iterable[str]]) -> set[str]:
    """All nodes from which a way of at least one edge leads to ``name``; ``sources`` {node: what feeds it}."""
    found: set[str] = set()
    new = [name]
    while new:
        fresh = {source for node in new for source in sources[node]} - found
        found |= fresh
        new = list(fresh)
    return found


def _known_shape(node: Node) -> Shape | None:
    """The output shape that ``node`` has whatever its inputs are; None where it depends on them."""
    match node:
        case Linear():
            return node.weight.shape[0], 1, 1
        case Delay() if isinstance(node.delay_us, np.ndarray) and node.delay_us.ndim == 3:
            return tuple(node.delay_us.shape)
    return None


def chain(nodes: Iterable[tuple[str, Node]], dt_ms: float | None = None, name: str = "graph") -> Graph:
    """A graph in which each of ``nodes`` (name, node) feeds the next."""
    listed = list(nodes)
    edges = tuple((a, b) for (a, _), (b, _) in itertools.pairwise(listed))
    return Graph(dict(listed), edges, dt_ms, name)


def out_shape(node: Node, *shapes: Shape, where: str = "node") -> Shape:
    """The output shape (C, H, W) of ``node`` for inputs of ``shapes``: the only shape rule there is.

    Raises InputError, saying ``where``, when the node cannot take these inputs.
    """
    match node:
        case Input():
            return _positive(node.shape, where)
        case Conv():
            return _conv_shape(node, shapes[0], where)
        case Linear():
            size = shapes[0][0]
            if shapes[0] != (size, 1, 1) or size != node.weight.shape[1]:
                raise InputError(
                    where, f"Linear takes {node.weight.shape[1]} values but gets {format_shape(shapes[0])}",
                    f"a vector of {node.weight.shape[1]}", "Is a Flatten missing?",
                )  # fmt: skip
            _check_bias(node, where)
            return (node.weight.shape[0], 1, 1)
        case SumPool() | AvgPool():
            c, h, w = shapes[0]
            pooled = (c, (h - node.kernel[0]) // node.stride[0] + 1, (w - node.kernel[1]) // node.stride[1] + 1)
            return _positive(pooled, where, f"{type(node).__name__} of {node.kernel} on {format_shape(shapes[0])}")
        case Flatten():
            return (math.prod(shapes[0]), 1, 1)
        case Add():
            if len(set(shapes)) > 1:
                raise InputError(where, f"Add of {', '.join(map(format_shape, shapes))}", "inputs of one shape")
            return shapes[0]
        case Concat():
            if len({shape[1:] for shape in shapes}) > 1:
                raise InputError(where, f"Concat of {', '.join(map(format_shape, shapes))}", "maps of one size")
            return (sum(shape[0] for shape in shapes), *shapes[0][1:])
        case Spike():
            for what in PER_NEURON:
                if isinstance(value := getattr(node, what), np.ndarray) and value.shape != shapes[0]:
                    raise InputError(where, f"{what} of shape {value.shape}", f"one number or shape {shapes[0]}")
            return shapes[0]
        case Delay():
            if isinstance(node.delay_us, np.ndarray) and node.delay_us.shape != shapes[0]:
                raise InputError(where, f"delay_us of shape {node.delay_us.shape}", f"one number or shape {shapes[0]}")
            return shapes[0]
        case Output():
            return shapes[0]


def _conv_shape(node: Conv, shape: Shape, where: str) -> Shape:
    if node.weight.ndim != 4:
        raise InputError(where, f"weights with {node.weight.ndim} axes", "four: (O, I / groups, KH, KW)")
    out, per_group = node.weight.shape[:2]
    if per_group * node.groups != shape[0]:
        raise InputError(
            where, f"weights of shape {node.weight.shape} in {node.groups} group(s) on {format_shape(shape)}",
            f"{per_group * node.groups} input features",
        )  # fmt: skip
    if out % node.groups:
        raise InputError(where, f"{out} output features in {node.groups} groups", "a multiple of the groups")
    _check_bias(node, where)
    reach = [node.dilation[i] * (node.weight.shape[2 + i] - 1) for i in (0, 1)]
    sizes = [(shape[1 + i] + 2 * node.padding[i] - reach[i] - 1) // node.stride[i] + 1 for i in (0, 1)]
    kernel = f"a kernel of {node.weight.shape[2]}x{node.weight.shape[3]} on {format_shape(shape)}"
    return _positive((out, sizes[0], sizes[1]), where, kernel)


def _check_bias(node: Conv | Linear, where: str) -> None:
    if node.bias is not None and node.bias.shape != (node.weight.shape[0],):
        raise InputError(where, f"a bias of shape {node.bias.shape}", f"shape ({node.weight.shape[0]},)")


def _positive(shape: Shape, where: str, what: str = "the map") -> Shape:
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(where, f"{what} gives the shape {tuple(shape)}", "three sizes of at least 1")
    return shape
