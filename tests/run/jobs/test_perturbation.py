"""Perturbations: each model does what it says and no more, and the same draw gives the same result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import make_layer
from helpers.programs import programs, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UsageError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.perturbation import Perturbation, parse_perturbation, perturb_program, perturb_stream
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target

ALL = Perturbation(order=8, drop=0.1, threshold=0.05, weights=0.05, seed=3)


def many(count: int = 20_000) -> EventStream:
    events = np.zeros(count, EVENT)
    events["t"] = np.arange(count)
    events["x"], events["y"] = np.arange(count) % 200, np.arange(count) // 200
    return EventStream(events, (1, 100, 200), count + 1)


def big_layer(number: type, threshold: float) -> Program:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 30 if number is np.int8 else 0.3, (32, 4, 3, 3)).astype(number)
    conv = make_layer(weights, threshold, (4, 20, 20), (32, 20, 20), (), padding=(1, 1))
    arithmetic = "int8/int16" if number is np.int8 else "float32"
    return Program("simulator", arithmetic, (4, 20, 20), (Route("conv"),), {"conv": conv}, ("conv",), "")


def test_the_text_says_the_models() -> None:
    how = parse_perturbation("order=8us,drop=0.1%, threshold=2%,weights=1%", seed=7)
    assert (how.order, how.seed) == (8, 7)
    assert (how.drop, how.threshold, how.weights) == pytest.approx((0.001, 0.02, 0.01))
    assert how.models == "order=8us,drop=0.1%,threshold=2%,weights=1%"
    assert parse_perturbation(how.models, 7) == how


@pytest.mark.parametrize(
    "text",
    ["", "drop", "drop=1", "drop=1us", "order=8%", "noise=1%", "drop=-1%", "drop=101%", "drop=1%,drop=2%", "drop=e%"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--perturb"):
        parse_perturbation(text)


def test_every_mistake_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        parse_perturbation("drop=1us,noise=1%")
    assert len(caught.value.problems) == 2


@settings(max_examples=40)
@given(streams((2, 6, 6)), st.integers(1, 200), st.integers(0, 5))
def test_reordering_moves_events_and_keeps_the_times(events: EventStream, window: int, index: int) -> None:
    moved = perturb_stream(events, Perturbation(order=window), index)
    assert np.array_equal(moved.events["t"], events.events["t"])
    places = [sorted(each.events[["c", "y", "x"]].tolist()) for each in (events, moved)]
    assert places[0] == places[1]


def test_reordering_is_local() -> None:
    plain, moved = many(), perturb_stream(many(), Perturbation(order=8), 0)
    came_from = moved.events["x"].astype(int) + 200 * moved.events["y"].astype(int)
    shift = np.abs(came_from - np.arange(len(plain)))
    assert shift.max() < 8
    assert (shift > 0).mean() > 0.5


def test_the_share_of_events_is_lost_in_order() -> None:
    kept = perturb_stream(many(), Perturbation(drop=0.1), 0)
    assert len(kept) == pytest.approx(18_000, abs=4 * 42.4)
    assert (np.diff(kept.events["t"]) > 0).all()
    assert kept.duration_us == many().duration_us


@pytest.mark.parametrize(("number", "threshold"), [(np.int8, 1000), (np.float32, 1.0)])
def test_mismatch_has_the_width_that_was_asked(number: type, threshold: float) -> None:
    program = big_layer(number, threshold)
    layer = program.layers["conv"]
    found = perturb_program(program, Perturbation(threshold=0.05, weights=0.1)).layers["conv"]
    assert found.single.weights.dtype == number
    assert (found.single.weights[layer.single.weights == 0] == 0).all()
    large = np.abs(layer.single.weights) > (20 if number is np.int8 else 0.05)
    assert np.std(found.single.weights[large] / layer.single.weights[large].astype(float) - 1) == pytest.approx(
        0.1, rel=0.15
    )
    assert np.std(np.asarray(found.neurons.threshold) / threshold) == pytest.approx(0.05, rel=0.05)
    assert np.shape(found.neurons.threshold) == layer.out_shape


def test_integers_stay_in_their_range() -> None:
    found = perturb_program(big_layer(np.int8, 2), Perturbation(threshold=3, weights=3)).layers["conv"]
    assert np.min(found.neurons.threshold) == 1
    assert found.single.weights.min() == -128
    assert found.single.weights.max() == 127


@settings(max_examples=40)
@given(st.data())
def test_the_engine_runs_a_perturbed_program_as_the_specification_does(data: st.DataObject) -> None:
    program = perturb_program(data.draw(programs()), ALL)
    events = perturb_stream(data.draw(streams(program.input_shape)), ALL, 0)
    wanted, found = run_reference(program, events), make_target("simulator").run(program, [events])
    assert all(np.array_equal(found.counts[name][0], wanted.counts[name]) for name in wanted.counts)


def test_a_draw_can_be_repeated_and_another_differs() -> None:
    def counts(how: Perturbation, first: int, events: list[EventStream]) -> list[list[int]]:
        job = Job("simulator", perturbation=how)
        return job.run(big_layer(np.int8, 200), events, first, Options(lambda _: {})).output_counts.tolist()

    rng = np.random.default_rng(1)
    events = np.zeros(500, EVENT)
    events["t"] = np.arange(500)
    for axis, size in zip("cyx", (4, 20, 20), strict=True):
        events[axis] = rng.integers(0, size, 500)
    stream = EventStream(events, (4, 20, 20), 1000)
    both = counts(ALL, 0, [stream, stream])
    assert counts(ALL, 0, [stream, stream]) == both
    assert counts(ALL, 1, [stream]) == both[1:]
    assert both[0] != both[1]
    assert counts(replace(ALL, repeat=1), 0, [stream]) != both[:1]
    assert counts(replace(ALL, seed=4), 0, [stream]) != both[:1]
