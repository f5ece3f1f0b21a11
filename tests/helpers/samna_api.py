"""A stand-in for samna's API (0.46 and later): one devkit, whose chip is `helpers.samna_chip.Chip`. Only for tests.

It behaves as samna's reference documents: fields are typed and unknown ones are errors, a stopped graph passes nothing,
an event that is read late is still there, timestamps are the stop watch modulo 2**32, a closed device raises. Its time
is a `VirtualClock`, which passes only where somebody sleeps. `used` collects every name of samna that was called.
"""

from __future__ import annotations

import copy
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from helpers.samna_chip import ASSUMED, Chip, Place, Traits

WRAP: Final = 1 << 32
RAILS_MW: Final = (0.0617, 0.0517, 0.367, 0.0789, 0.6109)
"""Power of the rails at rest, by channel."""


class VirtualClock:
    """What the board's code takes for the module time. ``wake`` is called with every second that passes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wake: list[Callable[[], None]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 9)
        for each in list(self.wake):
            each()


class Struct:
    """A class of samna: typed fields, an error for every other name. ``FIELDS`` {name: (default, check)}."""

    FIELDS: ClassVar[Mapping[str, tuple[Any, Callable[[Any], bool]]]] = {}

    PLAIN: ClassVar[Mapping[str, Any]] = {}
    CHECKS: ClassVar[Mapping[str, Callable[[Any], bool]]] = {}

    def __init_subclass__(cls) -> None:
        cls.PLAIN = {name: default for name, (default, _) in cls.FIELDS.items() if isinstance(default, int | float)}
        cls.CHECKS = {name: check for name, (_, check) in cls.FIELDS.items()}

    def __init__(self) -> None:
        self.__dict__.update(self.PLAIN)
        for name, (default, _) in self.FIELDS.items():
            if name not in self.PLAIN:
                self.__dict__[name] = default() if callable(default) else copy.deepcopy(default)

    def __setattr__(self, name: str, value: Any) -> None:
        if (check := self.CHECKS.get(name)) is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not check(value):
            raise TypeError(f"({type(self).__name__}.{name}): incompatible value {value!r}")
        self.__dict__[name] = value


def whole(bits: int, signed: bool = False) -> Callable[[Any], bool]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def nested(bits: int, depth: int) -> Callable[[Any], bool]:
    """Lists of ``depth`` levels of signed integers of ``bits``."""
    number = whole(bits, signed=True)

    def check(value: Any, level: int = depth) -> bool:
        return number(value) if level == 0 else isinstance(value, list) and all(check(v, level - 1) for v in value)

    return check


def boolean(value: Any) -> bool:
    return isinstance(value, bool)


def struct(name: str, **fields: Any) -> type[Struct]:
    """A class of fields: name=(default, check); a class as default is a part that is made for each object."""
    return type(name, (Struct,), {"FIELDS": fields})


def is_a(kind: type[Struct]) -> tuple[Any, Callable[[Any], bool]]:
    return kind, lambda value: isinstance(value, kind)


def several(kind: type[Struct], number: int) -> tuple[Any, Callable[[Any], bool]]:
    return lambda: [kind() for _ in range(number)], lambda value: len(value) == number


OFF: Final = (False, boolean)
Vec2: Final = struct("Vec2_unsigned_char", x=(0, whole(8)), y=(0, whole(8)))
OneOne: Final = struct("Vec2_unsigned_char", x=(1, whole(8)), y=(1, whole(8)))
Both: Final = struct("Vec2_bool", x=OFF, y=OFF)
Full: Final = struct("Vec2_unsigned_char", x=(127, whole(8)), y=(127, whole(8)))
IOShape: Final = struct("IOShape", feature_count=(1, whole(16)), size=is_a(Vec2))


class CnnLayerDimensions(Struct):
    FIELDS: ClassVar = {
        "input_shape": is_a(IOShape),
        "output_shape": is_a(IOShape),
        "kernel_size": (1, whole(8)),
        "stride": is_a(OneOne),
        "padding": is_a(Vec2),
    }

    def is_set(self) -> bool:
        """Whether the layer is used: an unused one keeps its maps of size 0. (Not of samna.)"""
        return bool(self.output_shape.size.x)


CnnLayerDestination: Final = struct(
    "CnnLayerDestination",
    enable=OFF,
    layer=(0, whole(8)),
    pooling=(1, whole(8)),
    feature_shift=(0, whole(16)),
)
CnnLayerConfig: Final = struct(
    "CnnLayerConfig",
    dimensions=is_a(CnnLayerDimensions),
    destinations=several(CnnLayerDestination, 2),
    weights=([[[[0]]]], nested(8, 4)),
    biases=([0], nested(16, 1)),
    neurons_initial_value=([[[0]]], nested(16, 3)),
    leak_enable=OFF,
    leak_internal_slow_clk_enable=OFF,
    return_to_zero=OFF,
    threshold_high=(1, whole(15)),
    threshold_low=(-1, whole(16, signed=True)),
    monitor_enable=OFF,
    input_congestion_balancer_enable=OFF,
    output_decimator_enable=OFF,
    output_decimator_interval=(0, whole(4)),
)
DvsLayerDestination: Final = struct("DvsLayerDestination", enable=OFF, layer=(0, whole(8)))
DvsLayerConfig: Final = struct(
    "DvsLayerConfig",
    destinations=several(DvsLayerDestination, 2),
    merge=OFF,
    on_channel=(True, boolean),
    off_channel=(True, boolean),
    mirror=is_a(Both),
    mirror_diagonal=OFF,
    origin=is_a(Vec2),
    cut=is_a(Full),
    pooling=is_a(OneOne),
    pass_sensor_events=(True, boolean),
    monitor_enable=OFF,
    raw_monitor_enable=OFF,
)
ReadoutConfig: Final = struct(
    "ReadoutConfig",
    enable=OFF,
    readout_configuration_sel=(0, whole(2)),
    output_mode_sel=(0, whole(2)),
    threshold=(0, whole(16)),
    low_pass_filter_disable=OFF,
    low_pass_filter32_not16=OFF,
    readout_pin_monitor_enable=OFF,
    monitor_enable=OFF,
    internal_slow_clk=OFF,
)
SpeckConfiguration: Final = struct(
    "SpeckConfiguration",
    cnn_layers=several(CnnLayerConfig, 9),
    dvs_layer=is_a(DvsLayerConfig),
    readout=is_a(ReadoutConfig),
)

TIMED: Final = {"timestamp": (0, whole(32))}
AT: Final = {"x": (0, whole(8)), "y": (0, whole(8))}
OF_NEURON: Final = {"layer": (0, whole(8)), "address": (0, whole(32))}
STATE: Final = {"neuron_state": (0, whole(16, signed=True))}
Spike: Final = struct("Spike", layer=(0, whole(8)), feature=(0, whole(16)), **AT, **TIMED)
DvsEvent: Final = struct("DvsEvent", p=OFF, **AT, **TIMED)
ReadNeuronValue: Final = struct("ReadNeuronValue", **OF_NEURON)
WriteNeuronValue: Final = struct("WriteNeuronValue", **OF_NEURON, **STATE)
NeuronValue: Final = struct("NeuronValue", **OF_NEURON, **STATE)
Measurement: Final = struct(
    "PowerMeasurement", channel=(0, whole(8)), value=(0.0, lambda v: isinstance(v, float)), **TIMED
)
EVENTS: Final[tuple[type[Struct], ...]] = (Spike, DvsEvent, ReadNeuronValue, WriteNeuronValue, NeuronValue)

EVENT_NAMES: Final = {kind: f"speck2e.event.{kind.__name__}" for kind in EVENTS}


def validate_configuration(configuration: Any) -> tuple[bool, str]:
    """What samna's validator says; here only whether sizes agree."""
    for i, layer in enumerate(configuration.cnn_layers):
        if layer.dimensions.is_set():
            into, out = layer.dimensions.input_shape, layer.dimensions.output_shape
            sizes = (len(layer.weights), len(layer.weights[0]), len(layer.weights[0][0]))
            if sizes != (out.feature_count, into.feature_count, layer.dimensions.kernel_size):
                return False, f"Layer {i}: weights have the wrong dimensions"
    return True, ""


