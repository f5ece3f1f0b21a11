"""A Speck in software for the stand-in of samna: it executes the configuration it is given, not the program behind it.

Written from the vendor's documents and apart from deploytool's engines: events are routed core by core through the
fields of the configuration. `Traits` change what the documents leave open, so that tests see other answers.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import numpy as np

Place: TypeAlias = tuple[int, int, int]
"""(feature, y, x)."""

ORDERS: Final[Mapping[str, Callable[[Place], Any]]] = MappingProxyType(
    {
        "row-major": lambda place: (place[1], place[2], place[0]),
        "features first": lambda place: (place[0], place[1], place[2]),
        "reversed": lambda place: (-place[1], -place[2], -place[0]),
    }
)
"""Orders of the spikes that one event causes in a core, as sort keys."""

READOUT, SPACING = 12, 4
"""The destination that is the readout layer, whose class i + 1 is fed by feature 4 i (erratum)."""

LOW, HIGH = -(1 << 15), (1 << 15) - 1


@dataclass(frozen=True)
class Traits:
    """How the silicon answers where the documents are silent; the defaults are what deploytool assumes.

    ``lanes`` {core: order} are cores with another ``order``. ``merge`` "late first" is the order of two sources of one
    core. ``loses_every`` drops every n-th input spike; ``keeps_state`` leaves the membranes as they are when a
    configuration is applied; ``writes_neurons`` is False for a board on which `WriteNeuronValue` has no effect.
    ``capacity`` is the number of events that wait on the board, more are lost; ``synops_per_s`` its speed.
    ``read_lag_s`` is how late the host sees an event. ``row_shift`` "y bits" is sinabs's address of a neuron.
    """

    fires: Literal[">=", ">"] = ">="
    overflow: Literal["saturates", "wraps", "is wider"] = "saturates"
    order: str = "row-major"
    lanes: Mapping[int, str] = field(default_factory=dict)
    merge: Literal["early first", "late first"] = "early first"
    monitored: str | None = None
    crop: Literal["after pooling", "before pooling"] = "after pooling"
    row_shift: Literal["x bits", "y bits"] = "x bits"
    hop_us: int = 1
    loses_every: int = 0
    keeps_state: bool = True
    writes_neurons: bool = True
    capacity: int | None = None
    synops_per_s: float | None = None
    read_lag_s: float = 0.0
    random_order: int | None = None
    leaks: bool = True


ASSUMED: Final = Traits()


class Core:
    """One convolution core that holds a configuration of its layer."""

    def __init__(self, layer: Any, traits: Traits, order: str) -> None:
        self.layer, self.traits, self.order = layer, traits, order
        self.weights = np.array(layer.weights, np.int64)  # [out][in][kx][ky]
        size = layer.dimensions.input_shape.size
        self.accepts = (layer.dimensions.input_shape.feature_count, size.y, size.x)
        out = layer.dimensions.output_shape
        self.shape = (out.feature_count, out.size.x, out.size.y)
        self.v = np.array(layer.neurons_initial_value, np.int64).reshape(self.shape)  # [feature][x][y]
        self.updates = self.fired = 0
        self.random = None if traits.random_order is None else np.random.default_rng(traits.random_order)

    def take(self, event: Place) -> list[Place]:
        """The spikes that ``event`` causes, in the core's order."""
        f, y, x = event
        dims, (_, width, height) = self.layer.dimensions, self.shape
        spikes: list[Place] = []
        for ky, kx in itertools.product(range(dims.kernel_size), repeat=2):
            ty, rest_y = divmod(y + dims.padding.y - ky, dims.stride.y)
            tx, rest_x = divmod(x + dims.padding.x - kx, dims.stride.x)
            if not rest_y and not rest_x and 0 <= ty < height and 0 <= tx < width:
                fired = self.add(tx, ty, self.weights[:, f, kx, ky])
                spikes += [(int(o), ty, tx) for o in np.flatnonzero(fired)]
        spikes.sort(key=ORDERS[self.order])
        if self.random is not None:
            self.random.shuffle(spikes)
        return [spike for spike in spikes if self.leaves()]

    def tick(self) -> list[Place]:
        """The spikes that a tick of the slow clock causes: it adds the bias of its feature to every neuron."""
        if not self.layer.leak_enable or not self.traits.leaks:
            return []
        biases, (_, width, height) = np.array(self.layer.biases), self.shape
        places = itertools.product(range(height), range(width))
        return [(int(o), y, x) for y, x in places for o in np.flatnonzero(self.add(x, y, biases)) if self.leaves()]

    def leaves(self) -> bool:
        """Whether the next spike passes the output decimator, whose counter is reset with the configuration only."""
        self.fired += 1
        return not self.layer.output_decimator_enable or self.fired % (2 << self.layer.output_decimator_interval) == 0

    def add(self, x: int, y: int, weights: np.ndarray) -> np.ndarray:
        """Adds ``weights`` (O,) at (x, y); which features fire."""
        layer = self.layer
        self.updates += len(weights)
        v = self.v[:, x, y] + weights
        if self.traits.overflow == "saturates":
            v = np.clip(v, LOW, HIGH)
        elif self.traits.overflow == "wraps":
            v = (v - LOW) % (1 << 16) + LOW
        v = np.maximum(v, layer.threshold_low)
        fired = v >= layer.threshold_high if self.traits.fires == ">=" else v > layer.threshold_high
        self.v[:, x, y] = np.where(fired, 0 if layer.return_to_zero else v - layer.threshold_high, v)
        return np.asarray(fired)

    def place(self, address: int) -> Place | None:
        """The neuron (feature, x, y) at ``address`` = y | x | feature, each of whole bits; None beyond the map."""
        features, width, height = self.shape
        feature_bits, x_bits, y_bits = ((n - 1).bit_length() for n in self.shape)
        shift = feature_bits + (x_bits if self.traits.row_shift == "x bits" else y_bits)
        y = address >> shift
        x = address >> feature_bits & (1 << x_bits) - 1
        f = address & (1 << feature_bits) - 1
        return (f, x, y) if f < features and x < width and y < height else None


