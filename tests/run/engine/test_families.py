"""What holds for programs of every family, whichever loops take their layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from helpers.families import FAMILIES, Family
from helpers.programs import assert_same, fast, specified, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.ir.events import EventStream, count
from deploytool.ir.program import INPUT, Program
from deploytool.run.engine.limits import Limits
from deploytool.run.plan.layers import make_plan, state_type, updates
from deploytool.run.record.activity import updates_of_neurons

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def for_all(examples: int, holds: Callable[[st.DataObject], None]) -> None:
    """Tries ``holds`` on ``examples`` draws."""
    settings(max_examples=examples)(given(st.data())(holds))()


def drawn(data: st.DataObject, family: Family) -> tuple[Program, EventStream]:
    program = data.draw(family.programs())
    least, most = family.events
    stream = data.draw(streams(program.input_shape, most=most, least=least))
    return program, replace(stream, duration_us=stream.duration_us + data.draw(st.sampled_from([0, 30])))


@families
def test_the_engine_equals_the_specification(family: Family) -> None:
    def holds(data: st.DataObject) -> None:
        program, stream = drawn(data, family)
        wanted, found = specified(program, stream, family.in_flight), fast(program, stream, vectors=family.vectors)
        assert_same(found, wanted)
        assert family.vectors or found.extremes == wanted.extremes

    for_all(family.examples, holds)


@families
def test_how_much_is_run_at_a_time_does_not_show(family: Family) -> None:
    def holds(data: st.DataObject) -> None:
        program, stream = drawn(data, family)
        wanted = specified(program, stream, family.in_flight)
        limits = Limits(chunk=data.draw(st.integers(1, 9)), roots=data.draw(st.integers(1, 9)))
        assert_same(fast(program, stream, limits, family.vectors), wanted)

    for_all(30, holds)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.delays])
def test_updates_follow_from_counts(name: str) -> None:
    family = FAMILIES[name]

    def holds(data: st.DataObject) -> None:
        program, stream = drawn(data, family)
        sample = fast(program, stream, vectors=family.vectors)
        fired = {INPUT: count(stream.events, program.input_shape), **sample.counts}
        assert sample.synops == sum(updates(layer, fired) for layer in make_plan(program, state_type(program)).layers)
        assert sample.synops == sum(maps.sum() for maps in updates_of_neurons(program, fired).values())

    for_all(30, holds)
