"""Readable names for layers that only have a number, as those of a torch Sequential: conv1, spike1, pool1, fc1.

An ONNX file adds the operator to the number: 0.Conv.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Final

from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Delay, Flatten, Linear, Spike, SumPool

KINDS: Final = {
    Conv: "conv",
    Linear: "fc",
    Spike: "spike",
    SumPool: "pool",
    AvgPool: "pool",
    Flatten: "flatten",
    Add: "add",
    Concat: "concat",
    Delay: "delay",
}
"""The first part of the new name, by kind of node; it is that of unnamed layers of a recipe."""
_NUMBER: Final = re.compile(r"(.*\.)?\d+(\.[A-Z][A-Za-z]*)?(\.spike)?")
"""A number behind the last dot, and maybe an operator of ONNX and the neurons that were put behind it."""


def with_readable_names(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """(``graph`` with readable names, {new name: original name}).

    A node gets a new name if the last part of its name, after the last dot, is a number, or a number and an operator.
    New names count the nodes of a kind, in the order of the graph; a name that is taken is skipped.
    """
    numbers: Counter[str] = Counter()
    new: dict[str, str] = {}
    for name, node in graph.nodes.items():
        kind = KINDS.get(type(node))
        if kind is None:
            continue
        numbers[kind] += 1
        if _NUMBER.fullmatch(name):
            while (wanted := f"{kind}{numbers[kind]}") in graph.nodes:
                numbers[kind] += 1
            new[name] = wanted
    nodes = {new.get(name, name): node for name, node in graph.nodes.items()}
    edges = tuple((new.get(a, a), new.get(b, b)) for a, b in graph.edges)
    return replace(graph, nodes=nodes, edges=edges), {wanted: name for name, wanted in new.items()}
