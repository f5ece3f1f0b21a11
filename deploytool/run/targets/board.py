"""The board target, which uses samna, SynSense's driver. It has never been tested on silicon.

samna is imported only if a board is used, and only here. Since 0.9 the package samna on PyPI is a placeholder that
starts an installation over the network when imported. The driver contains compiled files, the placeholder does not.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import re
import sysconfig
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
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
from deploytool.run.record.samples import Sample, as_recording, decision_us, output_windows
from deploytool.run.reference.specification import routed
from deploytool.run.targets.board_kinds import BOARDS, BoardKind
from deploytool.run.targets.board_link import BoardSpike, Link, SensorEvent, samna_errors
from deploytool.run.targets.board_play import TIMING, Packet, Played, SlowClock, Timing, pieces, play, set_membranes
from deploytool.run.targets.options import AS_RECORDED, OWN_PACE, Configure, OnBoard

INSTALL: Final = "Install samna from SynSense's own package index, as its documentation says, not from PyPI."
OLDEST: Final = (0, 46)
"""The oldest samna whose names the link uses."""


def list_devices() -> dict[str, str]:
    """{name of a connected board, such as "speck2edevkit:0": its serial number and firmware}.

    Raises TargetError without a driver.
    """
    return {name: _identity(info) for name, info in _connected(load_samna()).items()}


def driver_version() -> str:
    """The version of samna. Raises TargetError as `load_samna` does."""
    return str(load_samna().__version__)


def load_samna() -> Any:
    """The module samna. Raises TargetError before importing it if it is missing or PyPI's placeholder.

    Also raises it for a driver that was built for another Python, or that is too old.
    """
    spec = importlib.util.find_spec("samna")
    if spec is None:
        raise TargetError("samna", "not installed", "the driver of SynSense's boards", INSTALL)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [path.name for folder in folders for path in folder.rglob("*")] + [Path(spec.origin or "").name]
    compiled = [name for name in files if name.endswith((".so", ".pyd"))]
    if not compiled:
        found = f"{_installed()}PyPI's placeholder, which starts an installation over the network when imported"
        raise TargetError("samna", found, "the driver of SynSense's boards", INSTALL)
    if not any(_loads_here(name) for name in compiled):
        found = f"built for another Python ({compiled[0]})"
        raise TargetError("samna", found, f"one for Python {sysconfig.get_python_version()}", INSTALL)
    with samna_errors("samna"):
        samna = importlib.import_module("samna")
    check_version(samna)
    return samna


def _loads_here(name: str) -> bool:
    """Whether this Python can load the compiled module in the file ``name``."""
    return any("." not in name.removesuffix(suffix) for suffix in EXTENSION_SUFFIXES if name.endswith(suffix))


def check_version(samna: Any) -> None:
    """Raises TargetError for a samna that is older than `OLDEST`."""
    stated = str(getattr(samna, "__version__", ""))
    if (known := re.match(r"(\d+)\.(\d+)", stated)) and tuple(map(int, known.groups())) < OLDEST:
        raise TargetError("samna", f"version {stated}", f"{OLDEST[0]}.{OLDEST[1]} or later", INSTALL)


def _installed() -> str:
    """The version that the installed metadata state, and a comma; "" where they state none."""
    try:
        return f"version {version_of('samna')}, "
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class _Opened:
    """A connected board that holds a ``program``."""

    link: Link
    program: Program

    def clock(self, stream: EventStream) -> SlowClock | None:
        """The slow clock of ``stream``; None where nothing needs one."""
        hz, ticks = self.program.slow_clock_hz, self.program.ticks_us(stream.duration_us).tolist()
        return SlowClock(hz, tuple(ticks)) if hz is not None and ticks else None

    def packets(self, stream: EventStream, timing: Timing, pace: float | None) -> Iterator[Packet]:
        """``stream`` as packets to the cores at the ends of its routes, ``pace`` times faster than recorded."""
        rows = (row for event in stream.events.tolist() for row in self._sent(event, timing.lead_us, pace))
        for piece in pieces(rows, timing.packet):
            yield Packet(self.link.spikes(piece), piece[0].t_us, piece[-1].t_us, piece[-1].core)

    def _sent(self, event: tuple[int, int, int, int], lead_us: int, pace: float | None) -> Iterator[BoardSpike]:
        t_us, *place = event
        due_us = lead_us + (0 if pace is None else round(t_us / pace))
        for route in self.program.input_routes:
            for c, y, x in routed((place[0], place[1], place[2]), route, self.program.layers[route.to].single.in_shape):
                yield BoardSpike(self.program.core_of[route.to], due_us, c, y, x)

    def sensor_packets(self, stream: EventStream, timing: Timing) -> Iterator[Packet]:
        """``stream`` as packets of pixels, which enter through the layer of the sensor."""
        core = self.program.core_of[self.program.input_routes[0].to]
        rows = (SensorEvent(timing.lead_us + t, bool(c), y, x) for t, c, y, x in stream.events.tolist())
        for piece in pieces(rows, timing.packet):
            yield Packet(self.link.sensor_events(piece), piece[0].t_us, piece[-1].t_us, core)

    def by_layer(self, heard: Sequence[BoardSpike], timing: Timing, pace: float | None) -> dict[str, Events]:
        """{layer: its spikes in order of arrival}, at times of the sample. Raises TargetError for impossible ones."""
        layer_on = {core: name for name, core in self.program.core_of.items()}
        listed: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in self.program.layers}
        for core, at_us, c, y, x in heard:
            t_us = at_us - timing.lead_us
            if core not in layer_on or t_us < 0:
                found = f"a spike of core {core} at {t_us} us"
                raise TargetError(self.link.name, found, "spikes of used cores after the first event")
            listed[layer_on[core]].append((round(t_us * (pace or 1)), c, y, x))
        spikes = {name: np.array(rows, EVENT) for name, rows in listed.items()}
        for name, events in spikes.items():
            for axis, size in zip("cyx", self.program.layers[name].out_shape, strict=True):
                if len(events) and int(events[axis].max()) >= size:
                    found = f"a spike of {name} at {axis} = {events[axis].max()}"
                    need = f"{axis} in 0..{size - 1}"
                    raise TargetError(self.link.name, found, need, "Events were corrupted in transfer.")
        return spikes


class Board:
    """A Target that runs on a chip, for example "speck2edevkit:0".

    All layers are monitored; counts and SynOps are computed from their spikes. Before each sample every membrane is set
    and read back. However a run ends, the chip is reset and the board is closed. Raises TargetError if the driver or
    the board is missing.
    """

    def __init__(
        self,
        name: str,
        configure: Configure,
        tick: Tick = no_progress,
        how: OnBoard = AS_RECORDED,
        timing: Timing = TIMING,
    ) -> None:
        self.name, self.configure, self.tick, self.how, self.timing = name, configure, tick, how, timing
        self.kind = kind_of_board(name)
        self.samna = load_samna()
        boards = _connected(self.samna)
        if name not in boards:
            raise TargetError(name, "this board is not connected", ", ".join(boards) or "a board")
        self.info = boards[name]

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        """See `deploytool.ir.target.Target`. Raises TargetError if the board does not respond."""
        if watch.extremes:
            raise UnsupportedError(self.name, "asked to measure the lowest and highest V", "a target that computes V")
        configuration = self.checked(program)
        watched = watched_layers(program, watch.layers)
        plan = make_plan(program, state_type(program))
        total = operator.length_hint(streams, 0)
        samples = []
        with self.opened() as link:
            link.configure(configuration)
            time.sleep(self.timing.settle_s)
            for index, stream in enumerate(streams):
                check_sendable(program, stream)
                if index and any(layer.decimation > 1 for layer in program.layers.values()):
                    link.configure(configuration)  # resets the counters of the output decimators
                    time.sleep(self.timing.settle_s)
                samples.append(self._sample(_Opened(link, program), plan, stream, index < watch.rasters))
                self.tick(index + 1, max(total, index + 1), "")
        return as_recording(program, "board", watched, samples)

    def checked(self, program: Program) -> dict[str, Any]:
        """The configuration of ``program``. Raises UnsupportedError unless it is mapped for the chip of this board."""
        verify(program, Level.MAPPED)
        if program.biased and self.how.pace != OWN_PACE:
            found = f"a bias in {', '.join(program.biased)}, whose slow clock keeps its own pace"
            raise UnsupportedError(self.name, found, "events at their own pace", "Leave out --pace.")
        if program.chip != self.kind.chip:
            raise UnsupportedError(self.name, f"a program mapped for {program.chip}", f"one for {self.kind.chip}")
        return dict(self.configure(program))

    def through_sensor(self, program: Program, origin: tuple[int, int], stream: EventStream) -> dict[str, Events]:
        """{layer: spikes} for pixels of ``stream``, sent into the layer of the sensor.

        Its crop begins at ``origin`` (y, x), in the pixels that the chip counts.
        """
        configuration = dict(self.configure(program))
        with self.opened() as link:
            link.configure(configuration | {"dvs_layer": _from(configuration["dvs_layer"], origin)})
            time.sleep(self.timing.settle_s)
            set_membranes(link, self.timing, program)
            opened = _Opened(link, program)
            played = play(link, self.timing, opened.sensor_packets(stream, self.timing), stream.duration_us)
            return opened.by_layer(played.heard.spikes, self.timing, None)

    @contextmanager
    def opened(self) -> Iterator[Link]:
        """The open board. When the body ends, also by an error or Ctrl-C, the chip is reset and the board closed."""
        with samna_errors(self.name):
            link = Link(self.samna, self.name, self.kind, self.info)
            try:
                yield link
            finally:
                link.close()

    def _sample(self, opened: _Opened, plan: Plan, stream: EventStream, keep_spikes: bool) -> Sample:
        link, pace = opened.link, self.how.pace
        set_membranes(link, self.timing, opened.program)
        powered = self.how.power and link.start_power()
        link.power_mw()
        ends_us = 0 if pace is None else round(stream.duration_us / pace)
        played = play(link, self.timing, opened.packets(stream, self.timing, pace), ends_us, opened.clock(stream))
        power = link.power_mw() if powered else {}
        spikes = opened.by_layer(played.heard.spikes, self.timing, pace)
        measured = _measured(played, power, self.timing)
        return _recorded(plan, stream, spikes, keep_spikes, measured)


def kind_of_board(name: str) -> BoardKind:
    """The kind of the board called ``name``, such as "speck2edevkit:0". Raises UsageError for another name."""
    kind, _, number = name.partition(":")
    if kind not in BOARDS or not number.isdecimal():
        raise UsageError("board", f"no board {name!r}", f"one of {', '.join(BOARDS)} and a number, as in {kind}:0")
    return BOARDS[kind]


def _identity(info: Any) -> str:
    """What samna says of a connected board."""
    return f"{info.device_type_name}, serial number {info.serial_number or '-'}, firmware {info.logic_version}"


def _connected(samna: Any) -> dict[str, Any]:
    """{name: samna's description} of every connected board, numbered by USB address within its kind."""
    with samna_errors("samna"):
        found = sorted(samna.device.get_all_devices(), key=lambda info: info.usb_device_address)
    named = {}
    for name, kind in BOARDS.items():
        of_kind = [info for info in found if info.device_type_name == kind.device_type]
        named.update({f"{name}:{i}": info for i, info in enumerate(of_kind)})
    return named


def _from(dvs: Mapping[str, Any], origin: tuple[int, int]) -> dict[str, Any]:
    """The layer of the sensor with its crop moved to ``origin`` (y, x)."""
    by = {"y": origin[0], "x": origin[1]}
    cut = {axis: dvs["cut"][axis] - dvs["origin"][axis] + by[axis] for axis in by}
    return {**dvs, "origin": by, "cut": cut}


def _measured(played: Played, power_mw: Mapping[str, float], timing: Timing) -> dict[str, float]:
    """Figures of a sample that only a board has, by name. Energy is mean power times duration, rail by rail."""
    first = min((spike.t_us for spike in played.heard.spikes), default=None)
    return {
        "seconds": played.seconds,
        "events_taken": float(played.sent),
        "spikes_received": float(len(played.heard.spikes)),
        **({} if first is None else {"first_spike_us": float(first - timing.lead_us)}),
        **{f"power_mw {rail}": mw for rail, mw in power_mw.items()},
        **{f"energy_uj {rail}": 1000 * mw * played.seconds for rail, mw in power_mw.items()},
    }


def _recorded(
    plan: Plan, stream: EventStream, heard: Mapping[str, Events], keep_spikes: bool, measured: Mapping[str, float]
) -> Sample:
    program = plan.program
    spikes = {name: _whole(program, name, heard) for name in program.parts}
    counts = {name: count(events, program.map_of(name)) for name, events in spikes.items()}
    sent = {INPUT: count(stream.events, program.input_shape), **counts}
    return Sample(
        name=stream.name,
        label=stream.label,
        counts=counts,
        synops=sum(updates(layer, sent) for layer in plan.layers),
        decision_us=decision_us(program, stream, spikes),
        windows=output_windows(program, stream, spikes),
        spikes={INPUT: stream.events, **spikes} if keep_spikes else {},
        measured=measured,
    )


def _whole(program: Program, logical: str, spikes: Mapping[str, Events]) -> Events:
    """The spikes of all parts of a ``logical`` layer, in order of time."""
    parts = []
    for name in program.parts[logical]:
        parts.append(spikes[name].copy())
        parts[-1]["c"] += np.uint16(program.place_in(name)[1])
    together = np.concatenate(parts)
    return together[np.argsort(together["t"], kind="stable")] if len(parts) > 1 else together
