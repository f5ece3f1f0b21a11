"""The congestion balancer: which events of a queue a busy core loses, and which runs refuse it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from contract import layer, mapped, stream
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.ir.program import Route
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.reference.balancer import Balancer
from deploytool.run.reference.specification import run_reference

EVENTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=30).map(sorted)
"""(time in us, synaptic updates) of events, in order of time."""


@given(EVENTS, st.integers(1, 3_000_000))
def test_events_are_lost_while_the_updates_of_an_earlier_one_take(events: list[tuple[int, int]], speed: int) -> None:
    balancer, free_us, lost = Balancer(speed), Fraction(0), 0
    for t_us, updates in events:
        dropped = balancer.drops(t_us)
        assert dropped == (t_us < free_us)
        lost += dropped
        if not dropped:
            balancer.work(t_us, updates)
            free_us = t_us + Fraction(updates * 1_000_000, speed)
    assert balancer.dropped == lost


@given(EVENTS)
def test_without_a_speed_every_event_passes(events: list[tuple[int, int]]) -> None:
    balancer = Balancer(None)
    for t_us, updates in events:
        assert not balancer.drops(t_us)
        balancer.work(t_us, updates)
    assert balancer.dropped == 0


def test_each_part_of_a_split_layer_has_a_balancer_of_its_own() -> None:
    """At 1000 SynOps/s, the part of two features is busy for 2 ms per event, the part of one feature for 1 ms."""
    parts = {
        "a0": layer([[[[5]]]] * 2, (1, 1, 1), (2, 1, 1), part_of=("a", 0), balancer=1000),
        "a1": layer([[[[5]]]], (1, 1, 1), (1, 1, 1), part_of=("a", 2), balancer=1000),
    }
    program = mapped(parts, Route("a0"), Route("a1"), outputs=("a0", "a1"))
    found = run_reference(program, stream([0] * 6, (1, 1, 1)))
    assert found.counts["a"].ravel().tolist() == [3, 3, 6]
    assert found.measured == {"dropped a0": 3, "dropped a1": 0}
    assert found.synops == 12


def test_compiled_loops_refuse_it() -> None:
    program = mapped({"fc": layer([[[[5]]]], (1, 1, 1), (1, 1, 1), balancer=1000)})
    with pytest.raises(UnsupportedError, match="layer 'fc': has a congestion balancer, which this run does not model"):
        make_plan(program, state_type(program))
