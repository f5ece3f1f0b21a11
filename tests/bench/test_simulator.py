"""What the benchmark of the simulator makes of its measurements, and that it measures what it says."""

from __future__ import annotations

import itertools

import pytest

from deploytool.bench.speed.networks import NMNIST, Spiking, network, random_stream
from deploytool.bench.speed.simulator import Took, aims, events_for, synops_of
from deploytool.bench.speed.timing import in_turn
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.targets.table import make_target


def test_the_shortest_of_each_side_counts_and_the_first_round_does_not() -> None:
    now = itertools.accumulate([0, 0, 0, 9, 0, 4, 0, 5, 0, 3])
    calls: list[str] = []
    seconds = in_turn(
        lambda: calls.append("a"), lambda: calls.append("b"), repetitions=2, clock=lambda: float(next(now))
    )
    assert calls == ["a", "b"] * 3
    assert seconds == [5.0, 3.0]


def test_aims_compare_at_the_same_number_of_threads_with_the_best_batch() -> None:
    took = [
        Took("own", 1, 0, 0.5e-3),
        Took("own", 2, 0, 0.25e-3),
        Took("peer 1/1", 1, 1, 0.09),
        Took("peer 1/8", 1, 8, 0.05),
        Took("peer 2/8", 2, 8, 0.04),
    ]
    rows = {row["what"]: row["measured"] for row in aims(took, [0.11, 0.12, 0.1], 1.5)}
    assert rows == {
        "ms per sample, one thread": 0.5,
        "two threads against one, times as fast": 2.0,
        "two threads against one in the loop of the limit, which share nothing but the machine": 1.5,
        "ns per SynOp from 10^5 to 10^9, most against least": pytest.approx(1.2),
        "peer 1/8, times as slow": pytest.approx(100),
        "peer 2/8, times as slow": pytest.approx(160),
    }


def test_lengths_are_those_asked_for_and_batches_lose_no_update() -> None:
    program = network(NMNIST, [Spiking(4, 3, 0.5, padding=1)], "int8/int16", random_stream(NMNIST, 1000))
    plan = make_plan(program, state_type(program), vectors=True)
    events = events_for(plan, 50_000)
    streams = [random_stream(NMNIST, events, seed) for seed in range(30)]
    total = synops_of(plan, streams)
    assert total == make_target("simulator").run(program, streams).synops.sum()
    assert total / len(streams) == pytest.approx(50_000, rel=0.05)


def test_layers_fire_as_often_as_wanted() -> None:
    stream = random_stream(NMNIST, 5000)
    program = network(NMNIST, [Spiking(8, 3, 0.3, padding=1)], "float32", stream)
    counts = make_target("simulator").run(program, [stream]).counts["layer0"]
    assert counts.sum() / len(stream) == pytest.approx(0.3, rel=0.1)
