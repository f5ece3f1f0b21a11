"""The link to an open board: the only place that calls samna, apart from discovery in `board`.

What each call of samna means, and where it is documented, is in `board_calls`. Nothing here has run on silicon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import TargetError
from deploytool.run.targets.board_kinds import RAILS, BoardKind

WRAP: Final = 1 << 32
"""Timestamps of the board are microseconds modulo this."""
POWER_HZ: Final = 100.0
"""The highest rate of the power monitor, in measurements per second (Speck Dev Kit Datasheet, 3.2.6.4)."""
ERRORS: Final = (RuntimeError, AttributeError, TypeError, ValueError, OSError, ImportError)
"""What samna raises."""
NOT_A_FIELD: Final = ("name",)
"""Keys of our configuration of a core that are not samna's."""


class BoardSpike(NamedTuple):
    """A spike sent to ``core``, or monitored there, at ``t_us`` since the clock was restarted."""

    core: int
    t_us: int
    c: int
    y: int
    x: int


class NeuronState(NamedTuple):
    """The membrane potential that the board answered for an address of a core."""

    core: int
    address: int
    v: int


class SensorEvent(NamedTuple):
    """An event of the sensor, at ``t_us`` since the clock was restarted."""

    t_us: int
    on: bool
    y: int
    x: int


@dataclass
class Heard:
    """What the board said since it was last asked, each kind in order of arrival."""

    spikes: list[BoardSpike] = field(default_factory=list)
    states: list[NeuronState] = field(default_factory=list)
    sensor: list[SensorEvent] = field(default_factory=list)

    def __iadd__(self, other: Heard) -> Heard:
        self.spikes += other.spikes
        self.states += other.states
        self.sensor += other.sensor
        return self

    def __len__(self) -> int:
        return len(self.spikes) + len(self.states) + len(self.sensor)


