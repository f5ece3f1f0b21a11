"""Concat, for which NIR has no node: written as a sum of what the inputs are once each has moved to its features.

Input k goes through a convolution of 1x1 (a vector through a matrix), called a part, whose weights are 1 from feature
i of the input to feature i of its place in the whole, and 0 elsewhere. That is exact for whoever reads the file; the
position k, stated in the part's metadata, lets us have the Concat back.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, Concat, Conv, Linear, Node


def spread(graph: Graph, vectors: Collection[str]) -> tuple[Graph, dict[str, int]]:
    """(``graph`` without Concats, {part: position}); the nodes ``vectors`` are (N,) in NIR."""
    nodes, edges, parts = dict(graph.nodes), list(graph.edges), dict[str, int]()
    for name in graph.of_type(Concat):
        sources = graph.sources(name)
        sizes = [graph.shapes[source][0] for source in sources]
        for position, (source, start) in enumerate(zip(sources, itertools.accumulate(sizes, initial=0), strict=False)):
            part = f"{name}.{position}"
            while part in nodes:
                part += "_"
            weight = _place(start, sizes[position], sum(sizes))
            nodes[part] = Linear(weight) if name in vectors else Conv(weight[..., None, None])
            parts[part] = position
            edges.remove((source, name))
            edges += [(source, part), (part, name)]
        nodes[name] = Add()
    return replace(graph, nodes=nodes, edges=tuple(edges)), parts


def joined(graph: Graph, parts: Mapping[str, int]) -> Graph:
    """``graph`` with a Concat for every Add of only ``parts`` {name: position} that together fill the map."""
    nodes: dict[str, Node] = dict(graph.nodes)
    edges = list(graph.edges)
    for name in graph.of_type(Add):
        own = sorted(graph.sources(name), key=lambda part: parts.get(part, -1))
        if [parts.get(part) for part in own] != list(range(len(own))) or not _whole(graph, own):
            continue
        sources = [graph.sources(part)[0] for part in own]
        edges = [edge for edge in edges if not {*edge} & {*own}] + [(source, name) for source in sources]
        nodes = {other: node for other, node in nodes.items() if other not in own} | {name: Concat()}
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _place(start: int, size: int, whole: int) -> Array:
    return np.eye(whole, size, -start, dtype=np.float32)


def _whole(graph: Graph, parts: list[str]) -> bool:
    """Whether ``parts`` only move features, each part to the place after the parts before it."""
    if not all(isinstance(graph.nodes[part], Conv | Linear) for part in parts):
        return False
    sizes = [graph.shapes[graph.sources(part)[0]][0] for part in parts]
    for part, size, start in zip(parts, sizes, itertools.accumulate(sizes, initial=0), strict=False):
        node, place = graph.nodes[part], _place(start, size, sum(sizes))
        plain = Linear(place) if isinstance(node, Linear) else Conv(place[..., None, None])
        same = type(node) is type(plain) and all(
            np.array_equal(value, vars(node)[field]) for field, value in vars(plain).items()
        )
        if not same or graph.targets(part) != graph.targets(parts[0]):
            return False
    return True
