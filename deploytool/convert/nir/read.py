"""A NIR file to a Graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploytool.base.arrays import format_shape
from deploytool.base.errors import DeployError, InputError, UnsupportedError, UsageError
from deploytool.base.progress import Tell, silent
from deploytool.convert.nir.concats import joined
from deploytool.convert.nir.fields import Assumptions, Fields, type_of
from deploytool.convert.nir.hdf5 import load
from deploytool.convert.nir.neurons import NEURONS, needs_time_step
from deploytool.convert.nir.nodes import Parsed, does_nothing, read_node, stated_shapes
from deploytool.convert.nir.statements import stated
from deploytool.convert.nir.wiring import (
    GRAPH,
    Edges,
    Nodes,
    flatten_subgraphs,
    fold_scales,
    leave_out,
    on_cycles_without,
    with_delays,
    with_ends,
    with_sums,
    without_batch_axis,
)
from deploytool.ir.decoder import parse_decoder
from deploytool.ir.graph import Graph
from deploytool.ir.neurons import Reset


def read_nir(
    path: Path,
    reset: Reset | None = None,
    floor: float | None = None,
    dt_ms: float | None = None,
    delay_us: int | None = None,
    tell: Tell = silent,
) -> Graph:
    """The network in the NIR file ``path``, exactly as the file describes it.

    NIR does not define the reset or the floor of V, the meaning of a spike for neurons with a time constant, or the
    delay of a feedback path:
    * Reset and floor are those that the file states, as files from ``write_nir`` do. Otherwise they are ``reset`` and
      ``floor`` (None: no clamp, as in NIR's equation), in the unit of v_threshold.
    * A spike into an LIF, a CubaLIF, or an IF whose r is not 1 is a current held for one time step (neurons.py): the
      stated one, or ``dt_ms`` if the file states none.
    * A feedback path without a Delay gets a Delay of ``delay_us``.
    Files of any version of NIR are read, with or without Input and Output nodes.

    These changes of form do not change the computation: nodes of a subgraph s are named "s.n"; a vector of N has the
    shape (N, 1, 1); several inputs of a node become an Add; a bias of zeros is dropped; a threshold that is the same
    for all neurons becomes one number; potentials are divided by the input gain of the neurons; a Scale is multiplied
    into the adjacent weights; a batch axis of 1 is dropped and reported to ``tell``. NIR fires at V > v_threshold;
    this program, like the chip, fires at V >= threshold.

    Raises InputError for a file that is missing, damaged, malformed or not HDF5; UnsupportedError naming every node
    that is not supported; UsageError if ``reset``, ``dt_ms`` or ``delay_us`` is needed and not given.
    """
    check_given(floor, dt_ms, delay_us)
    return graph_in(top_graph(path), path.name, reset, floor, dt_ms, delay_us, tell)


def check_given(floor: float | None, dt_ms: float | None, delay_us: int | None) -> None:
    """Raises UsageError for values that `read_nir` does not take."""
    if floor is not None and not floor <= 0:
        raise UsageError("--floor", f"found {floor}", "a number of at most 0")
    if dt_ms is not None and not 0 < dt_ms < math.inf:
        raise UsageError("--dt-ms", f"found {dt_ms}", "a number above 0")
    if delay_us is not None and delay_us < 1:
        raise UsageError("--delay-us", f"found {delay_us}", "whole microseconds, at least 1")


def graph_in(
    top: Mapping[str, Any],
    file: str,
    reset: Reset | None,
    floor: float | None,
    dt_ms: float | None,
    delay_us: int | None,
    tell: Tell = silent,
) -> Graph:
    """The network in the `top_graph` of ``file``, as `read_nir` reads it."""
    nodes, edges = flatten_subgraphs(top, file)
    idle = [name for name, fields in nodes.items() if does_nothing(fields) or fields.stated.get("implied")]
    nodes, edges = {name: fields for name, fields in nodes.items() if name not in idle}, leave_out(idle, edges)
    statements = stated(top, file)
    dt_ms = statements.get("dt_ms", dt_ms)
    nodes, edges = with_ends(without_batch_axis(nodes, edges, file, tell), edges, file)
    open_cycles = on_cycles_without(("Delay",), nodes, edges)
    if delay_us is not None:
        nodes, edges = with_delays(nodes, edges, delay_us, file)
    parsed = _parse(nodes, edges, Assumptions(reset or "subtract", floor, dt_ms), file)
    _check_said(nodes, reset, dt_ms, open_cycles if delay_us is None else [], file)
    unscaled, edges = fold_scales(parsed, edges, file)
    complete, edges = with_sums(unscaled, edges, statements.get("edges"))
    width, decoder = statements.get("weight_bits"), parse_decoder(statements.get("decoder"), file)
    graph = Graph(complete, edges, dt_ms, file, width, decoder)
    _check_stated_shapes(graph, nodes)
    return joined(graph, {name: item.stated["part"] for name, item in nodes.items() if "part" in item.stated})


def top_graph(path: Path) -> Mapping[str, Any]:
    """The outermost graph in the NIR file ``path``. Raises InputError if there is none."""
    top = load(path).get("node")
    if not isinstance(top, Mapping):
        raise InputError(str(path), "an HDF5 file without a NIR graph", "a NIR file")
    if type_of(top) != GRAPH:
        raise InputError(str(path), f"holds {type_of(top)} instead of a graph", f"a {GRAPH}")
    return top


def _parse(nodes: Nodes, edges: Edges, assumed: Assumptions, file: str) -> dict[str, Parsed]:
    """All nodes. Raises every error at once."""
    parsed: dict[str, Parsed] = {}
    problems: list[DeployError] = []
    for name, fields in nodes.items():
        try:
            parsed[name] = read_node(fields, assumed)
            stated_shapes(fields)
        except (InputError, UnsupportedError) as error:
            problems.append(error)
    if loop := on_cycles_without(NEURONS, nodes, edges):
        found = f"recurrent connections through {', '.join(loop)}, none of which spikes"
        problems.append(UnsupportedError(file, found, f"one of {', '.join(NEURONS)} on every cycle"))
    if problems:
        ill_formed = any(isinstance(problem, InputError) for problem in problems)
        raise (InputError if ill_formed else UnsupportedError).together(problems)
    return parsed


def _check_said(
    nodes: Mapping[str, Fields], reset: Reset | None, dt_ms: float | None, open_cycles: list[str], file: str
) -> None:
    """Raises UsageError for values that neither the file nor the caller gives."""
    neurons = {name: fields for name, fields in nodes.items() if fields.type in NEURONS}
    problems = []
    if reset is None and (silent := [name for name, fields in neurons.items() if "reset" not in fields.stated]):
        problems.append(
            UsageError(
                file,
                f"does not say how the neurons {_listed(silent)} reset",
                "--reset subtract|zero",
                "NIR cannot state it; sinabs subtracts the threshold by default.",
            )
        )
    if dt_ms is None and (silent := [name for name, fields in neurons.items() if needs_time_step(fields)]):
        problems.append(
            UsageError(
                file,
                f"does not say how long a spike drives the neurons {_listed(silent)}",
                "--dt-ms MS",
                "Give the time step of the exported network; snnTorch and SpikingJelly use 0.1.",
            )
        )
    if open_cycles:
        problems.append(
            UsageError(
                file,
                f"does not state the delay of the recurrent connections through {_listed(open_cycles)}",
                "--delay-us N",
                "A network with time steps delays them by one step: give its length.",
            )
        )
    if problems:
        raise UsageError.together(problems)


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names, key=lambda name: (len(name), name)))


def _check_stated_shapes(graph: Graph, nodes: Mapping[str, Fields]) -> None:
    """Raises InputError if a node states a shape that it does not have."""
    problems = []
    for name, fields in nodes.items():
        if name not in graph.nodes:
            continue
        for side, claimed in stated_shapes(fields).items():
            sources = graph.sources(name)
            actual = graph.shapes[name if side == "out" else sources[0]]
            if claimed != actual:
                found = f"states the shape {format_shape(claimed)} but gets or gives {format_shape(actual)}"
                problems.append(InputError(fields.where, found, "matching shapes"))
    if problems:
        raise InputError.together(problems)
