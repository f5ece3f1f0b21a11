"""A board that sees for itself: what its network says of the sensor's input, and recordings of the sensor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import EVENT, Events, count
from deploytool.ir.program import Program
from deploytool.ir.recording import answers
from deploytool.run.targets.board import Board
from deploytool.run.targets.board_link import BoardSpike, Heard, Link, SensorEvent
from deploytool.run.targets.board_play import set_membranes


@dataclass(frozen=True)
class Moment:
    """A stretch of a live run that ends ``at_s`` after its start and took ``seconds``.

    ``events`` of the sensor, output ``spikes``, the ``decision`` (the output neuron with most of them, -1 for none),
    and the mean power of every rail in mW, empty for a kit that does not measure it.
    """

    at_s: float
    seconds: float
    events: int
    spikes: int
    decision: int
    power_mw: Mapping[str, float]

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds


def watch_live(board: Board, program: Program, seconds: float, every_s: float, tell: Callable[[Moment], None]) -> None:
    """Lets ``program`` see the sensor of ``board`` for ``seconds``, and tells every ``every_s`` what came out.

    Raises UnsupportedError for a program whose input the sensor cannot give, and TargetError as a run does.
    """
    values = board.checked(program)
    if not any(destination["enable"] for destination in values["dvs_layer"]["destinations"]):
        found = f"an input of {program.input_shape[0]} features"
        raise UnsupportedError(board.name, found, "at most 2, one per polarity, from the sensor")
    with board.opened() as link:
        link.configure(values | {"dvs_layer": values["dvs_layer"] | {"pass_sensor_events": True, **RAW}})
        time.sleep(board.timing.settle_s)
        set_membranes(link, board.timing, program)
        link.start_power()
        link.power_mw()
        _listen(board, link, seconds, every_s, lambda heard, at, took: tell(_moment(program, link, heard, at, took)))


def record_sensor(board: Board, seconds: float, keep: Callable[[Events], None]) -> None:
    """Gives ``keep`` the events that the sensor of ``board`` sees for ``seconds``, piece by piece, ON as feature 1.

    Times are from the start. Raises TargetError as a run does.
    """
    with board.opened() as link:
        link.configure({"dvs_layer": {"pass_sensor_events": False, **RAW}})
        time.sleep(board.timing.settle_s)
        _listen(board, link, seconds, 0.0, lambda heard, _at, _took: keep(_as_events(heard.sensor)))


RAW: Mapping[str, Any] = {"raw_monitor_enable": True}
"""Makes the layer of the sensor tell every event of the pixels as they are."""


def _listen(
    board: Board, link: Link, seconds: float, every_s: float, tell: Callable[[Heard, float, float], None]
) -> None:
    """Calls ``tell(heard, at_s, seconds)`` about every ``every_s`` until ``seconds`` have passed."""
    link.restart_clock()
    started = told = time.monotonic()
    heard = Heard()
    while told < started + seconds:
        time.sleep(board.timing.poll_s)
        heard += link.read()
        now = time.monotonic()
        if now >= min(told + every_s, started + seconds):
            tell(heard, now - started, now - told)
            heard, told = Heard(), now


def _moment(program: Program, link: Link, heard: Heard, at_s: float, seconds: float) -> Moment:
    counts = np.concatenate([_counts(program, name, heard.spikes) for name in program.outputs])
    decision = int(answers(counts[None])[0])
    return Moment(at_s, seconds, len(heard.sensor), int(counts.sum()), decision, link.power_mw())


def _counts(program: Program, name: str, spikes: list[BoardSpike]) -> Any:
    core = program.core_of[name]
    rows = [(spike.t_us, spike.c, spike.y, spike.x) for spike in spikes if spike.core == core]
    return count(np.array(rows, EVENT), program.layers[name].out_shape).ravel()


def _as_events(seen: list[SensorEvent]) -> Events:
    return np.array([(event.t_us, int(event.on), event.y, event.x) for event in seen], EVENT)
