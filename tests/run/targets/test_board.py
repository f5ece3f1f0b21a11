"""The board's driver code, on a stand-in for samna that executes the configuration it is given. No silicon here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import ClockedContract, layer, mapped, stream, two_neurons
from helpers.boards import FAST, StandIn
from helpers.samna_api import WRAP, Samna
from helpers.samna_chip import Traits

from deploytool.base.errors import TargetError, UnsupportedError, UsageError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.target import Target, Watch
from deploytool.run.targets.board import Board, check_version, list_devices
from deploytool.run.targets.board_link import Clock
from deploytool.run.targets.options import OnBoard
from deploytool.run.targets.table import make_target


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(monkeypatch)


@pytest.fixture
def target(standin: StandIn) -> Target:
    return standin.board()


class TestContract(ClockedContract):
    pass


def busy(events: int) -> EventStream:
    """``events`` random input events of two features, 50 us apart."""
    rng = np.random.default_rng(3)
    rows = np.zeros(events, EVENT)
    rows["t"], rows["c"] = 50 * np.arange(events), rng.integers(0, 2, events)
    return EventStream(rows, (2, 1, 1), 50 * events + 1)


def oblong() -> Program:
    """A stride and a padding that differ between the axes, on an oblong map: an untransposed array would show."""
    kernel = np.random.default_rng(1).integers(-3, 6, (3, 2, 3, 3))
    first = layer(kernel, (2, 6, 12), (3, 6, 6), Route("b", (2, 2)), stride=(1, 2), padding=(1, 1))
    second = layer(np.random.default_rng(2).integers(-3, 6, (4, 3, 2, 2)), (3, 3, 3), (4, 2, 2))
    return mapped({"a": first, "b": second})


def on_oblong(events: int) -> EventStream:
    rng = np.random.default_rng(5)
    rows = np.zeros(events, EVENT)
    rows["t"] = 100 * np.arange(events)
    for axis, size in zip("cyx", (2, 6, 12), strict=True):
        rows[axis] = rng.integers(0, size, events)
    return EventStream(rows, (2, 6, 12), 100 * events + 1)


def test_the_configuration_says_the_same_as_the_program(target: Target) -> None:
    sample = [on_oblong(300)]
    found, wanted = (each.run(oblong(), sample, Watch(rasters=1)) for each in (target, make_target("emulator")))
    assert wanted.counts["a"].sum() > 100
    assert wanted.counts["b"].sum() > 20
    for name in ("a", "b"):
        assert np.array_equal(found.counts[name], wanted.counts[name])
        order = ["c", "y", "x"]
        assert found.spikes[name][order].tolist() == wanted.spikes[name][order].tolist()
    assert found.synops.tolist() == wanted.synops.tolist()


def test_fields_arrive_in_the_vendors_terms(standin: StandIn) -> None:
    standin.board().run(two_neurons(), [stream([0]), stream([1])], Watch(()))
    (applied,) = standin.samna.applied
    core = applied.cnn_layers[0]
    assert (core.threshold_high, core.threshold_low, core.return_to_zero) == (5, -4, False)
    assert core.weights == [[[[3]], [[0]]], [[[-2]], [[4]]]]
    assert [destination.enable for destination in core.destinations] == [False, False]
    assert core.monitor_enable
    assert not applied.dvs_layer.pass_sensor_events


def test_a_start_that_is_not_zero_is_written_and_read_back(standin: StandIn) -> None:
    start = np.arange(4, dtype=np.int16).reshape(1, 2, 2)
    program = mapped({"a": layer([[[[1]]]], (1, 2, 2), (1, 2, 2), v_init=start)})
    every = np.array([(i, 0, i // 2, i % 2) for i in range(4)], EVENT)
    twice = [EventStream(every, (1, 2, 2), 10)] * 2
    counts = standin.board().run(program, twice).counts["a"]
    assert counts.reshape(2, 4).tolist() == [[0, 0, 0, 0]] * 2
    again = mapped({"a": layer([[[[2]]]], (1, 2, 2), (1, 2, 2), v_init=start)})
    assert standin.board().run(again, twice).counts["a"].reshape(2, 4).tolist() == [[0, 0, 0, 1]] * 2


def test_membranes_that_cannot_be_set_are_found_before_anything_runs(standin: StandIn) -> None:
    standin.samna.traits = Traits(writes_neurons=False)
    found = r"2 of 2 neurons of fc do not hold their initial value: V = 3 at address 0 of core 0, where 0 was written"
    with pytest.raises(TargetError, match=found):
        standin.board().run(two_neurons(), [stream([0]), stream([0])])
    assert standin.samna.devkits[-1].resets == 1


def test_a_field_that_reads_back_differently_is_named(standin: StandIn) -> None:
    def altered(configuration: Any) -> Any:
        configuration.cnn_layers[0].threshold_high = 4
        return configuration

    standin.samna.altered = altered
    found = r"configuration\.cnn_layers\[0\]\.threshold_high reads back as 4; need 5"
    with pytest.raises(TargetError, match=found):
        standin.board().run(two_neurons(), [stream([0])])


def test_a_configuration_that_samna_refuses_is_its_own_sentence(standin: StandIn) -> None:
    good = standin.configure(two_neurons())
    good["cnn_layers"][0]["weights"] = [[[[3]], [[0]]]]
    with pytest.raises(TargetError, match="samna refuses the configuration: Layer 0: weights have the wrong dim"):
        standin.board(configure=lambda _: good).run(two_neurons(), [stream([0])])


def test_the_clock_goes_on_where_timestamps_wrap() -> None:
    clock = Clock()
    sent = [10, WRAP // 2, WRAP - 5, WRAP + 3, WRAP - 2, 2 * WRAP + 1 - WRAP // 2, 2 * WRAP - 9, 2 * WRAP + 7]
    assert [clock.time_us(t % WRAP) for t in sent] == sent


def test_what_arrives_late_is_waited_for(standin: StandIn) -> None:
    standin.samna.traits = Traits(read_lag_s=0.015)
    assert standin.board().run(two_neurons(), [stream([0] * 5)]).output_counts.tolist() == [[3, 0]]


@pytest.mark.parametrize("pace", [1.0, 20.0, 0.5, None])
def test_every_pace_gives_the_same_counts_and_faster_is_faster(standin: StandIn, pace: float | None) -> None:
    own = standin.board().run(two_neurons(), [busy(3000)])
    found = standin.board(OnBoard(pace)).run(two_neurons(), [busy(3000)], Watch(rasters=1))
    assert found.output_counts.tolist() == own.output_counts.tolist()
    assert found.measured["events_taken"].tolist() == [3000]
    took, recorded = found.measured["seconds"][0], 0.15
    lead = FAST.lead_us / 1e6
    assert took == pytest.approx(lead + recorded / pace, rel=0.2) if pace else took < 0.05
    if pace:
        assert found.spikes["fc"]["t"].max() == pytest.approx(150_000, rel=0.05)


def test_a_slow_chip_holds_up_the_sender_and_loses_nothing(standin: StandIn) -> None:
    standin.samna.traits = Traits(synops_per_s=20_000, capacity=600)
    sent = replace(FAST, packet=100, window=4)
    found = standin.board(OnBoard(None), timing=sent).run(two_neurons(), [busy(3000)])
    wanted = make_target("emulator").run(two_neurons(), [busy(3000)])
    assert found.output_counts.tolist() == wanted.output_counts.tolist()
    assert standin.samna.devkits[-1].lost == 0
    assert found.measured["seconds"][0] == pytest.approx(0.3, rel=0.1)


def test_long_silences_within_a_packet_are_waited_for(standin: StandIn) -> None:
    rows = np.array([(0, 0, 0, 0), (2_000_000, 0, 0, 0), (2_000_001, 0, 0, 0)], EVENT)
    timing = replace(FAST, patience_s=0.1)
    found = standin.board(timing=timing).run(two_neurons(), [EventStream(rows, (2, 1, 1), 2_500_000)])
    assert found.output_counts.tolist() == [[1, 0]]
    assert found.measured["seconds"][0] == pytest.approx(2.5, rel=0.01)


def test_more_than_the_board_holds_is_an_error_with_the_number(standin: StandIn) -> None:
    standin.samna.traits = Traits(synops_per_s=20_000, capacity=600)
    eager = replace(FAST, packet=1000, window=3, patience_s=0.5)
    found = r"0 events were taken; the board did not answer for 0\.5 s after 3,000 more, and 0 were not sent"
    with pytest.raises(TargetError, match=found):
        standin.board(OnBoard(None), timing=eager).run(two_neurons(), [busy(3000)])


def test_power_is_a_mean_for_each_rail_and_energy_that_times_the_duration(standin: StandIn) -> None:
    found = standin.board().run(two_neurons(), [busy(20_000), busy(10)])
    assert found.measured["power_mw VDD_RAM"][0] == pytest.approx(0.0517)
    assert found.measured["power_mw VDD_LOGIC"][0] == pytest.approx(0.367)
    seconds = found.measured["seconds"][0]
    assert seconds == pytest.approx(1.0, rel=0.1)
    assert found.measured["energy_uj VDD_RAM"][0] == pytest.approx(51.7 * seconds)
    assert np.isnan(found.measured["power_mw VDD_RAM"][1])  # shorter than a burst of measurements


def test_a_kit_without_a_power_monitor_says_nothing_of_power(standin: StandIn) -> None:
    standin.samna.has_power = False
    found = standin.board().run(two_neurons(), [busy(100)])
    assert not any("power" in name for name in found.measured)


def test_a_board_that_never_falls_silent_is_given_up(standin: StandIn) -> None:
    def chatter() -> None:
        kit = standin.samna.devkits[-1]
        if kit.watch.running:
            kit.say_spikes([(0, (0, 0, 0))], kit.watch.us())

    standin.samna.clock.wake.append(chatter)
    timing = replace(FAST, patience_s=0.05)
    with pytest.raises(TargetError, match=r"still spiking 0\.05 s after"):
        standin.board(timing=timing).run(two_neurons(), [stream([0])])


def test_a_spike_outside_its_map_is_an_error(standin: StandIn) -> None:
    def chatter() -> None:
        kit = standin.samna.devkits[-1]
        if kit.watch.running and kit.watch.us() > 1000:
            standin.samna.clock.wake.remove(chatter)
            kit.say_spikes([(0, (7, 0, 0))], kit.watch.us())

    standin.samna.clock.wake.append(chatter)
    with pytest.raises(TargetError, match="a spike of fc at c = 7"):
        standin.board().run(two_neurons(), [stream([0])])


def test_an_unplugged_board_is_a_sentence(standin: StandIn) -> None:
    def pull() -> None:
        standin.samna.unplugged = standin.samna.clock.now > 1000.1

    standin.samna.clock.wake.append(pull)
    with pytest.raises(TargetError, match="samna reports: USB transfer failed"):
        standin.board().run(two_neurons(), [busy(5000)])


def test_ctrl_c_leaves_the_chip_reset_and_the_board_closed(standin: StandIn) -> None:
    def press() -> None:
        if standin.samna.clock.now > 1000.1:
            raise KeyboardInterrupt

    standin.samna.clock.wake.append(press)
    with pytest.raises(KeyboardInterrupt):
        standin.board().run(two_neurons(), [busy(5000)])
    (kit,) = standin.samna.devkits
    assert kit.resets == 1
    assert not kit.is_open
    assert not kit.chip.cores
    assert not any(graph.running for graph in standin.samna.graphs)


def test_a_program_for_another_chip_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    standin = StandIn(monkeypatch, Samna(device_type="Speck2fDevKit"))
    with pytest.raises(UnsupportedError, match="mapped for speck2e; need one for speck2f"):
        standin.board(name="speck2fdevkit:0").run(two_neurons(), [stream([0])])


def test_a_speck2f_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    standin = StandIn(monkeypatch, Samna(device_type="Speck2fDevKit"))
    program = replace(two_neurons(), chip="speck2f")
    found = standin.board(name="speck2fdevkit:0").run(program, [stream([0] * 5)])
    assert found.output_counts.tolist() == [[3, 0]]


@pytest.mark.usefixtures("standin")
def test_connected_boards_are_listed_and_a_missing_one_is_named() -> None:
    assert list_devices() == {"speck2edevkit:0": "Speck2eDevKit, serial number 0042, firmware 17"}
    with pytest.raises(TargetError, match="speck2edevkit:1: this board is not connected; need speck2edevkit:0"):
        Board("speck2edevkit:1", configure=dict)
    with pytest.raises(UsageError, match="speck2edevkit:0"):
        Board("speck2edevkit", configure=dict)


@pytest.fixture
def no_samna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delitem(sys.modules, "samna", raising=False)
    yield
    assert "samna" not in sys.modules


@pytest.mark.usefixtures("no_samna")
def test_without_samna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(TargetError, match=r"samna: not installed; need .* Install samna"):
        list_devices()


@pytest.mark.usefixtures("no_samna")
@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("installer.py", "PyPI's placeholder"),
        ("samna.cpython-36m-x86_64-linux-gnu.so", r"built for another Python \(samna\.cpython-36m"),
    ],
)
def test_what_is_not_the_driver_is_recognised_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, says: str
) -> None:
    (tmp_path / "samna").mkdir()
    (tmp_path / "samna" / "__init__.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "samna" / file).write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError, match=says):
        list_devices()


@pytest.mark.usefixtures("no_samna")
def test_the_metadata_of_a_placeholder_give_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "samna").mkdir()
    (tmp_path / "samna" / "__init__.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "samna-0.48.6.dist-info").mkdir()
    (tmp_path / "samna-0.48.6.dist-info" / "METADATA").write_text("Name: samna\nVersion: 0.48.6\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(TargetError, match=r"version 0\.48\.6, PyPI's placeholder"):
        list_devices()


def test_a_driver_that_is_too_old_is_refused() -> None:
    check_version(Samna(version="0.46.0").module)
    with pytest.raises(TargetError, match=r"samna: version 0\.39\.10; need 0\.46 or later"):
        check_version(Samna(version="0.39.10").module)


def test_a_slow_clock_keeps_its_own_pace(standin: StandIn) -> None:
    program = replace(two_neurons(bias=np.array([1, 0], np.int16)), slow_clock_hz=100)
    with pytest.raises(UnsupportedError, match="a bias in fc, whose slow clock keeps its own pace"):
        standin.board(OnBoard(2.0)).run(program, [stream([0])])


def test_the_counter_of_a_decimator_starts_again_with_every_sample(standin: StandIn) -> None:
    program = mapped({"fc": layer([[[[5]]]], (1, 1, 1), (1, 1, 1), decimation=4)})
    samples = [stream([0] * 6, (1, 1, 1))] * 3
    assert standin.board().run(program, samples).output_counts.tolist() == [[1]] * 3
