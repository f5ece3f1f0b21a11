"""The board target, which uses samna, SynSense's driver. It has never been tested on silicon.

samna is imported only if a board is used. Since 0.9 the package samna on PyPI is a placeholder that starts an
installation over the network when imported. The driver contains compiled files, the placeholder does not.
The calls to samna follow sinabs 3.1.3 (sinabs.backend.dynapcnn), which has run on boards.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.base.errors import TargetError, UnsupportedError, UsageError
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EVENT, Events, EventStream, count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import Recording
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import verify
from deploytool.ir.target import ALL_LAYERS, Watch
from deploytool.run.plan.layers import Plan, make_plan, state_type, updates
from deploytool.run.record.checks import check_sendable, watched_layers
from deploytool.run.record.samples import Sample, as_recording, decision_us
from deploytool.run.reference.specification import routed
from deploytool.run.targets.board_kinds import BOARDS
from deploytool.run.targets.options import Configure

INSTALL: Final = "Install samna from SynSense's own package index, as its documentation says, not from PyPI."


@dataclass(frozen=True)
class Timing:
    """Delays and timeouts of a board.

    The first event is sent ``lead_us`` after the board's clock is reset. A sample ends when its duration has passed and
    no spike has arrived for ``quiet_s``. If spikes still arrive ``patience_s`` after its duration, the run fails.
    Spikes are read every ``poll_s``. The first two are guesses.
    """

    lead_us: int = 100_000
    quiet_s: float = 0.5
    patience_s: float = 60.0
    poll_s: float = 0.001


def list_devices() -> list[str]:
    """Names of the connected boards, such as "speck2edevkit:0". Raises TargetError without a driver."""
    return list(_connected(load_samna()))


def load_samna() -> Any:
    """The module samna. Raises TargetError before importing it if it is missing or PyPI's placeholder."""
    spec = importlib.util.find_spec("samna")
    if spec is None:
        raise TargetError("samna", "not installed", "the driver of SynSense's boards", INSTALL)
    files = [path.name for folder in spec.submodule_search_locations or () for path in Path(folder).iterdir()]
    if not any(name.endswith(tuple(EXTENSION_SUFFIXES)) for name in files):
        found = "PyPI's placeholder, which starts an installation over the network when imported"
        raise TargetError("samna", found, "the driver of SynSense's boards", INSTALL)
    return importlib.import_module("samna")


class Board:
    """A Target that runs on a chip, for example "speck2edevkit:0".

    All layers are monitored; counts and SynOps are computed from their spikes. Raises TargetError if the driver or the
    board is missing.
    """

    def __init__(self, name: str, configure: Configure, tick: Tick = no_progress, timing: Timing = Timing()) -> None:
        kind, _, number = name.partition(":")
        if kind not in BOARDS or not number.isdecimal():
            raise UsageError("board", f"no board {name!r}", f"one of {', '.join(BOARDS)} and a number, as in {kind}:0")
        self.name = name
        self.kind = BOARDS[kind]
        self.configure = configure
        self.tick = tick
        self.timing = timing
        self.samna = load_samna()
        boards = _connected(self.samna)
        if name not in boards:
            raise TargetError(name, "this board is not connected", ", ".join(boards) or "a board")
        self.board = boards[name]

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        """See `deploytool.ir.target.Target`. Raises TargetError if the board does not respond."""
        if watch.extremes:
            raise UnsupportedError(self.name, "asked to measure the lowest and highest V", "a target that computes V")
        verify(program, Level.MAPPED)
        if program.chip != self.kind.chip:
            raise UnsupportedError(self.name, f"a program mapped for {program.chip}", f"one for {self.kind.chip}")
        watched = watched_layers(program, watch.layers)
        plan = make_plan(program, state_type(program))
        total = operator.length_hint(streams, 0)
        samples = []
        try:
            chip = _Chip(self, self.configure(program))
            for index, stream in enumerate(streams):
                check_sendable(program, stream)
                spikes = chip.play(program, stream)
                samples.append(_sample(plan, stream, spikes, keep_spikes=index < watch.rasters))
                self.tick(index + 1, max(total, index + 1), "")
        except (RuntimeError, AttributeError, TypeError, OSError) as error:
            raise TargetError(self.name, f"samna reports: {error}", "a board that responds") from error
        return as_recording(program, "board", watched, samples)


