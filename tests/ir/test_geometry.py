"""Positions outside a map, against all positions tried one by one."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.geometry import arrival_size, position_outside_map, targets
from deploytool.ir.neurons import Neurons
from deploytool.ir.program import INPUT, SIMULATOR, Layer, Program, Route, Synapses


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@given(pairs(1, 9), pairs(1, 4), pairs(0, 1), pairs(1, 5), pairs(1, 4), pairs(1, 3), pairs(0, 3), pairs(1, 2))
def test_the_first_position_outside_the_map_is_that_of_a_search(
    sent: tuple[int, int],
    pool: tuple[int, int],
    smaller: tuple[int, int],
    out: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    height, width = (max(1, sent[axis] // pool[axis] - smaller[axis]) for axis in (0, 1))
    weights = np.ones((1, 1, *kernel), np.float32)
    synapses = Synapses(weights, (1, height, width), (1, *out), stride, padding, dilation)
    route = Route("a", pool)
    program = Program(
        SIMULATOR, "float32", (1, *sent), (route,), {"a": Layer((synapses,), Neurons())}, ("a",), graph_digest=""
    )
    positions = itertools.product(*(range(arrival_size(program, INPUT, route, axis)) for axis in (0, 1)))
    reaching = [(y, x) for y, x in positions if targets(synapses, 0, y) and targets(synapses, 1, x)]
    expected = next(((y, x) for y, x in reaching if y >= height or x >= width), None)
    assert position_outside_map(program, INPUT, route) == expected
