"""The self-test of a target: a small network, run there and on the executable specification."""

from __future__ import annotations

from typing import Any

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.errors import TargetError
from deploytool.chip.chips import chip_named
from deploytool.ir.events import EVENT, Events, EventStream
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool

SHAPE: Shape = (2, 8, 8)


def selftest(device: str) -> dict[str, Any]:
    """Runs a small network on ``device`` and on the executable specification, and compares every count.

    Raises TargetError when they differ.
    """
    from deploytool.map.compile import compile_graph
    from deploytool.run.reference.specification import run_reference
    from deploytool.run.targets.options import Options
    from deploytool.run.targets.table import make_target
    from deploytool.workflow.map import configure

    target = make_target(device, Options(configure))
    program = compile_graph(_network(), chip_named("speck2e")).program
    stream = EventStream(_events(500), SHAPE, 50_000, name="selftest")
    wanted, found = run_reference(program, stream).counts, target.run(program, [stream]).counts
    different = [name for name in wanted if not np.array_equal(wanted[name], found[name][0])]
    if different:
        raise TargetError(device, f"counts differ from the specification in {', '.join(different)}", "equal counts")
    spikes = {layer: int(counts.sum()) for layer, counts in found.items()}
    return {"device": device, "selftest": "every count equals the specification", "spikes": spikes}


def _network() -> Graph:
    rng = np.random.default_rng(1)
    conv, fc = rng.normal(0, 0.4, (8, 2, 3, 3)), rng.normal(0, 0.2, (10, 128))
    nodes: list[tuple[str, Node]] = [
        ("in", Input(SHAPE)),
        ("conv", Conv(conv.astype(np.float32), padding=(1, 1))),
        ("if1", Spike(floor=-1)),
        ("pool", SumPool((2, 2), (2, 2))),
        ("flat", Flatten()),
        ("fc", Linear(fc.astype(np.float32))),
        ("if2", Spike(floor=-1)),
        ("out", Output()),
    ]
    return chain(nodes)


def _events(count: int) -> Events:
    rng = np.random.default_rng(2)
    events = np.zeros(count, EVENT)
    events["t"] = np.arange(count) * 100
    for axis, size in zip("cyx", SHAPE, strict=True):
        events[axis] = rng.integers(0, size, count)
    return events
