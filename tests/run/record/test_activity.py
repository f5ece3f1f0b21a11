"""Updates per neuron add up to the SynOps, V stays within its bound, and what is measured is what happened."""

from __future__ import annotations

import numpy as np
from contract import layer, mapped, stream, two_neurons
from helpers.layers import changed
from helpers.programs import programs, streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.ir.events import count
from deploytool.ir.program import INPUT, Program, Route
from deploytool.ir.target import Watch
from deploytool.run.jobs.job import Job
from deploytool.run.record.activity import bound, updates_of_neurons, weights_above
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.options import Options

OPTIONS = Options(lambda _: {})


@settings(max_examples=60)
@given(st.data())
def test_updates_of_all_neurons_are_the_synops(data: st.DataObject) -> None:
    program = data.draw(programs())
    events = data.draw(streams(program.input_shape))
    sample = run_reference(program, events)
    updates = updates_of_neurons(program, {INPUT: count(events.events, program.input_shape), **sample.counts})
    assert {name: array.shape for name, array in updates.items()} == {n: program.map_of(n) for n in program.parts}
    assert sum(int(array.sum()) for array in updates.values()) == sample.synops


@settings(max_examples=60)
@given(st.data())
def test_no_neuron_fires_more_often_than_it_is_updated(data: st.DataObject) -> None:
    program = data.draw(programs())
    once = program.with_layers({name: changed(each, at_most_one=True) for name, each in program.layers.items()})
    events = data.draw(streams(program.input_shape))
    counts = run_reference(once, events).counts
    updates = updates_of_neurons(once, {INPUT: count(events.events, program.input_shape), **counts})
    assert all((counts[name] <= updates[name]).all() for name in counts)


@settings(max_examples=60)
@given(st.data())
def test_v_stays_within_its_bound(data: st.DataObject) -> None:
    program = data.draw(programs(integers=True))
    bounds = {name: bound(layer, program.arithmetic) for name, layer in program.layers.items()}
    known = {name: limits for name, limits in bounds.items() if limits is not None}
    assume(known)
    reached = run_reference(program, data.draw(streams(program.input_shape))).extremes
    for name, limits in known.items():
        assert limits[0] <= reached[name][0] <= reached[name][1] <= limits[1]


@settings(max_examples=30)
@given(st.data())
def test_measured_extremes_are_those_of_the_specification(data: st.DataObject) -> None:
    program = data.draw(programs(integers=True))
    some = [data.draw(streams(program.input_shape)) for _ in range(2)]
    found = Job("simulator", watch=Watch(extremes=True)).run(program, some, 0, OPTIONS)
    wanted = [run_reference(program, each).extremes for each in some]
    for name in program.layers:
        low, high = min(w[name][0] for w in wanted), max(w[name][1] for w in wanted)
        assert found.activity[name].reached == (low, high)


def test_a_job_records_what_was_sent() -> None:
    recording = Job("emulator").run(two_neurons(), [stream([0] * 5), stream([1])], 0, OPTIONS)
    assert recording.durations_us.tolist() == [5001, 1001]
    assert recording.activity["fc"].updates is not None
    assert recording.activity["fc"].updates.ravel().tolist() == [6, 6]
    assert recording.activity["fc"].bound == (-4, 8)
    assert recording.activity["fc"].weights_above == 0


def test_layers_fed_by_what_was_not_watched_have_no_updates() -> None:
    a = layer([[[[5]], [[0]]]], (2, 1, 1), (1, 1, 1), Route("b"))
    program: Program = mapped({"a": a, "b": layer([[[[5]]]], (1, 1, 1), (1, 1, 1))})
    activity = Job("emulator", watch=Watch(())).run(program, [stream([0])], 0, OPTIONS).activity
    assert activity["b"].updates is None
    activity = Job("emulator", watch=Watch(("a",))).run(program, [stream([0])], 0, OPTIONS).activity
    assert activity["b"].updates is not None


def test_weights_above_the_threshold_pile_up_and_have_no_bound() -> None:
    heavy = layer([[[[12]], [[5]]]], (2, 1, 1), (1, 1, 1))
    assert weights_above(heavy) == 1
    assert bound(heavy, "int8/int16") is None
    assert bound(changed(heavy, reset="zero"), "int8/int16") == (-4, 16)
    assert bound(changed(heavy, floor=None, at_most_one=False), "int8/int16") == (-32768, 16)
    assert bound(changed(heavy, weights=heavy.single.weights.astype(np.float32)), "float32") is None


def test_clock_driven_updates_are_its_synops() -> None:
    recording = Job("quantised", time_steps=3).run(two_neurons(), [stream([0, 1, 0])], 0, OPTIONS)
    assert recording.activity["fc"].updates is not None
    assert recording.activity["fc"].updates.sum() == recording.synops.sum()
