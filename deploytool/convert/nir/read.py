"""A NIR file to a Graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploytool.convert.nir.hdf5 import load
from deploytool.convert.nir.nodes import NEURONS, Fields, Parsed, Unsaid, read_node, stated_shapes, type_of
from deploytool.convert.nir.statements import stated
from deploytool.convert.nir.wiring import (
    GRAPH,
    Edges,
    Nodes,
    flatten_subgraphs,
    fold_scales,
    leave_out,
    on_cycles,
    with_ends,
    with_sums,
)  # fmt: skip
from deploytool.errors import DeployError, InputError, UnsupportedError, UsageError
from deploytool.events import format_shape
from deploytool.graph import Graph, Reset


def read_nir(path: Path, reset: Reset | None = None, floor: float | None = None) -> Graph:
    """The network in the NIR file ``path``, exactly as it is written there, or an error.

    NIR says neither how a neuron resets nor whether its membrane is clamped. Where the file states it (those that
    ``write_nir`` wrote do), that holds; elsewhere ``reset`` and ``floor`` (None: no clamp, as in NIR's equation),
    in the unit of v_threshold. Files of any version of NIR are read, with or without Input and Output nodes.

    What changes form, and nothing in what is computed: nodes of a subgraph s are named "s.n"; a vector of N has the
    shape (N, 1, 1); several inputs of a node meet in an Add; a bias of nothing but zeros is no bias; a threshold
    that is the same for all neurons is one number; r of an IF divides its threshold and floor; a Scale is multiplied
    into the weights beside it. NIR fires at V > v_threshold and we, like the chip, at V >= threshold.

    Raises InputError for a file that is missing, no HDF5, damaged or ill-formed; UnsupportedError naming every node
    that has no equal here, and recurrent connections; UsageError when ``reset`` is needed and not given.
    """
    if floor is not None and not floor <= 0:
        raise UsageError("--floor", f"found {floor}", "a number of at most 0")
    file = path.name
    top = _top(path)
    nodes, edges = flatten_subgraphs(top, file)
    idle = [name for name, fields in nodes.items() if fields.type == "Identity" or fields.stated.get("implied")]
    nodes, edges = {name: fields for name, fields in nodes.items() if name not in idle}, leave_out(idle, edges)
    statements = stated(top, file)
    dt_ms = statements.get("dt_ms")
    nodes, edges = with_ends(nodes, edges, file)
    parsed = _parse(nodes, edges, Unsaid(reset or "subtract", floor, dt_ms), file)
    if reset is None:
        _check_resets_are_stated(nodes, file)
    unscaled, edges = fold_scales(parsed, edges, file)
    complete, edges = with_sums(unscaled, edges, statements.get("edges"))
    graph = Graph(complete, edges, dt_ms, file)
    _check_stated_shapes(graph, nodes)
    return graph


def _top(path: Path) -> Mapping[str, Any]:
    top = load(path).get("node")
    if not isinstance(top, Mapping):
        raise InputError(str(path), "an HDF5 file without a NIR graph", "a NIR file")
    if type_of(top) != GRAPH:
        raise InputError(str(path), f"holds {type_of(top)} and no graph", f"a {GRAPH}")
    return top


def _parse(nodes: Nodes, edges: Edges, unsaid: Unsaid, file: str) -> dict[str, Parsed]:
    """Every node read; all that cannot be are told at once."""
    parsed: dict[str, Parsed] = {}
    problems: list[DeployError] = []
    for name, fields in nodes.items():
        try:
            parsed[name] = read_node(fields, unsaid)
            stated_shapes(fields)
        except (InputError, UnsupportedError) as error:
            problems.append(error)
    if loop := on_cycles(nodes, edges):
        found = f"recurrent connections through {', '.join(loop)}"
        problems.append(UnsupportedError(file, found, "a network without recurrence"))
    if problems:
        ill_formed = any(isinstance(problem, InputError) for problem in problems)
        raise (InputError if ill_formed else UnsupportedError).together(problems)
    return parsed


def _check_resets_are_stated(nodes: Mapping[str, Fields], file: str) -> None:
    silent = [name for name, fields in nodes.items() if fields.type in NEURONS and "reset" not in fields.stated]
    if silent:
        names = ", ".join(sorted(silent, key=lambda name: (len(name), name)))
        raise UsageError(
            file, f"does not say how the neurons {names} reset", "--reset subtract|zero",
            "NIR cannot state it; sinabs subtracts the threshold unless told otherwise.",
        )  # fmt: skip


def _check_stated_shapes(graph: Graph, nodes: Mapping[str, Fields]) -> None:
    """Raises InputError when a node claims a shape that it does not have."""
    problems = []
    for name, fields in nodes.items():
        if name not in graph.nodes:
            continue
        for side, claimed in stated_shapes(fields).items():
            sources = graph.sources(name)
            actual = graph.shapes[name if side == "out" else sources[0]]
            if claimed != actual:
                found = f"states the shape {format_shape(claimed)} where {format_shape(actual)} arrives or leaves"
                problems.append(InputError(fields.where, found, "shapes that match"))
    if problems:
        raise InputError.together(problems)
