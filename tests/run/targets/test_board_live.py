"""A board that sees for itself, on the stand-in: decisions, rates and power as they come, and recordings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from contract import layer, mapped
from helpers.boards import StandIn
from helpers.samna_api import WRAP

from deploytool.base.errors import TargetError, UnsupportedError
from deploytool.ir.events import Events
from deploytool.ir.program import Program
from deploytool.run.targets.board_live import Moment, record_sensor, watch_live


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(monkeypatch)


def halves() -> Program:
    """Neuron 0 fires at every event of the left half of a map of 2x8x8, neuron 1 at every one of the right half."""
    weights = np.zeros((2, 2, 8, 8))
    weights[0, :, :, :4] = weights[1, :, :, 4:] = 5
    return mapped({"fc": layer(weights, (2, 8, 8), (2, 1, 1))})


def seeing(standin: StandIn, place: Callable[[float], tuple[int, int]], every: int = 1) -> None:
    """The sensor sees an event at ``place(seconds)`` at every ``every``-th step of the clock."""
    steps = iter(range(10**9))

    def see() -> None:
        kit = standin.samna.devkits[-1]
        if kit.watch.running and next(steps) % every == 0:
            kit.see(True, *place(kit.watch.us() / 1e6))

    standin.samna.clock.wake.append(see)


def test_a_moment_has_the_decision_the_rate_and_the_power(standin: StandIn) -> None:
    seeing(standin, lambda seconds: (3, 1) if seconds < 1 else (3, 6))
    moments: list[Moment] = []
    watch_live(standin.board(), halves(), 2.0, 0.5, moments.append)
    assert [moment.decision for moment in moments] == [0, 0, 1, 1]
    assert [moment.at_s for moment in moments] == pytest.approx([0.5, 1, 1.5, 2], abs=0.01)
    assert all(moment.events_per_s == pytest.approx(1000, rel=0.02) for moment in moments)
    assert all(moment.spikes == pytest.approx(500, rel=0.02) for moment in moments)
    assert moments[-1].power_mw["VDD_LOGIC"] == pytest.approx(0.367)
    (kit,) = standin.samna.devkits
    assert (kit.resets, kit.is_open) == (1, False)


def test_a_still_scene_has_no_decision_and_is_no_error(standin: StandIn) -> None:
    standin.samna.has_power = False
    moments: list[Moment] = []
    watch_live(standin.board(), halves(), 0.2, 0.1, moments.append)
    assert [(moment.decision, moment.events, moment.power_mw) for moment in moments] == [(-1, 0, {})] * 2


def test_an_input_that_the_sensor_cannot_give_is_refused(standin: StandIn) -> None:
    wide = mapped({"fc": layer(np.full((1, 3, 1, 1), 5), (3, 1, 1), (1, 1, 1))})
    with pytest.raises(UnsupportedError, match="an input of 3 features; need at most 2"):
        watch_live(standin.board(), wide, 1.0, 0.5, print)


def test_a_recording_of_the_sensor_has_every_event_in_order(standin: StandIn) -> None:
    seeing(standin, lambda seconds: (round(seconds * 100) % 128, 5), every=3)
    pieces: list[Events] = []
    record_sensor(standin.board(), 0.6, pieces.append)
    events = np.concatenate(pieces)
    assert len(events) == pytest.approx(200, abs=1)
    assert set(np.diff(events["t"])) == {3000}
    assert set(events["c"]) == {1}
    assert events["y"].max() == 60
    assert len(pieces) > 100


def test_a_long_recording_goes_on_where_timestamps_wrap(standin: StandIn) -> None:
    seeing(standin, lambda _: (1, 2))
    standin.samna.clock.wake.insert(0, lambda: setattr(standin.samna.clock, "now", standin.samna.clock.now + 100.0))
    pieces: list[Events] = []
    record_sensor(standin.board(), 10_000.0, pieces.append)
    t = np.concatenate(pieces)["t"]
    assert t[-1] > 2 * WRAP
    assert np.diff(t) == pytest.approx(100_001_000, rel=1e-3)


def test_a_pulled_cable_ends_a_live_run(standin: StandIn) -> None:
    standin.samna.clock.wake.append(lambda: setattr(standin.samna, "unplugged", standin.samna.clock.now > 1001))
    with pytest.raises(TargetError, match="samna reports: USB transfer failed"):
        watch_live(standin.board(), halves(), 5.0, 0.5, lambda _: None)
