"""Load and decisions: right by hand, and equal to the specification in any batches and chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.families import crossing_programs, leaky_programs
from helpers.layers import make_layer
from helpers.programs import programs, specified, streams, vector_programs
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.recording import Load, Recording, join
from deploytool.run.engine.event_driven import run_streams
from deploytool.run.engine.limits import Limits
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.record.samples import Room, recording_of
from deploytool.run.targets.table import make_target


def spread(stream: EventStream, factor: int) -> EventStream:
    """``stream``, slower by ``factor``."""
    events = stream.events.copy()
    events["t"] *= factor
    return replace(stream, events=events, duration_us=stream.duration_us * factor)


def recorded(program: Program, sent: list[EventStream], limits: Limits, vectors: bool = True) -> Recording:
    room = Room(program, list(program.parts), len(sent))
    plan = make_plan(program, state_type(program), vectors)
    return recording_of(program, "simulator", room, run_streams(plan, sent, room, limits=limits))


def at(*times_us: int) -> EventStream:
    """Events at ``times_us`` on a map of one pixel, in a sample of 50 ms."""
    events = np.zeros(len(times_us), EVENT)
    events["t"] = times_us
    return EventStream(events, (1, 1, 1), 50_000)


def counting() -> Program:
    """Two neurons: every event adds 1 to the first, and 2 to the second; they fire at 4. Their spikes reach one more,
    which fires for each."""
    first = make_layer(np.array([1, 2], np.int8).reshape(2, 1, 1, 1), 4, (1, 1, 1), (2, 1, 1), (Route("last"),))
    weights = np.array([[1, 0], [0, 1], [0, 0]], np.int8).reshape(3, 2, 1, 1)
    last = make_layer(weights, 1, (2, 1, 1), (3, 1, 1))
    layers = {"first": first, "last": last}
    return Program("simulator", "int8/int16", (1, 1, 1), (Route("first"),), layers, ("last",), "")


def test_load_and_decision_by_hand() -> None:
    """The second neuron fires at every second event, the first at every fourth. At the fourth event, the output of the
    first draws level and is the answer, as the first of equals, until that of the second fires again."""
    sent = [at(0, 999, 1000, 1999, 9999, 10_000, 10_001, 19_999), at(40_000, 49_000)]
    found = make_target("simulator").run(counting(), sent)
    # Events per ms: 2 in 0, 2 in 1, 1 in 9, 2 in 10, 1 in 19; in ten successive ms at most 5, from 0 to 9 or 1 to 10.
    assert found.load["first"] == Load("first", None, 2 * 10, 2 * 2, 2 * 5)
    # Spikes: one at 999, two at 1999, one at 10,000, two at 19,999; in the second sample one at 49,000.
    assert found.load["last"] == Load("last", None, 3 * 7, 3 * 2, 3 * 3)
    assert found.decisions_us.tolist() == [1999, 9000]


def test_a_silent_sample_has_no_decision_and_no_load() -> None:
    found = make_target("simulator").run(counting(), [at(), at(5)])
    assert found.decisions_us.tolist() == [-1, -1]
    assert found.load == {"first": Load("first", None, 2, 2, 2), "last": Load("last", None, 0, 0, 0)}


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_chunks_of_a_long_sample_do_not_show(chunk: int) -> None:
    sent = [at(*range(0, 50_000, 700))]
    found = recorded(counting(), sent, Limits(chunk))
    assert found.load["first"] == Load("first", None, 2 * 72, 2 * 2, 2 * 15)
    assert found.decisions_us.tolist() == [2100]


@given(st.data())
@settings(max_examples=60)
def test_load_and_decisions_equal_the_specification(data: st.DataObject) -> None:
    program = data.draw(st.one_of(programs(), vector_programs(), leaky_programs(), crossing_programs()))
    factor = data.draw(st.sampled_from([1, 30, 400]))
    sent = [spread(stream, factor) for stream in data.draw(st.lists(streams(program.input_shape), min_size=1))]
    wanted = [specified(program, stream, in_flight=300) for stream in sent]
    found = recorded(program, sent, Limits(data.draw(st.integers(1, 100))), data.draw(st.booleans()))
    assert found.decisions_us.tolist() == [sample.decision_us for sample in wanted]
    for name, load in found.load.items():
        synops, busiest_ms, busiest_10ms = zip(*(sample.load[name] for sample in wanted), strict=True)
        assert load == Load(name, None, sum(synops), max(busiest_ms), max(busiest_10ms))


@given(st.data())
@settings(max_examples=20)
def test_joined_parts_are_the_whole_in_any_grouping(data: st.DataObject) -> None:
    program = data.draw(programs())
    sent = data.draw(st.lists(streams(program.input_shape), min_size=3, max_size=3))
    target = make_target("simulator")
    whole, (a, b, c) = target.run(program, sent), [target.run(program, [stream]) for stream in sent]
    for joined in (join([a, b, c]), join([join([a, b]), c]), join([a, join([b, c])])):
        assert joined.load == whole.load
        assert joined.decisions_us.tolist() == whole.decisions_us.tolist()


def test_a_part_in_which_they_are_not_known_leaves_the_whole_unknown() -> None:
    known = make_target("simulator").run(counting(), [at(0, 1)])
    unknown = replace(known, decisions_us=np.zeros(0, np.int64), load={})
    joined = join([known, unknown])
    assert not len(joined.decisions_us)
    assert joined.load == {}