class StopWatch:
    def __init__(self, clock: VirtualClock, note: Callable[[str], None]) -> None:
        self.clock, self.note, self.running, self.epoch = clock, note, False, clock.now

    def start(self) -> None:
        self.note("StopWatch.start")
        self.running = True

    def stop(self) -> None:
        self.note("StopWatch.stop")
        self.running = False

    def reset(self) -> None:
        self.note("StopWatch.reset")
        self.epoch = self.clock.now

    def us(self) -> int:
        return round((self.clock.now - self.epoch) * 1e6) if self.running else 0


class Devkit:
    """An open board. Events written to it wait in a queue until their time has come, and pass in order."""

    def __init__(self, samna: Samna) -> None:
        self.samna, self.clock, self.traits = samna, samna.clock, samna.traits
        self.watch = StopWatch(self.clock, samna.note)
        self.chip = Chip(SpeckConfiguration(), self.traits)
        self.waiting: deque[Any] = deque()
        self.heard: deque[tuple[float, Any]] = deque()
        self.lost = 0
        self.busy_until_us = 0.0
        self.is_open, self.resets = True, 0
        self.slow_hz, self.ticked_us = 0, math.inf
        self.clock.wake.append(self.advance)

    def check(self) -> None:
        if self.samna.unplugged:
            raise RuntimeError("USB transfer failed: LIBUSB_ERROR_NO_DEVICE")
        if not self.is_open:
            raise RuntimeError("device is closed")

    def get_model(self) -> Any:
        self.samna.note("Devkit.get_model")
        self.check()
        return SimpleNamespace(
            apply_configuration=self.apply,
            get_configuration=self.configuration,
            get_sink_node=lambda: self.samna.noted("Model.get_sink_node", Port(self, "in")),
            get_source_node=lambda: self.samna.noted("Model.get_source_node", Port(self, "out")),
        )

    def apply(self, configuration: Any) -> None:
        self.samna.note("Model.apply_configuration")
        self.check()
        ok, text = validate_configuration(configuration)
        if not ok:
            raise RuntimeError(text)
        self.samna.applied.append(configuration)
        self.chip = Chip(copy.deepcopy(configuration), self.traits, self.chip)

    def configuration(self) -> Any:
        self.samna.note("Model.get_configuration")
        self.check()
        return self.samna.altered(copy.deepcopy(self.chip.configuration))

    def get_stop_watch(self) -> StopWatch:
        self.samna.note("Devkit.get_stop_watch")
        self.check()
        return self.watch

    def get_io_module(self) -> Any:
        self.samna.note("Devkit.get_io_module")
        self.check()
        return SimpleNamespace(set_slow_clk_rate=self.set_slow_clk_rate, set_slow_clk=self.set_slow_clk)

    def set_slow_clk_rate(self, hz: int) -> None:
        self.samna.note("IoModule.set_slow_clk_rate")
        self.slow_hz = hz

    def set_slow_clk(self, on: bool) -> None:
        self.samna.note("IoModule.set_slow_clk")
        self.ticked_us = self.watch.us() + 1e6 / self.slow_hz if on else math.inf

    def reset_board_soft(self, _wait: bool) -> None:
        self.samna.note("Devkit.reset_board_soft")
        self.check()
        self.resets += 1
        self.samna.readout = self.chip.readout
        self.chip = Chip(SpeckConfiguration(), self.traits)
        self.waiting.clear()

    def receive(self, events: list[Any]) -> None:
        self.check()
        for event in events:
            if type(event) in EVENT_NAMES:
                self.samna.note(EVENT_NAMES[type(event)])
            if not isinstance(event, EVENTS[:4]):
                raise TypeError(f"write(): incompatible event {event!r}")
            if self.traits.capacity is not None and len(self.waiting) >= self.traits.capacity:
                self.lost += 1
            else:
                self.waiting.append(event)
        self.advance()

    def advance(self) -> None:
        """Processes every waiting event whose time has come; the first one holds up those behind it."""
        now_us = self.watch.us() if self.watch.running else (self.clock.now - self.watch.epoch) * 1e6
        while True:
            event = self.waiting[0] if self.waiting else None
            starts = math.inf if event is None else max(getattr(event, "timestamp", 0), self.busy_until_us)
            if (tick := self.ticked_us) <= min(starts, now_us):
                self.say_spikes(self.chip.tick(), round(tick))
                self.ticked_us += 1e6 / self.slow_hz
                continue
            if starts > now_us:
                return
            self.waiting.popleft()
            before = self.chip.updates
            self.process(event, round(max(starts, min(now_us, getattr(event, "timestamp", 0)))))
            if self.traits.synops_per_s:
                cost_us = (self.chip.updates - before) / self.traits.synops_per_s * 1e6
                self.busy_until_us = max(starts, self.busy_until_us) + cost_us

    def process(self, event: Any, t_us: int) -> None:
        core = self.chip.cores.get(event.layer) if hasattr(event, "layer") else None
        place = core.place(event.address) if core is not None and hasattr(event, "address") else None
        match event:
            case ReadNeuronValue():
                answer = NeuronValue()
                answer.layer, answer.address = event.layer, event.address
                answer.neuron_state = int(core.v[place]) if core is not None and place is not None else 0
                self.say(answer)
            case WriteNeuronValue():
                if core is not None and place is not None and self.traits.writes_neurons:
                    core.v[place] = event.neuron_state
            case Spike():
                if core is not None:
                    self.say_spikes(self.chip.spike(event.layer, (event.feature, event.y, event.x)), t_us)
            case DvsEvent():
                self.say_spikes(self.chip.sensor_event(event.p, event.y, event.x), t_us)

    def say_spikes(self, spikes: list[tuple[int, Place]], t_us: int) -> None:
        for core, (f, y, x) in spikes:
            spike = Spike()
            spike.layer, spike.feature, spike.y, spike.x = core, f, y, x
            if self.watch.running:
                spike.timestamp = (t_us + self.traits.hop_us * self.chip.depths[core]) % WRAP
            self.say(spike)

    def see(self, on: bool, y: int, x: int) -> None:
        """The sensor on the chip sees an event now."""
        dvs = self.chip.configuration.dvs_layer
        t_us = self.watch.us()
        if dvs.raw_monitor_enable:
            event = DvsEvent()
            event.p, event.y, event.x, event.timestamp = on, y, x, t_us % WRAP
            self.say(event)
        if dvs.pass_sensor_events:
            self.say_spikes(self.chip.sensor_event(on, y, x), t_us)

    def say(self, event: Any) -> None:
        if type(event) in EVENT_NAMES:
            self.samna.note(EVENT_NAMES[type(event)])
        for sink in self.samna.sinks(self, "out"):
            sink.arrived.append((self.clock.now + self.traits.read_lag_s, event))


