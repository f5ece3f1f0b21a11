"""device run and device record as a person uses them, on the stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.boards import FAST, StandIn
from helpers.command import invoke

from deploytool.base.errors import UsageError
from deploytool.base.messages import Messages
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike
from deploytool.recipe import DvsSection, MapSection, ReadoutSection
from deploytool.run.targets.board import Board
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert
from deploytool.workflow.device import parse_pace
from deploytool.workflow.map import map_graph
from deploytool.workflow.sources.networks import ImportOptions

DEVICE = "speck2edevkit:0"


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(Board.__init__, "__defaults__", (*Board.__init__.__defaults__[:2], FAST))  # type: ignore[index]
    return StandIn(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds a program of 2x8x8 inputs, and with three samples of it."""
    folder = tmp_path_factory.mktemp("device")
    rng = np.random.default_rng(1)
    nodes: list[tuple[str, Node]] = [
        ("in", Input((2, 8, 8))),
        ("conv", Conv(rng.normal(0.1, 0.4, (4, 2, 3, 3)).astype(np.float32), padding=(1, 1))),
        ("if1", Spike(floor=-1)),
        ("flat", Flatten()),
        ("fc", Linear(rng.normal(0.1, 0.2, (3, 256)).astype(np.float32))),
        ("if2", Spike(floor=-1)),
        ("out", Output()),
    ]
    write_nir(chain(nodes), folder / "net.nir")
    assert invoke(folder, "map", folder / "net.nir", "--target", "speck2e").exit_code == 0
    (folder / "data").mkdir()
    for i in range(3):
        events = np.zeros(200, EVENT)
        events["t"] = 500 * np.arange(200)
        for axis, size in zip("cyx", (2, 8, 8), strict=True):
            events[axis] = rng.integers(0, size, 200)
        np.save(folder / "data" / f"{i}.npy", events)
    return folder


def seen(standin: StandIn, x: int = 4) -> None:
    """The sensor sees an event at every step of the clock."""

    def see() -> None:
        kit = standin.samna.devkits[-1]
        if kit.watch.running:
            kit.see(True, 3, x)

    standin.samna.clock.wake.append(see)


@pytest.mark.usefixtures("standin")
def test_equal_runs_are_compared_and_a_pace_is_another_run(folder: Path) -> None:
    asked = ("device", "run", "program@latest", "--on", DEVICE, "--data", folder / "data")
    result = invoke(folder, *asked, "--pace", "max", "--repeats", "2", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["repeats"]
    assert len({row["recording"] for row in rows}) == 2
    assert [row["difference_from_first_percent"] for row in rows] == [0, 0]
    assert [row["same_prediction_percent"] for row in rows] == [100, 100]
    own = json.loads(invoke(folder, *asked, "--json").stdout)
    assert own["artifact"] not in {row["recording"] for row in rows}
    figures = {row["figure"]: row["mean"] for row in own["board"]}
    assert figures["events_taken"] == 200
    assert figures["spikes_received"] > 100
    emulated = json.loads(invoke(folder, "run", "program@latest", "--data", folder / "data", "--json").stdout)
    assert own["layers"] == emulated["layers"]


def test_options_that_exclude_each_other(folder: Path) -> None:
    asked = ("device", "run", "program@latest", "--on", "emulator")
    on_emulator = invoke(folder, *asked, "--data", folder / "data", "--pace", "max")
    assert on_emulator.exit_code == 2
    assert "--pace: given with --on emulator; need --on speck2edevkit" in on_emulator.output
    neither = invoke(folder, *asked)
    assert "--data, --live: none given; need one of the two." in neither.output
    live = invoke(folder, *asked, "--live")
    assert "emulator: has no sensor; need a board such as speck2edevkit:0." in live.output


@pytest.mark.parametrize("text", ["fast", "0", "-1", "inf", "nan"])
def test_paces(text: str) -> None:
    assert (parse_pace("own"), parse_pace("max"), parse_pace("2.5")) == (1.0, None, 2.5)
    with pytest.raises(UsageError, match="--pace"):
        parse_pace(text)


def test_the_sensor_is_recorded_to_a_file_that_data_reads(standin: StandIn, tmp_path: Path) -> None:
    seen(standin)
    file = tmp_path / "seen.npy"
    result = invoke(tmp_path, "device", "record", DEVICE, file, "--seconds", "0.2", "--json")
    assert result.exit_code == 0, result.output
    events = np.load(file)
    assert json.loads(result.stdout)["events"] == len(events) == pytest.approx(200, abs=1)
    assert set(np.diff(events["t"])) == {1000}
    assert events.dtype == EVENT
    assert set(events["y"]) == {3}
    bad = invoke(tmp_path, "device", "record", DEVICE, tmp_path / "seen.txt")
    assert "ends in .npy" in bad.output


def test_ctrl_c_keeps_what_was_recorded_and_resets_the_chip(standin: StandIn, tmp_path: Path) -> None:
    seen(standin)

    def press() -> None:
        if standin.samna.clock.now > 1000.1:
            raise KeyboardInterrupt

    standin.samna.clock.wake.append(press)
    file = tmp_path / "seen.npy"
    result = invoke(tmp_path, "device", "record", DEVICE, file, "--seconds", "60")
    assert result.exit_code == 130
    assert len(np.load(file)) == pytest.approx(100, abs=3)
    (kit,) = standin.samna.devkits
    assert (kit.resets, kit.is_open) == (1, False)


def test_a_live_run_says_decisions_rates_and_power(standin: StandIn, folder: Path) -> None:
    seen(standin)
    result = invoke(folder, "device", "run", "program@latest", "--on", DEVICE, "--live", "--seconds", "1")
    assert result.exit_code == 0, result.output
    assert "1,000 events/s" in result.stderr
    assert "VDD_RAM 0.052 mW" in result.stderr


def test_a_live_run_has_the_stored_configuration_of_sensor_and_readout(standin: StandIn, tmp_path: Path) -> None:
    """Class 1 sees the left half, class 2 the right one; the recipe mirrors the sensor and turns the readout on."""
    weights = np.zeros((2, 2, 8, 8), np.float32)
    weights[0, :, :, :4] = weights[1, :, :, 4:] = 1
    nodes: list[tuple[str, Node]] = [
        ("in", Input((2, 8, 8))),
        ("conv", Conv(weights)),
        ("if", Spike(floor=-1)),
        ("out", Output()),
    ]
    write_nir(chain(nodes), tmp_path / "net.nir")
    cache = StageCache(Store(tmp_path / "store"), Messages(quiet=True))
    graph = convert(cache, str(tmp_path / "net.nir"), ImportOptions())
    map_graph(cache, graph, "speck2e", MapSection(dvs=DvsSection(mirror=("x",)), readout=ReadoutSection()))
    seen(standin, x=1)
    result = invoke(tmp_path, "device", "run", "program@latest", "--on", DEVICE, "--live", "--seconds", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["decisions"] == [1, 1]
    assert set(standin.samna.readout) == {2}
    assert standin.samna.readout[2] == pytest.approx(1000, abs=3)
