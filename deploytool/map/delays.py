"""Moves delays in front of weights, because only routes can have delays.

Weights and sums do not depend on time, so a delay after them equals a delay before them.
"""

from __future__ import annotations

from dataclasses import replace

from deploytool.base.errors import UnsupportedError
from deploytool.ir.graph import Graph, reachable
from deploytool.ir.nodes import Add, Conv, Delay, Flatten, Linear, Node, Spike


def before_weights(graph: Graph) -> Graph:
    """``graph`` with every Delay of currents (outputs of weights or of their sums) moved in front of the weights.

    Weights that also feed other nodes are duplicated. Raises UnsupportedError for a Delay of currents that differs
    between neurons, and for a feedback path without a Spike.
    """
    for name in graph.of_type(Delay):
        if name in reachable(name, {node: _neuron_free(graph, node) for node in graph.nodes}):
            where = f"{graph.name}: node {name!r}"
            raise UnsupportedError(where, "a feedback path without neurons", "a Spike on every cycle")
    while name := next((name for name in graph.of_type(Delay) if _gives_potentials(graph, graph.sources(name)[0])), ""):
        graph = _moved(graph, name)
    return graph


def _neuron_free(graph: Graph, name: str) -> list[str]:
    """The sources of ``name`` that are not neurons; () if ``name`` is."""
    sources = () if isinstance(graph.nodes[name], Spike) else graph.sources(name)
    return [source for source in sources if not isinstance(graph.nodes[source], Spike)]


def _gives_potentials(graph: Graph, name: str) -> bool:
    match graph.nodes[name]:
        case Conv() | Linear():
            return True
        case Add() | Flatten():
            return any(_gives_potentials(graph, source) for source in graph.sources(name))
    return False


def _moved(graph: Graph, name: str) -> Graph:
    """``graph`` with the Delay ``name`` moved before its source node, onto each input of that node."""
    delay, (behind,) = graph.nodes[name], graph.sources(name)
    if not isinstance(delay, Delay) or not isinstance(delay.delay_us, int):
        raise UnsupportedError(
            f"{graph.name}: node {name!r}",
            f"different delays for the outputs of {behind!r}",
            "the same delay for all",
            f"Put the Delay in front of {behind!r}.",
        )
    passed = behind if graph.targets(behind) == (name,) else f"{behind}.{name}"
    nodes: dict[str, Node] = {**graph.nodes, passed: graph.nodes[behind]}
    edges = [edge for edge in graph.edges if name not in edge and edge[1] != passed]
    edges += [(passed, target) for target in graph.targets(name)]
    for number, source in enumerate(graph.sources(behind)):
        before = name if number == 0 else f"{name}.{number}"
        nodes[before] = delay
        edges += [(source, before), (before, passed)]
    return replace(graph, nodes=nodes, edges=tuple(edges))