class Port:
    """The sink node ("in") or source node ("out") of a device, or the source of its power monitor ("power")."""

    def __init__(self, device: Any, way: str) -> None:
        self.device, self.way = device, way


class SourceNode:
    def __init__(self, samna: Samna) -> None:
        self.samna = samna

    def write(self, events: list[Any]) -> None:
        self.samna.note("SourceNode.write")
        for graph in self.samna.graphs:
            if graph.running and graph.nodes and graph.nodes[0] is self:
                graph.nodes[-1].device.receive(events)


class SinkNode:
    def __init__(self, samna: Samna) -> None:
        self.samna, self.arrived = samna, deque[tuple[float, Any]]()

    def get_events(self) -> list[Any]:
        self.samna.note("SinkNode.get_events")
        if self.samna.unplugged:
            raise RuntimeError("USB transfer failed: LIBUSB_ERROR_NO_DEVICE")
        found = []
        while self.arrived and self.arrived[0][0] <= self.samna.clock.now:
            found.append(self.arrived.popleft()[1])
        return found


class EventFilterGraph:
    def __init__(self, samna: Samna) -> None:
        self.samna, self.nodes, self.running = samna, list[Any](), False
        samna.graphs.append(self)

    def sequential(self, nodes: list[Any]) -> list[Any]:
        self.samna.note("EventFilterGraph.sequential")
        self.nodes = list(nodes)
        return self.nodes

    def start(self) -> None:
        self.samna.note("EventFilterGraph.start")
        self.running = True

    def stop(self) -> None:
        self.samna.note("EventFilterGraph.stop")
        self.running = False