class Chip:
    """All cores and the sensor's layer, running one configuration."""

    def __init__(self, configuration: Any, traits: Traits, before: Chip | None = None) -> None:
        self.configuration, self.traits = configuration, traits
        self.used = {i: layer for i, layer in enumerate(configuration.cnn_layers) if layer.dimensions.is_set()}
        self.cores = {i: Core(layer, traits, traits.lanes.get(i, traits.order)) for i, layer in self.used.items()}
        for i, core in self.cores.items():
            if traits.keeps_state and before is not None and i in before.cores:
                core.v.flat[:] = np.resize(before.cores[i].v, core.v.size)
        self.taken = 0
        self.readout: Counter[int] = Counter()
        self.depths = {i: self.depth(i) for i in self.cores}

    @property
    def updates(self) -> int:
        return sum(core.updates for core in self.cores.values())

    def depth(self, core: int) -> int:
        """The longest path of cores that leads to ``core``."""
        return max((1 + self.depth(i) for i in self.cores if core in self.targets(i)), default=0)

    def targets(self, core: int) -> list[int]:
        return [d.layer for d in self.used[core].destinations if d.enable]

    def spike(self, core: int, event: Place) -> list[tuple[int, Place]]:
        """The monitored spikes [(core, place)] that one input spike for ``core`` causes."""
        self.taken += 1
        if self.traits.loses_every and self.taken % self.traits.loses_every == 0:
            return []
        return self.run({core: [event]})

    def sensor_event(self, on: bool, y: int, x: int) -> list[tuple[int, Place]]:
        """The monitored spikes that an event of the pixel (y, x) causes through the sensor's layer."""
        dvs = self.configuration.dvs_layer
        if not (dvs.on_channel if on else dvs.off_channel):
            return []
        if self.traits.crop == "before pooling":
            inside = dvs.origin.x <= x <= dvs.cut.x and dvs.origin.y <= y <= dvs.cut.y
            x, y = (x - dvs.origin.x) // dvs.pooling.x, (y - dvs.origin.y) // dvs.pooling.y
        else:
            x, y = x // dvs.pooling.x, y // dvs.pooling.y
            inside = dvs.origin.x <= x <= dvs.cut.x and dvs.origin.y <= y <= dvs.cut.y
            x, y = x - dvs.origin.x, y - dvs.origin.y
        if not inside:
            return []
        if dvs.mirror.x:
            x = dvs.cut.x - dvs.origin.x - x
        if dvs.mirror.y:
            y = dvs.cut.y - dvs.origin.y - y
        if dvs.mirror_diagonal:
            x, y = y, x
        place = (0 if dvs.merge else int(on), y, x)
        return self.run({d.layer: [place] for d in dvs.destinations if d.enable})

    def tick(self) -> list[tuple[int, Place]]:
        """The monitored spikes that a tick of the slow clock causes."""
        return self.run({}, ticks=True)

    def run(self, arrived: Mapping[int, list[Place]], ticks: bool = False) -> list[tuple[int, Place]]:
        queues: dict[int, list[Place]] = defaultdict(list, {core: list(events) for core, events in arrived.items()})
        heard: list[tuple[int, Place]] = []
        late_first = self.traits.merge == "late first"
        for core in sorted(self.cores, key=lambda i: (self.depths[i], i)):
            layer, spikes = self.used[core], self.cores[core].tick() if ticks else []
            for event in queues[core]:
                if all(at < size for at, size in zip(event, self.cores[core].accepts, strict=True)):
                    spikes += self.cores[core].take(event)
            if layer.monitor_enable:
                order = self.traits.monitored
                heard += [(core, s) for s in (sorted(spikes, key=ORDERS[order]) if order else spikes)]
            for destination in (d for d in layer.destinations if d.enable):
                to = [
                    (f + destination.feature_shift, y // destination.pooling, x // destination.pooling)
                    for f, y, x in spikes
                ]
                queues[destination.layer] = (
                    [*to, *queues[destination.layer]]
                    if late_first
                    else [
                        *queues[destination.layer],
                        *to,
                    ]
                )
        if self.configuration.readout.enable:
            self.readout.update(f // SPACING + 1 for f, _, _ in queues[READOUT] if f % SPACING == 0)
        return heard
