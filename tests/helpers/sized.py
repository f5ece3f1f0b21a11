"""Random chains of convolutions, often a little too large for a core."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from deploytool.base.errors import DeployError
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool


def weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


def conv(name: str, out: int, into: int, kernel: int = 3, stride: int = 1) -> list[tuple[str, Node]]:
    padding = (kernel - 1) // 2
    node = Conv(weight(out, into, kernel, kernel), None, (stride, stride), (padding, padding))
    return [(name, node), (f"{name}_spike", Spike())]


@st.composite
def sized_networks(draw: st.DrawFn) -> Graph:
    """Chains of one to three convolutions, often a little too large for a core."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(8, 40), st.integers(8, 40)))
    nodes: list[tuple[str, Node]] = [("in", Input(shape))]
    into = shape[0]
    for i in range(draw(st.integers(1, 3))):
        out, kernel = draw(st.integers(1, 80)), draw(st.sampled_from([1, 3, 5]))
        nodes += conv(f"conv{i}", out, into, kernel, draw(st.sampled_from([1, 1, 2, 3])))
        into = out
        pool = draw(st.sampled_from([1, 2, 3, 4]))
        if pool > 1:
            nodes.append((f"pool{i}", draw(st.sampled_from([SumPool, AvgPool]))((pool, pool), (pool, pool))))
    try:
        size = int(np.prod(chain([*nodes, ("probe", Output())]).shapes["probe"]))
    except DeployError:
        assume(False)
    end = [("flat", Flatten()), ("fc", Linear(weight(10, size))), ("last", Spike()), ("out", Output())]
    return chain([*nodes, *end])