class PowerMonitor:
    """Says the power of every rail in bursts: several measurements with one timestamp."""

    def __init__(self, devkit: Devkit) -> None:
        self.devkit, self.samna, self.rate = devkit, devkit.samna, 0.0
        self.told = devkit.clock.now
        devkit.clock.wake.append(self.tell)

    def get_source_node(self) -> Port:
        return self.samna.noted("PowerMonitor.get_source_node", Port(self, "power"))

    def start_auto_power_measurement(self, rate: float) -> float:
        self.samna.note("PowerMonitor.start_auto_power_measurement")
        self.rate, self.told = rate, self.samna.clock.now
        return rate

    def stop_auto_power_measurement(self) -> None:
        self.samna.note("PowerMonitor.stop_auto_power_measurement")
        self.rate = 0.0

    def tell(self) -> None:
        now = self.samna.clock.now
        if not self.rate or now - self.told < 5 / self.rate:
            return
        for _ in range(min(int((now - self.told) * self.rate), 200)):
            for channel, mw in enumerate(RAILS_MW):
                event = Measurement()
                event.channel, event.value, event.timestamp = channel, mw / 1000, self.devkit.watch.us() % WRAP
                for sink in self.samna.sinks(self, "power"):
                    sink.arrived.append((now, event))
        self.told = now