class Clock:
    """Times in 64 bits from timestamps of 32 that wrap: each is taken as the one nearest to the latest time."""

    def __init__(self) -> None:
        self.latest_us = 0

    def time_us(self, timestamp: int) -> int:
        behind = (self.latest_us - timestamp + WRAP // 2) // WRAP * WRAP
        found = timestamp + max(behind, 0)
        self.latest_us = max(self.latest_us, found)
        return found


@contextmanager
def samna_errors(name: str) -> Iterator[None]:
    """Turns what samna raises into a TargetError of the board ``name``."""
    try:
        yield
    except ERRORS as error:
        raise TargetError(name, f"samna reports: {error}", "a board that responds") from error


class Link:
    """An open board. It is reset and closed by `close`, also after an error. Calls raise what samna raises."""

    def __init__(self, samna: Any, name: str, kind: BoardKind, info: Any) -> None:
        self.samna, self.name, self.info = samna, name, info
        self.module = getattr(samna, kind.chip)
        self.events = self.module.event
        self.device = samna.device.open_device(info)
        self.model = self.device.get_model()
        self.watch = self.device.get_stop_watch()
        self.source, self.sink = getattr(samna, kind.source)(), getattr(samna, kind.sink)()
        self.graphs = [
            self._graph([self.source, self.model.get_sink_node()]),
            self._graph([self.model.get_source_node(), self.sink]),
        ]
        self.clock = Clock()
        self.monitor: Any = None
        self.power_sink: Any = None

    def _graph(self, nodes: list[Any]) -> Any:
        graph = self.samna.graph.EventFilterGraph()
        graph.sequential(nodes)
        graph.start()
        return graph

    def configure(self, values: Mapping[str, Any]) -> None:
        """Applies our configuration ``values``, and compares what the board's model then holds field by field.

        Every used core is monitored; what ``values`` leave out stays as it is by default. Raises TargetError for a
        configuration that samna refuses, and for a field that reads back differently.
        """
        configuration = self.module.configuration.SpeckConfiguration()
        wanted = {key: values[key] for key in ("dvs_layer", "readout") if key in values}
        if "cnn_layers" in values:
            wanted["cnn_layers"] = [_monitored(layer) for layer in values["cnn_layers"]]
        _fill(configuration, wanted)
        accepted, text = self.module.validate_configuration(configuration)
        if not accepted:
            raise TargetError(self.name, f"samna refuses the configuration: {text}", "a configuration that it accepts")
        self.model.apply_configuration(configuration)
        if different := next(_differences(self.model.get_configuration(), wanted, "configuration"), None):
            where, found, need = different
            raise TargetError(self.name, f"{where} reads back as {found}", need, "Nothing was run.")

    def restart_clock(self) -> None:
        """Sets the board's clock to 0 and discards what was heard before."""
        self.sink.get_events()
        self.clock = Clock()
        self.watch.start()
        self.watch.reset()

    def slow_clock(self, hz: int | None) -> None:
        """Starts the board's slow clock at ``hz``, or stops it."""
        io = self.device.get_io_module()
        if hz is not None:
            io.set_slow_clk_rate(hz)
        io.set_slow_clk(hz is not None)

    def spikes(self, rows: Iterable[BoardSpike]) -> list[Any]:
        """Input spikes for `write`; each goes to a core and is held back until the board's clock reaches ``t_us``."""
        return [self._spike(row) for row in rows]

    def _spike(self, row: BoardSpike) -> Any:
        spike = self.events.Spike()
        spike.layer, spike.timestamp = row.core, row.t_us % WRAP
        spike.feature, spike.y, spike.x = row.c, row.y, row.x
        return spike

    def sensor_events(self, rows: Iterable[SensorEvent]) -> list[Any]:
        """Events for `write` that enter the chip through the layer of the sensor."""
        made = []
        for row in rows:
            event = self.events.DvsEvent()
            event.p, event.y, event.x, event.timestamp = row.on, row.y, row.x, row.t_us % WRAP
            made.append(event)
        return made

    def reads(self, core: int, addresses: Iterable[int]) -> list[Any]:
        """Requests for `write`; the board answers each with a `NeuronState`."""
        made = []
        for address in addresses:
            request = self.events.ReadNeuronValue()
            request.layer, request.address = core, address
            made.append(request)
        return made

    def writes(self, core: int, values: Mapping[int, int]) -> list[Any]:
        """Requests for `write` that set the membrane potentials {address: V} of ``core``."""
        made = []
        for address, v in values.items():
            request = self.events.WriteNeuronValue()
            request.layer, request.address, request.neuron_state = core, address, v
            made.append(request)
        return made

    def write(self, events: list[Any]) -> None:
        """Sends ``events``, in order."""
        self.source.write(events)

    def read(self) -> Heard:
        """Everything that has arrived since the last call."""
        heard = Heard()
        for event in self.sink.get_events():
            if isinstance(event, self.events.Spike):
                t_us = self.clock.time_us(event.timestamp)
                heard.spikes.append(BoardSpike(event.layer, t_us, event.feature, event.y, event.x))
            elif isinstance(event, self.events.NeuronValue):
                heard.states.append(NeuronState(event.layer, event.address, event.neuron_state))
            elif isinstance(event, self.events.DvsEvent):
                heard.sensor.append(SensorEvent(self.clock.time_us(event.timestamp), bool(event.p), event.y, event.x))
        return heard

    def start_power(self) -> bool:
        """Starts the power monitor; False for a kit without one."""
        if not hasattr(self.device, "get_power_monitor"):
            return False
        if self.monitor is None:
            self.monitor = self.device.get_power_monitor()
            self.power_sink = self.samna.BasicSinkNode_unifirm_modules_events_measurement()
            self.graphs.append(self._graph([self.monitor.get_source_node(), self.power_sink]))
            self.monitor.start_auto_power_measurement(POWER_HZ)
        return True

    def power_mw(self) -> dict[str, float]:
        """{rail: mean power in mW} since the last call; empty without a monitor, a rail without measurements is absent.

        The mean over measurements: their timestamps come in bursts, and are not integrated.
        """
        if self.power_sink is None:
            return {}
        watts: dict[int, list[float]] = {}
        for measured in self.power_sink.get_events():
            watts.setdefault(measured.channel, []).append(measured.value)
        return {
            RAILS[channel]: 1000 * float(np.mean(values))
            for channel, values in sorted(watts.items())
            if channel < len(RAILS)
        }

    def close(self) -> None:
        """Stops everything, resets the chip to its default configuration, and closes the board if it is still there."""
        if self.monitor is not None:
            with suppress(*ERRORS):
                self.monitor.stop_auto_power_measurement()
        for graph in self.graphs:
            with suppress(*ERRORS):
                graph.stop()
        with suppress(*ERRORS):
            self.watch.stop()
        with suppress(*ERRORS):
            self.device.reset_board_soft(True)
        with suppress(*ERRORS):
            self.samna.device.close_device(self.device)


def _monitored(layer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """samna's fields of a core's configuration, with the monitor on."""
    if layer is None:
        return None
    return {key: value for key, value in layer.items() if key not in NOT_A_FIELD} | {"monitor_enable": True}


def _fill(target: Any, values: Mapping[str, Any]) -> None:
    """Copies plain ``values`` into samna's configuration object ``target``, field by field; None is left as it is."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            _fill(getattr(target, key), value)
        elif _holds_parts(value):
            for part, inner in zip(getattr(target, key), value, strict=True):
                if inner is not None:
                    _fill(part, inner)
        else:
            setattr(target, key, value)


def _differences(target: Any, values: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    """(field, what ``target`` holds, what ``values`` say) of every field that differs."""
    for key, value in values.items():
        at = f"{where}.{key}"
        if isinstance(value, Mapping):
            yield from _differences(getattr(target, key), value, at)
        elif _holds_parts(value):
            for i, inner in enumerate(value):
                if inner is not None:
                    yield from _differences(getattr(target, key)[i], inner, f"{at}[{i}]")
        elif not _same(found := getattr(target, key), value):
            yield at, _short(found), _short(value)


def _holds_parts(value: Any) -> bool:
    """Whether a value of our configuration is a list of objects, such as the cores."""
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _same(found: Any, value: Any) -> bool:
    if not isinstance(value, list):
        return bool(found == value)
    array: Array = np.asarray(found)
    return array.shape == np.shape(value) and bool((array == np.asarray(value)).all())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