class _Chip:
    """An open board that holds a configuration."""

    def __init__(self, board: Board, configuration: Mapping[str, Any]) -> None:
        samna, self.name, self.timing = board.samna, board.name, board.timing
        self.module = getattr(samna, board.kind.chip)
        self.configuration = self.module.configuration.SpeckConfiguration()
        for core, values in enumerate(configuration["cnn_layers"]):
            if values is not None:
                layer = self.configuration.cnn_layers[core]
                _fill(layer, {key: value for key, value in values.items() if key != "name"})
                layer.monitor_enable = True
        _fill(self.configuration.dvs_layer, configuration["dvs_layer"])
        _fill(self.configuration.readout, configuration["readout"])
        self.device = samna.device.open_device(board.board)
        self.model = self.device.get_model()
        self.source = getattr(samna, board.kind.source)()
        self.sink = getattr(samna, board.kind.sink)()
        self.graphs = [samna.graph.EventFilterGraph(), samna.graph.EventFilterGraph()]
        self.graphs[0].sequential([self.source, self.model.get_sink_node()])
        self.graphs[1].sequential([self.model.get_source_node(), self.sink])
        for graph in self.graphs:
            graph.start()

    def play(self, program: Program, stream: EventStream) -> dict[str, Events]:
        """{layer: spikes} for ``stream``. Writes the configuration again first, which resets every V to 0."""
        self.model.apply_configuration(self.configuration)
        time.sleep(self.timing.quiet_s)
        self.sink.get_events()
        watch = self.device.get_stop_watch()
        watch.reset()
        watch.start()
        self.source.write([spike for event in stream.events.tolist() for spike in self._sent(program, event)])
        heard = time.monotonic()
        due = heard + (self.timing.lead_us + stream.duration_us) / 1e6
        received: list[Any] = []
        while (now := time.monotonic()) < max(due, heard + self.timing.quiet_s):
            if now > due + self.timing.patience_s:
                found = f"still spiking {self.timing.patience_s:.0f} s after {stream.name} ended"
                raise TargetError(self.name, found, "silence")
            if arrived := self.sink.get_events():
                received += arrived
                heard = now
            time.sleep(self.timing.poll_s)
        return self._by_layer(program, received)

    def _sent(self, program: Program, event: tuple[int, int, int, int]) -> Iterator[Any]:
        """The spikes to send for one input event: one to the core at the end of each input route."""
        t_us, *place = event
        for route in program.input_routes:
            for c, y, x in routed((place[0], place[1], place[2]), route, program.layers[route.to].single.in_shape):
                spike = self.module.event.Spike()
                spike.layer, spike.timestamp = program.core_of[route.to], t_us + self.timing.lead_us
                spike.feature, spike.y, spike.x = c, y, x
                yield spike

    def _by_layer(self, program: Program, received: list[Any]) -> dict[str, Events]:
        layer_on = {core: name for name, core in program.core_of.items()}
        listed: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in program.layers}
        for spike in received:
            if isinstance(spike, self.module.event.Spike) and spike.layer in layer_on:
                t_us = spike.timestamp - self.timing.lead_us
                listed[layer_on[spike.layer]].append((t_us, spike.feature, spike.y, spike.x))
        spikes = {name: np.array(rows, EVENT) for name, rows in listed.items()}
        for name, events in spikes.items():
            for axis, size in zip("cyx", program.layers[name].out_shape, strict=True):
                if len(events) and int(events[axis].max()) >= size:
                    found = f"a spike of {name} at {axis} = {events[axis].max()}"
                    raise TargetError(
                        self.name, found, f"{axis} in 0..{size - 1}", "Events were corrupted in transfer."
                    )
        return spikes


def _connected(samna: Any) -> dict[str, Any]:
    """{name: samna's description} of every connected board, numbered by USB address within its kind."""
    found = sorted(samna.device.get_all_devices(), key=lambda info: info.usb_device_address)
    named = {}
    for name, kind in BOARDS.items():
        of_kind = [info for info in found if info.device_type_name == kind.device_type]
        named.update({f"{name}:{i}": info for i, info in enumerate(of_kind)})
    return named


def _fill(target: Any, values: Mapping[str, Any]) -> None:
    """Copies plain ``values`` into samna's configuration object ``target``, field by field."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            _fill(getattr(target, key), value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for part, inner in zip(getattr(target, key), value, strict=True):
                _fill(part, inner)
        else:
            setattr(target, key, value)


def _sample(plan: Plan, stream: EventStream, spikes: Mapping[str, Events], keep_spikes: bool) -> Sample:
    program = plan.program
    spikes = {name: _whole(program, name, spikes) for name in program.parts}
    counts = {name: count(events, program.map_of(name)) for name, events in spikes.items()}
    sent = {INPUT: count(stream.events, program.input_shape), **counts}
    return Sample(
        name=stream.name,
        label=stream.label,
        counts=counts,
        synops=sum(updates(layer, sent) for layer in plan.layers),
        decision_us=decision_us(program, stream, spikes),
        spikes={INPUT: stream.events, **spikes} if keep_spikes else {},
    )


def _whole(program: Program, logical: str, spikes: Mapping[str, Events]) -> Events:
    """The spikes of all parts of a ``logical`` layer, in order of time."""
    parts = []
    for name in program.parts[logical]:
        parts.append(spikes[name].copy())
        parts[-1]["c"] += np.uint16(program.place_in(name)[1])
    together = np.concatenate(parts)
    return together[np.argsort(together["t"], kind="stable")] if len(parts) > 1 else together
