"""The board's driver code, on a stand-in for samna whose chip is the executable specification. No silicon here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from contract import Contract, stream, two_neurons

from deploytool.base.errors import TargetError, UnsupportedError, UsageError
from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program
from deploytool.ir.target import Target, Watch
from deploytool.map.emit import configuration
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets import board
from deploytool.run.targets.board import Board, Timing, list_devices

BOARD = SimpleNamespace(device_type_name="Speck2eDevKit", usb_device_address=3)


class Bag(SimpleNamespace):
    """An object whose fields come into being when they are read, as samna's nested configuration has them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = [Bag(), Bag()] if name == "destinations" else Bag()
        setattr(self, name, value)
        return value


class Spike(SimpleNamespace):
    pass


class FakeChip:
    """What samna shows of a board on which ``program`` was flashed; its clock runs at once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.applied: list[Any] = []
        self.answers: list[Spike] = []

    def samna(self) -> Any:
        model = SimpleNamespace(
            apply_configuration=self.applied.append, get_sink_node=lambda: "in", get_source_node=lambda: "out"
        )
        watch = SimpleNamespace(reset=lambda: None, start=lambda: None)
        opened = SimpleNamespace(get_model=lambda: model, get_stop_watch=lambda: watch)
        return SimpleNamespace(
            device=SimpleNamespace(get_all_devices=lambda: [BOARD], open_device=lambda _: opened),
            speck2e=SimpleNamespace(
                configuration=SimpleNamespace(
                    SpeckConfiguration=lambda: Bag(cnn_layers=[Bag(monitor_enable=False) for _ in range(9)])
                ),
                event=SimpleNamespace(Spike=Spike),
            ),
            graph=SimpleNamespace(
                EventFilterGraph=lambda: SimpleNamespace(sequential=lambda _: None, start=lambda: None)
            ),
            BasicSourceNode_speck2e_event_speck2e_input_event=lambda: SimpleNamespace(write=self.write),
            BasicSinkNode_speck2e_event_output_event=lambda: SimpleNamespace(get_events=self.read),
        )

    def write(self, spikes: list[Spike]) -> None:
        """Spikes sent to the core of the first input route; those of a second route repeat them."""
        first = self.program.core_of[self.program.input_routes[0].to]
        sent = [(s.timestamp, s.feature, s.y, s.x) for s in spikes if s.layer == first]
        end = 1 + max((t for t, *_ in sent), default=0)
        answer = run_reference(self.program, EventStream(np.array(sent, EVENT), self.program.input_shape, end))
        for name, core in self.program.core_of.items():
            if self.applied[-1].cnn_layers[core].monitor_enable:
                logical, start = self.program.place_in(name)
                for t, c, y, x in answer.spikes[logical].tolist():
                    if start <= c < start + self.program.map_of(name)[0]:
                        self.answers.append(Spike(layer=core, timestamp=t, feature=c - start, y=y, x=x))

    def read(self) -> list[Spike]:
        answers, self.answers = self.answers, []
        return answers


class FakedBoard:
    """Board over a FakeChip of the program it is given."""

    name = "speck2edevkit:0"
    timing = Timing(lead_us=0, quiet_s=0.0)

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def run(self, program: Program, *arguments: Any, **more: Any) -> Any:
        self.chip = FakeChip(program)
        self.monkeypatch.setattr(board, "load_samna", self.chip.samna)
        target = Board(self.name, lambda program: configuration(program, CHIPS["speck2e"]), timing=self.timing)
        return target.run(program, *arguments, **more)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    return FakedBoard(monkeypatch)


class TestContract(Contract):
    pass


def test_the_configuration_is_filled_in_and_written_for_every_sample(target: FakedBoard) -> None:
    target.run(two_neurons(), [stream([0]), stream([1])], Watch(()))
    assert len(target.chip.applied) == 2
    layer = target.chip.applied[0].cnn_layers[0]
    assert (layer.threshold_high, layer.threshold_low, layer.return_to_zero) == (5, -4, False)
    assert layer.weights == [[[[3]], [[0]]], [[[-2]], [[4]]]]
    assert layer.dimensions.output_shape.size.x == 1
    assert [destination.enable for destination in layer.destinations] == [False, False]
    assert "name" not in vars(layer)
    assert layer.monitor_enable
    assert not target.chip.applied[0].dvs_layer.pass_sensor_events


def test_a_board_that_never_falls_silent_is_given_up(target: FakedBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = [Spike(layer=0, timestamp=1, feature=0, y=0, x=0)]
    monkeypatch.setattr(FakeChip, "read", lambda _: noise)
    target.timing = Timing(lead_us=0, quiet_s=0.01, patience_s=0.05)
    with pytest.raises(TargetError, match="still spiking"):
        target.run(two_neurons(), [stream([0])])


def test_a_spike_outside_its_map_is_an_error(target: FakedBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([[], [Spike(layer=0, timestamp=1, feature=7, y=0, x=0)]])
    monkeypatch.setattr(FakeChip, "read", lambda _: next(calls, []))
    with pytest.raises(TargetError, match="a spike of fc at c = 7"):
        target.run(two_neurons(), [stream([0])])


def test_what_samna_throws_becomes_a_sentence(target: FakedBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("USB gone")

    monkeypatch.setattr(FakeChip, "write", broken)
    with pytest.raises(TargetError, match="samna reports: USB gone"):
        target.run(two_neurons(), [stream([0])])


def test_a_program_for_another_chip_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    target = FakedBoard(monkeypatch)
    monkeypatch.setattr(BOARD, "device_type_name", "Speck2fDevKit")
    target.name = "speck2fdevkit:0"
    with pytest.raises(UnsupportedError, match="mapped for speck2e; need one for speck2f"):
        target.run(two_neurons(), [stream([0])])


def test_connected_boards_are_listed_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "load_samna", FakeChip(two_neurons()).samna)
    assert list_devices() == ["speck2edevkit:0"]
    with pytest.raises(TargetError, match="speck2edevkit:1: this board is not connected; need speck2edevkit:0"):
        Board("speck2edevkit:1", configure=dict)
    with pytest.raises(UsageError, match="speck2edevkit:0"):
        Board("speck2edevkit", configure=dict)


def test_without_samna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "samna", raising=False)
    with pytest.raises(TargetError, match=r"samna: not installed; need .* Install samna"):
        list_devices()


def test_the_placeholder_on_pypi_is_recognised_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "samna").mkdir()
    (tmp_path / "samna" / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.delitem(sys.modules, "samna", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError, match="placeholder"):
        list_devices()
    assert "samna" not in sys.modules
