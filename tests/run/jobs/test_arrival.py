"""Chains that are run layer by layer, with the spikes that one event causes in another order."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.programs import programs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program
from deploytool.run.jobs.arrival import ordered, run_in_order
from deploytool.run.jobs.assumptions import in_a_chain
from deploytool.run.targets.table import make_target


def stream(shape: tuple[int, int, int], size: int, seed: int) -> EventStream:
    rng = np.random.default_rng(seed)
    events = np.zeros(size, EVENT)
    events["t"] = np.sort(rng.integers(0, 20, size))
    for axis, limit in zip(("c", "y", "x"), shape, strict=True):
        events[axis] = rng.integers(0, limit, size)
    return EventStream(events, shape, 20)


@settings(max_examples=20, deadline=None)
@given(programs(integers=True, chains=True), st.integers(0, 9))
def test_in_the_order_of_the_emulator_nothing_changes(program: Program, seed: int) -> None:
    assume(in_a_chain(program))
    streams = [stream(program.input_shape, size, seed) for size in (0, 1, 40)]
    wanted = make_target("simulator").run(program, streams).counts
    found = run_in_order(program, streams, lambda events, _: (np.arange(len(events)),))
    assert all(np.array_equal(found[name], maps) for name, maps in wanted.items())


@pytest.mark.parametrize(("sign", "wanted"), [(1, [1, 2, 0]), (-1, [1, 0, 2])])
def test_only_events_of_one_time_are_exchanged(sign: int, wanted: list[int]) -> None:
    events = np.array([(5, 2, 0, 0), (3, 1, 0, 0), (5, 0, 0, 0)], EVENT)
    found = ordered(events, lambda each, _: (sign * -each["c"].astype(int),), np.random.default_rng(0))
    assert found["t"].tolist() == [3, 5, 5]
    assert found["c"].tolist() == wanted
