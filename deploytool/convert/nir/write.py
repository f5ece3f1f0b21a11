"""A Graph to a NIR file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.errors import DeployError, UnsupportedError
from deploytool.convert.nir.concats import spread
from deploytool.convert.nir.hdf5 import save
from deploytool.convert.nir.neurons import neuron_fields
from deploytool.convert.nir.statements import metadata
from deploytool.convert.nir.wiring import GRAPH, Edges, leave_out
from deploytool.ir.decoder import as_values
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Delay, Flatten, Input, Linear, Output, Spike, SumPool

VERSION: Final = "1.0.8"
"""The NIR release whose fields are written; v_reset, which older releases refuse, is written only if not 0."""


def write_nir(graph: Graph, path: Path) -> None:
    """Writes ``graph`` to ``path`` as NIR; equal graphs give equal bytes, and ``read_nir`` gives an equal graph.

    NIR has no fields for reset rule, floor, spikes per update, time step, width of the weights and decoder: they are
    stated in metadata (statements.py). Numbers that apply to all neurons are written out per neuron, thresholds in
    float32; an Add is written as several edges into one node, a Concat as a sum (concats.py). The nir package reads the
    file, but finds wrong shapes behind kernels that are not square and grouped convolutions (``nir.read(...,
    type_check=False)`` reads these).

    Raises UnsupportedError, naming every node that NIR cannot express: a convolution or pooling of a vector,
    an Add that adds one input twice.
    """
    graph, parts = spread(graph, _vectors(graph))
    edges = leave_out(graph.of_type(Add), tuple(sorted(graph.edges)))
    vectors = _vectors(graph)
    _check_sayable(graph, edges, vectors)
    nodes = {name: _fields(graph, name, vectors) for name in graph.order if not isinstance(graph.nodes[name], Add)}
    for part, position in parts.items():
        nodes[part] |= metadata(part=position)
    edges = _with_implied_flattens(graph, edges, vectors, nodes)
    of_graph: dict[str, Any] = {"dt_ms": graph.dt_ms}
    if graph.weight_bits is not None:
        of_graph["weight_bits"] = graph.weight_bits
    if graph.decoder is not None:
        of_graph["decoder"] = as_values(graph.decoder)
    if graph.of_type(Add):
        of_graph["edges"] = sorted(graph.edges)
    top = {"type": GRAPH, "nodes": nodes, "edges": np.array(sorted(edges), dtype=object), **metadata(**of_graph)}
    save({"version": VERSION, "node": top}, path)


def _vectors(graph: Graph) -> set[str]:
    """Names of the nodes whose output is (N,) in NIR, and not (C, H, W)."""
    vectors: set[str] = set()
    for name in (*graph.order, *graph.order):
        match graph.nodes[name]:
            case Linear() | Flatten():
                vectors.add(name)
            case Input() if graph.shapes[name][1:] == (1, 1):
                if all(isinstance(graph.nodes[target], Linear) for target in graph.targets(name)):
                    vectors.add(name)
            case Spike() | Add() | Concat() | Delay() | Output() if vectors.intersection(graph.sources(name)):
                vectors.add(name)
    return vectors


def _takes_vector(graph: Graph, name: str, vectors: set[str]) -> bool:
    """Whether the inputs of node ``name`` are (N,) in NIR."""
    return isinstance(graph.nodes[name], Linear) or bool(vectors.intersection(graph.sources(name)))


def _check_sayable(graph: Graph, edges: Edges, vectors: set[str]) -> None:
    problems: list[DeployError] = []

    def refuse(name: str, found: str, need: str) -> None:
        problems.append(UnsupportedError(f"{graph.name}: node {name!r}", found, need))

    several = {b: a for (a, b), times in sorted(Counter(edges).items(), reverse=True) if times > 1}
    for name in graph.order:
        node = graph.nodes[name]
        if name in ("", ".") or {"/", "\0"} & set(name):
            refuse(name, "a name that HDF5 cannot hold", "a name without '/' that is not '.' or empty")
        if isinstance(node, Conv | SumPool | AvgPool) and _takes_vector(graph, name, vectors):
            refuse(name, f"{type(node).__name__} of a vector, which NIR cannot turn into a map", "a map")
        if name in several:
            refuse(name, f"sums {several[name]!r} twice, but NIR stores each edge once", "different inputs")
    if problems:
        raise UnsupportedError.together(problems)


def _with_implied_flattens(graph: Graph, edges: Edges, vectors: set[str], nodes: dict[str, Any]) -> Edges:
    """``edges`` with a Flatten, added to ``nodes``, between a map (N, 1, 1) and each node that takes it as a vector."""
    rewired = []
    for a, b in edges:
        if a in vectors or not _takes_vector(graph, b, vectors):
            rewired.append((a, b))
            continue
        name = f"{a}.flatten"
        while name in graph.nodes:
            name += "_"
        nodes[name] = _flatten_fields(graph.shapes[a], implied=True)
        rewired += [(a, name), (name, b)]
    return tuple(dict.fromkeys(rewired))


def _fields(graph: Graph, name: str, vectors: set[str]) -> dict[str, Any]:
    """The fields of node ``name`` in NIR."""
    node, shape = graph.nodes[name], graph.shapes[name]
    sizes = shape[:1] if name in vectors else shape
    match node:
        case Input() | Output():
            return {"type": type(node).__name__, "shape": np.array(sizes)}
        case Conv():
            return _conv_fields(node, graph.shapes[graph.sources(name)[0]])
        case Linear():
            return {"type": "Affine", "weight": node.weight, **_bias_fields(node)}
        case SumPool() | AvgPool():
            kind = f"{type(node).__name__}2d"
            return {
                "type": kind,
                "kernel_size": np.array(node.kernel),
                "stride": np.array(node.stride),
                "padding": np.array((0, 0)),
            }
        case Flatten():
            source = graph.sources(name)[0]
            return _flatten_fields(graph.shapes[source][:1] if source in vectors else graph.shapes[source])
        case Spike():
            return neuron_fields(node, sizes, graph.dt_ms)
        case Delay():
            return _delay_fields(node, sizes)
    raise TypeError(f"no NIR node for a {type(node).__name__}")


def _conv_fields(node: Conv, in_shape: Shape) -> dict[str, Any]:
    return {
        "type": "Conv2d",
        "input_shape": np.array(in_shape[1:]),
        "weight": node.weight,
        **_bias_fields(node),
        "stride": np.array(node.stride),
        "padding": np.array(node.padding),
        "dilation": np.array(node.dilation),
        "groups": node.groups,
    }


def _bias_fields(node: Conv | Linear) -> dict[str, Any]:
    """The bias, or zeros if there is none: sinabs and others skip the node of a Linear without a bias."""
    if node.bias is None:
        return {"bias": np.zeros(node.weight.shape[0], node.weight.dtype)}
    return {"bias": node.bias, **({} if np.any(node.bias) else metadata(bias=True))}


def _delay_fields(node: Delay, sizes: tuple[int, ...]) -> dict[str, Any]:
    if isinstance(node.delay_us, np.ndarray):
        return {"type": "Delay", "delay": node.delay_us.reshape(sizes) / 1e6}
    return {"type": "Delay", "delay": np.full(sizes, node.delay_us / 1e6), **metadata(delay_us=node.delay_us)}


def _flatten_fields(in_shape: tuple[int, ...], **statements: bool) -> dict[str, Any]:
    return {
        "type": "Flatten",
        "start_dim": 0,
        "end_dim": -1,
        "input_type": np.array(in_shape),
        **metadata(**statements),
    }
