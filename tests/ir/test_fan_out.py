"""The updates that a spike causes: counted by hand, and added up against what a run counts."""

from __future__ import annotations

import numpy as np
from helpers.families import split_programs
from helpers.layers import make_layer
from helpers.programs import delayed_programs, programs, streams
from hypothesis import given, reject
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.ir.fan_out import fan_outs
from deploytool.ir.program import INPUT, Program, Route
from deploytool.run.engine.event_driven import run_sample
from deploytool.run.engine.limits import Limits
from deploytool.run.plan.layers import make_plan, state_type

SPLIT = split_programs().map(lambda pair: pair[1])


@given(st.one_of(programs(), delayed_programs(), SPLIT), st.data())
def test_updates_of_all_spikes_add_up_to_those_of_the_run(program: Program, data: st.DataObject) -> None:
    stream = data.draw(streams(program.input_shape))
    plan = make_plan(program, state_type(program))
    try:
        found = run_sample(plan, stream, list(program.parts), keep_spikes=True, limits=Limits(in_flight=5_000))
    except UnsupportedError:
        reject()  # runaway excitation
    expected = 0
    for out in fan_outs(program):
        spikes = found.spikes[out.source]
        at = spikes["c"], spikes["y"], spikes["x"]
        expected += int(out.updates[at][spikes["t"] + out.delay_us[at] < stream.duration_us].sum())
    assert found.synops == expected


def test_an_event_at_the_edge_reaches_fewer_neurons() -> None:
    layer = make_layer(np.ones((4, 2, 3, 3), np.int8), 1, (2, 3, 3), (4, 3, 3), padding=(1, 1))
    program = Program("simulator", "int8/int16", (2, 3, 3), (Route("a"),), {"a": layer}, ("a",), "")
    (out,) = fan_outs(program)
    assert out.source == INPUT
    assert out.updates[1].tolist() == [[16, 24, 16], [24, 36, 24], [16, 24, 16]]
    assert not out.delay_us.any()


def test_pooling_and_shifted_features() -> None:
    layer = make_layer(np.ones((3, 2, 1, 1), np.int8), 1, (2, 2, 2), (3, 2, 2))
    routes = (Route("a", pool=(2, 2), feature_shift=1), Route("a", delay_us=5))
    program = Program("simulator", "int8/int16", (2, 5, 2), routes, {"a": layer}, ("a",), "")
    prompt, late = fan_outs(program)
    assert prompt.updates[0].tolist() == [[3, 3], [3, 3], [3, 3], [3, 3], [0, 0]]  # the fifth row pools to a third
    assert not prompt.updates[1].any()  # its feature would be the third of two
    assert late.updates[1].tolist() == [[3, 3], [3, 3], [0, 0], [0, 0], [0, 0]]
    assert (late.delay_us == 5).all()