NODES: Final = {
    "BasicSourceNode_speck2e_event_speck2e_input_event": SourceNode,
    "BasicSourceNode_speck2f_event_input_event": SourceNode,
    "BasicSinkNode_speck2e_event_output_event": SinkNode,
    "BasicSinkNode_speck2f_event_output_event": SinkNode,
    "BasicSinkNode_unifirm_modules_events_measurement": SinkNode,
}


class Samna:
    """The module samna. ``module`` is what `import samna` would give; ``devkits`` are those that were opened."""

    def __init__(
        self,
        traits: Traits = ASSUMED,
        device_type: str = "Speck2eDevKit",
        power: bool = True,
        version: str = "0.48.6",
    ) -> None:
        self.traits, self.device_type, self.has_power = traits, device_type, power
        self.clock = VirtualClock()
        self.used: set[str] = set()
        self.graphs: list[EventFilterGraph] = []
        self.devkits: list[Devkit] = []
        self.applied: list[Any] = []
        self.unplugged = False
        self.readout: Counter[int] = Counter()
        self.altered: Callable[[Any], Any] = lambda configuration: configuration
        self.info = SimpleNamespace(
            device_type_name=device_type, usb_bus_number=0, usb_device_address=3, serial_number="0042", logic_version=17
        )
        chip = SimpleNamespace(
            configuration=SimpleNamespace(SpeckConfiguration=self.maker("configuration", SpeckConfiguration)),
            event=SimpleNamespace(**{kind.__name__: kind for kind in EVENTS}),
            validate_configuration=lambda c: self.noted("speck2e.validate_configuration", validate_configuration(c)),
        )
        device = SimpleNamespace(
            get_all_devices=lambda: self.noted("device.get_all_devices", [] if self.unplugged else [self.info]),
            open_device=self.open,
            close_device=self.close,
        )
        self.module = SimpleNamespace(
            __version__=version,
            device=device,
            speck2e=chip,
            speck2f=chip,
            graph=SimpleNamespace(
                EventFilterGraph=lambda: self.noted("graph.EventFilterGraph", EventFilterGraph(self))
            ),
            **{name: self.node(name, kind) for name, kind in NODES.items()},
        )

    def note(self, name: str) -> None:
        self.used.add(name)

    def noted(self, name: str, value: Any) -> Any:
        self.note(name)
        return value

    def node(self, name: str, kind: Callable[[Samna], Any]) -> Callable[[], Any]:
        return lambda: self.noted(name, kind(self))

    def maker(self, name: str, kind: type[Struct]) -> Callable[[], Struct]:
        return lambda: self.noted(f"speck2e.{name}.{kind.__name__}", kind())

    def open(self, _info: Any) -> Devkit:
        self.note("device.open_device")
        if self.unplugged:
            raise RuntimeError("no device found")
        if not self.devkits or not self.devkits[-1].is_open:
            self.devkits.append(Devkit(self))
            if self.has_power:
                monitor = PowerMonitor(self.devkits[-1])
                self.devkits[-1].get_power_monitor = (  # type: ignore[attr-defined]
                    lambda: self.noted("Devkit.get_power_monitor", monitor)
                )
        return self.devkits[-1]

    def close(self, devkit: Devkit) -> None:
        self.note("device.close_device")
        devkit.check()
        devkit.is_open = False

    def sinks(self, device: Any, way: str) -> list[SinkNode]:
        """The sinks that a running graph connects to the port ``way`` of ``device``."""
        return [
            graph.nodes[-1]
            for graph in self.graphs
            if graph.running
            and isinstance(graph.nodes[0], Port)
            and graph.nodes[0].way == way
            and graph.nodes[0].device is device
        ]
