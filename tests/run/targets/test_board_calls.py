"""The list of samna's calls in the documentation is the list of calls that the stand-in saw."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract import stream, two_neurons
from helpers.boards import StandIn
from helpers.samna_api import Samna

from deploytool.ir.events import EVENT, EventStream
from deploytool.run.targets.board import list_devices

PAGE = Path(__file__).parents[3] / "docs" / "boards.md"


def used(monkeypatch: pytest.MonkeyPatch, device_type: str, name: str) -> set[str]:
    """Every name of samna that discovery, a run, and a run through the sensor's layer call on a board."""
    standin = StandIn(monkeypatch, Samna(device_type=device_type))
    list_devices()
    board = standin.board(name=name)
    program = replace(two_neurons(), chip=board.kind.chip)
    board.run(replace(two_neurons(bias=np.ones(2, np.int16)), chip=program.chip, slow_clock_hz=1000), [stream([0])])
    pixels = EventStream(np.zeros(1, EVENT), (2, 1, 1), 1000)
    board.through_sensor(program, (0, 0), pixels)
    return standin.samna.used


def test_every_call_of_samna_is_documented_and_every_documented_one_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = set(re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    called = used(monkeypatch, "Speck2eDevKit", "speck2edevkit:0") | used(
        monkeypatch, "Speck2fDevKit", "speck2fdevkit:0"
    )
    assert listed == called
