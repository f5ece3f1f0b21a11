"""A chain of layers in one compiled call gives what its layers give one by one, and what the specification gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import make_layer
from helpers.programs import streams, vector_programs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.engine.event_driven import run_samples, run_streams
from deploytool.run.engine.limits import Limits
from deploytool.run.plan.layers import Plan, make_plan, state_type
from deploytool.run.record.samples import Room, recording_of
from deploytool.run.reference.specification import run_reference


def tree(arithmetic: str = "int8/int16") -> Program:
    """A layer whose spikes reach two others; the output is the one between them in the order of layers."""
    kind = np.int8 if arithmetic == "int8/int16" else np.float32
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-3, 9, shape).astype(kind)

    first = make_layer(
        weights(8, 1, 3, 3), 7, (1, 6, 6), (8, 6, 6), (Route("out", (2, 2)), Route("side")), padding=(1, 1)
    )
    out = make_layer(weights(3, 8, 3, 3), 20, (8, 3, 3), (3, 1, 1))
    side = make_layer(weights(33, 8, 6, 6), 20, (8, 6, 6), (33, 1, 1))
    layers = {"first": first, "out": out, "side": side}
    return Program("simulator", arithmetic, (1, 6, 6), (Route("first"),), layers, ("out",), "")


def random_events(count: int, seed: int, duration_us: int = 60_000) -> EventStream:
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, duration_us, count))
    events["y"], events["x"] = rng.integers(0, 6, (2, count))
    return EventStream(events, (1, 6, 6), duration_us)


def plans(program: Program) -> tuple[Plan, Plan]:
    """The plan as a chain, and the same layers one by one."""
    plan = make_plan(program, state_type(program), vectors=True)
    assert plan.chain is not None
    return plan, replace(plan, stepwise=True)


def assert_equal(program: Program, sent: list[EventStream], chunk: int) -> None:
    rooms = [Room(program, list(program.parts), len(sent)) for _ in range(2)]
    one, other = (
        recording_of(program, "simulator", room, run_streams(plan, sent, room, limits=Limits(chunk)))
        for plan, room in zip(plans(program), rooms, strict=True)
    )
    for name, counts in other.counts.items():
        assert np.array_equal(one.counts[name], counts), name
    assert one.load == other.load
    assert one.synops.tolist() == other.synops.tolist()
    assert one.decisions_us.tolist() == other.decisions_us.tolist()


@given(st.data())
@settings(max_examples=60)
def test_a_chain_equals_its_layers_one_by_one(data: st.DataObject) -> None:
    program = data.draw(vector_programs())
    assume(make_plan(program, state_type(program), vectors=True).chain is not None)
    sent = data.draw(st.lists(streams(program.input_shape), min_size=1, max_size=5))
    assert_equal(program, sent, data.draw(st.integers(1, 60)))


@pytest.mark.parametrize("arithmetic", ["int8/int16", "float32"])
@pytest.mark.parametrize("chunk", [1, 17, 1 << 14])
def test_a_tree_equals_the_specification(arithmetic: str, chunk: int) -> None:
    """In one batch, and in chunks of one long sample, with more spikes than there is room for at first."""
    program = tree(arithmetic)
    sent = [random_events(count, count) for count in (600, 0, 1, 300)]
    wanted = [run_reference(program, stream) for stream in sent]
    assert wanted[0].counts["first"].sum() > 2 * 600
    assert all(wanted[0].counts[name].any() for name in program.layers)
    room = Room(program, list(program.parts), len(sent))
    plan, _ = plans(program)
    found = recording_of(program, "simulator", room, run_streams(plan, sent, room, limits=Limits(chunk)))
    for name in program.layers:
        assert np.array_equal(found.counts[name], np.stack([sample.counts[name] for sample in wanted])), name
        loads = [sample.load[name] for sample in wanted]
        assert found.load[name].synops == sum(total for total, _, _ in loads)
        assert found.load[name].busiest_ms == max(busiest for _, busiest, _ in loads)
        assert found.load[name].busiest_10ms == max(busiest for _, _, busiest in loads)
    assert found.synops.tolist() == [sample.synops for sample in wanted]
    assert found.decisions_us.tolist() == [sample.decision_us for sample in wanted]


def test_only_layers_that_are_watched_are_counted() -> None:
    program = tree()
    plan, stepwise = plans(program)
    sent = [random_events(100, 1)]
    rooms = [Room(program, ["out"]).take(0, 1) for _ in range(2)]
    found, wanted = (run_samples(each, sent, room) for each, room in zip((plan, stepwise), rooms, strict=True))
    assert list(found.counts) == ["out"]
    assert np.array_equal(found.counts["out"], wanted.counts["out"])
    assert found.counts["out"].any()


def test_other_networks_are_no_chain() -> None:
    program = tree()
    several = replace(program, outputs=("out", "side"))
    merged = replace(program, input_routes=(Route("first"), Route("out", (2, 2))))
    for each in (several, merged):
        assert make_plan(each, state_type(each), vectors=True).chain is None
    assert make_plan(program, state_type(program)).chain is None
