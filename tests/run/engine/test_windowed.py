"""Delays and ways back: the engine equals the specification, which keeps the documented order within one time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import make_layer
from helpers.programs import assert_same, fast
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import INPUT, Program, Route
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import verify
from deploytool.ir.target import Watch
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.engine.limits import Limits
from deploytool.run.record.activity import updates_of_neurons
from deploytool.run.reference.specification import run_reference


def loop(weight: float, delay_us: int | tuple[int, ...], features: int = 1) -> Program:
    """Neurons that each input event makes fire, and that get their own spikes back with ``weight``."""
    ones = np.ones((features, 1, 1, 1), np.float32)
    back = np.full((features, features, 1, 1), weight, np.float32)
    shape = (features, 1, 1)
    relay = make_layer(ones, 1.0, (1, 1, 1), shape, (Route("it"),))
    it = make_layer(
        np.concatenate([np.eye(features, dtype=np.float32)[:, :, None, None], back], axis=1),
        1.0,
        (2 * features, 1, 1),
        shape,
        (Route("it", feature_shift=features, delay_us=delay_us),),
    )
    return Program("simulator", "float32", (1, 1, 1), (Route("relay"),), {"relay": relay, "it": it}, ("it",), "")


def events(*times_us: int, duration_us: int = 100) -> EventStream:
    listed = np.zeros(len(times_us), EVENT)
    listed["t"] = times_us
    return EventStream(listed, (1, 1, 1), duration_us)


def test_a_spike_comes_back_after_its_delay_until_the_stream_ends() -> None:
    found = fast(loop(1.0, 30), events(5))
    assert found.spikes["it"]["t"].tolist() == [5, 35, 65, 95]
    assert found.synops == 1 + 4 * 1
    assert fast(loop(0.5, 30), events(5)).spikes["it"]["t"].tolist() == [5]
    assert fast(loop(0.5, 30), events(5, 40)).spikes["it"]["t"].tolist() == [5, 40, 70]


def test_at_one_time_input_events_come_first() -> None:
    """The event at 35 and the spike that is back then: with a weight of -1 the event must not find it there first."""
    assert fast(loop(-1.0, 30), events(5, 35)).spikes["it"]["t"].tolist() == [5, 35]
    assert fast(loop(-1.0, 29), events(5, 35)).spikes["it"]["t"].tolist() == [5]


def test_every_neuron_may_have_a_delay_of_its_own() -> None:
    found = fast(loop(0.0, (10, 20, 30), features=3), events(5))
    assert found.synops == 3 + 3 * 3 + 3 * 3
    program = loop(0.0, (10, 20, 200), features=3)
    assert fast(program, events(5)).synops == 3 + 3 * 3 + 2 * 3
    assert_same(fast(program, events(5)), run_reference(program, events(5)))


def test_what_excites_itself_without_end_is_told() -> None:
    program, stream = loop(1.0, 10, features=4), events(5, duration_us=1000)
    for run, limit in ((fast, Limits(in_flight=1000)), (run_reference, 1000)):
        with pytest.raises(UnsupportedError, match=r"spikes on delayed routes at .* at most 1,000"):
            run(program, stream, limit)


def test_updates_of_spikes_that_may_be_lost_are_not_told() -> None:
    program = loop(1.0, 30)
    maps = {name: np.ones((1, 1, 1), np.int64) for name in (INPUT, *program.layers)}
    assert list(updates_of_neurons(program, maps)) == ["relay"]


@pytest.mark.parametrize(
    ("delay_us", "found"),
    [(-1, "a delay of -1 us"), ((5, 0, 5), "a delay of 0 us"), ((5, 5), "2 delays for 3 neurons; need one delay")],
)
def test_delays_that_cannot_be_meant_are_refused(delay_us: int | tuple[int, ...], found: str) -> None:
    with pytest.raises(UnsupportedError, match=f"route from 'it' to 'it': {found}"):
        verify(loop(1.0, delay_us, features=3), Level.EXECUTABLE)


def test_no_chip_takes_a_delay() -> None:
    program = loop(1.0, 30)
    program = replace(program, chip="speck2e", core_of={"relay": 0, "it": 1})
    with pytest.raises(UnsupportedError, match="it: gets spikes of 'it' with a delay"):
        verify(program, Level.MAPPED)


def test_the_clock_driven_run_delays_by_whole_steps() -> None:
    found = run_clocked(loop(1.0, 30), [events(5)], TimeSteps(10), Watch(rasters=1))
    assert found.spikes["it"]["t"].tolist() == [0, 30, 60, 90]
    assert found.synops.tolist() == [5]
    differ = run_clocked(loop(0.0, (10, 20, 200), features=3), [events(5)], TimeSteps(10))
    assert differ.synops.tolist() == [3 + 3 * 3 + 2 * 3]
    with pytest.raises(
        UnsupportedError, match=r"route from .it. to .it.: a delay that is not a whole number of steps of 12.5"
    ):
        run_clocked(loop(1.0, 30), [events(5)], TimeSteps(8))
    with pytest.raises(UnsupportedError, match="time steps: of equal counts of events, which differ in length; need"):
        run_clocked(loop(1.0, 30), [events(5)], TimeSteps(10, bins="count"))


@given(st.data())
@settings(max_examples=30)
def test_with_an_event_per_step_both_runs_are_one(data: st.DataObject) -> None:
    """Weights and thresholds of halves: nothing is rounded, and no neuron keeps V at its threshold.

    At most one event arrives at a time: of two in one step, the clock-driven run takes the sum.
    """
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    delay_us, size = data.draw(st.sampled_from([1, 2, 5])), data.draw(st.integers(1, 4))
    weights = (rng.integers(-1, 3, (size, size + 1, 1, 1)) / 2).astype(np.float32)
    layer = make_layer(
        weights, 3.0, (size + 1, 1, 1), (size, 1, 1), (Route("it", feature_shift=1, delay_us=delay_us),), floor=None
    )
    program = Program("simulator", "float32", (1, 1, 1), (Route("it"),), {"it": layer}, ("it",), "")
    stream = events(*range(0, 30 * size, size + 1), duration_us=40 * size)
    wanted = fast(program, stream).spikes["it"]
    arrivals = np.concatenate([stream.events["t"], wanted["t"] + delay_us])
    assume(len(wanted) and len(np.unique(arrivals)) == len(arrivals))
    found = run_clocked(program, [stream], TimeSteps(stream.duration_us), Watch(rasters=1)).spikes["it"]
    assert found["t"].tolist() == wanted["t"].tolist()
