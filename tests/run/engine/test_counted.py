"""Finished samples and parts of long ones, told as they are done, from several threads."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from helpers.layers import make_layer

from deploytool.base.progress import no_progress
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.engine import counted
from deploytool.run.engine.counted import Counted, StoppedError
from deploytool.run.engine.event_driven import in_order, run_streams
from deploytool.run.plan.layers import make_plan
from deploytool.run.record.samples import Room


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int, str]]:
    monkeypatch.setattr(counted, "TOLD_EVERY_S", 0.0)
    return []


def test_parts_of_samples_in_progress_are_added_to_finished_ones(ticks: list[Any]) -> None:
    both = Counted(lambda *tick: ticks.append(tick), 5)
    both.part(0, 0.5)
    both.part(1, 0.25)
    both.finished(0, 1)
    both.part(1, 1.0)
    both.finished(1, 2)
    assert [done for done, _, _ in ticks] == [0.5, 0.75, 1.25, 2, 3]
    assert {total for _, total, _ in ticks} == {5}


def test_one_long_sample_is_followed_to_its_end(ticks: list[Any]) -> None:
    layer = make_layer(np.ones((1, 1, 1, 1), np.int8), 2, (1, 1, 1), (1, 1, 1), ())
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")
    events = np.zeros(100_000, EVENT)
    events["t"] = np.arange(len(events))
    stream = EventStream(events, (1, 1, 1), len(events))
    plan = make_plan(program, np.int16)
    list(run_streams(plan, [stream], Room(program, ["fc"], 1), 1, lambda *tick: ticks.append(tick)))
    shares = [done for done, _, _ in ticks if done]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[0] == (1 << 14) / len(events)
    assert len(shares) == 7


def test_after_an_interrupt_nothing_is_waited_for() -> None:
    begun, both = threading.Event(), Counted(no_progress, 2)
    ended: list[str] = []

    def work(numbered: tuple[int, int]) -> int:
        begun.set()
        try:
            for _ in range(500):
                both.part(numbered[0], 0.5)
                time.sleep(0.02)
        except StoppedError:
            ended.append("stopped")
            raise
        return 0

    def items() -> Any:
        yield 1
        begun.wait()
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(in_order(work, items(), 1, both))
    assert time.monotonic() - started < 5
    for _ in range(100):
        time.sleep(0.02)
        if ended:
            break
    assert ended == ["stopped"]
