"""The program: everything that is put on a target.

`group` turns a Graph into a Program in float32; each later pass of `map/` takes a Program and returns a Program. The
simulator runs any Program. The emulator runs Programs mapped for a chip, and a board runs exactly the same Programs.

An event (feature c, row y, column x) updates a layer as follows. For each output feature o and kernel position
(ky, kx), the target is ((y + p - ky d) / s, (x + p - kx d) / s), with padding p, dilation d and stride s, if both are
whole numbers inside the output map. There

    V += w[o, c, ky, kx];   V = max(V, floor);   if V >= threshold: one spike, then V -= threshold (or V = 0)

(without ``at_most_one``, repeated until V < threshold; reset "zero" sets V to ``v_reset``). In int8/int16 V saturates
at the limits of int16. Targets are visited row by row, column by column, feature by feature, and spike in that order.
A route divides y and x by its pooling, adds its feature shift, and drops events outside the next layer's input map.
If several routes lead to one layer, spikes are processed in the order of the input events that caused them, then in
the order of the routes: the routes of the input first, then those of each layer in turn.

Before the first event V = ``v_init``. A neuron that starts at or above its threshold fires at its first update.

Neurons with a `Leak` leak. Before an update at t_us, where the previous update (or the start) was at u_us,

    V = v_leak + (V - v_leak) exp(-(t_us - u_us) / (1000 tau_ms))

which is exact. Neurons with ``tau_syn_ms`` have a synaptic current I, which is 0 at the start. Weights are added to I
instead of V, and with t = t_us - u_us in ms,

    V = v_leak + (V - v_leak) exp(-t / tau) + I (exp(-t / tau) - exp(-t / tau_syn)) tau_syn / (tau - tau_syn)
    I = I exp(-t / tau_syn)

All spikes caused by an input event have the time of that event. With a synaptic current, or a v_leak that is not below
the threshold, V may also reach the threshold between two events. The neuron then fires at the first whole microsecond
after its last update at which V >= threshold. Such spikes precede everything else at the same time. Within a layer they
are ordered row by row, column by column, feature by feature, and all of them precede their consequences.

A route may have a delay: a spike at t arrives at t + ``delay_us``, and the spikes it causes have that time. Only such
routes may lead back. Events at the same time are processed in this order: threshold crossings between events, a tick of
the slow clock, input events, delayed spikes. Delayed spikes are ordered by the layer they arrive at, then by route as
above, then by the order in which they left. Each event passes through all layers before the next one. Spikes can
therefore continue after the last input event, until the stream ends; spikes that would arrive later are lost.

A layer with a bias needs a slow clock, ``slow_clock_hz``. Tick k = 1, 2, ... of the clock is at floor(k 10^6 / hz) us
after the start of a sample, and no tick is at or after its end. At a tick, every neuron of the layer is updated once,
as by an event whose weight is the bias of its feature: V += bias, then floor, threshold and one spike as above. Within
a layer, neurons are updated row by row, column by column, feature by feature. The spikes precede their consequences: a
layer takes its own tick before spikes that the same tick caused in others. No source confirms the order and the phase
of ticks, that a tick itself makes neurons fire, nor that this includes neurons whose bias is 0.

A layer with an output decimator of n lets only every nth spike leave its core: the first n - 1 are lost, the nth
passes, and so on, in the order in which the core's neurons fire. Only spikes that leave are counted and recorded. The
counter is 0 at the start of a sample. A part of a split layer has a core, and so a counter, of its own. A relay, which
passes spikes on to more cores, has neither decimator nor bias. No source confirms which of n spikes passes, nor that
the counter can be reset.

A layer with a congestion balancer loses the events that arrive while its core is busy. This is a model with one
parameter: an event that causes n synaptic updates keeps the core busy for n / ``balancer`` seconds from its time on. An
event at a time before that end is lost, also at the time of the event before it. Ticks pass and take no time. A core is
idle at the start of a sample, and a part of a split layer has a balancer of its own. The chip has a buffer of unknown
size before the balancer, and its speed is not published.

A layer may have several `Synapses`, for example at the end of a shortcut, each with its own input map. The route of an
event selects the synapses; all events share one queue.

A layer that fits no core may be split into parts, each with some of its output features and on its own core. All parts
get the same spikes in the same order, and their output spikes are ordered as those of the whole layer would be.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Pair, Shape, frozen
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.chip.memory import Memory, memory_of
from deploytool.ir.decoder import Decoder
from deploytool.ir.neurons import Neurons

Arithmetic: TypeAlias = Literal["float32", "int8/int16"]
WEIGHTS: Final[Mapping[Arithmetic, np.dtype[Any]]] = MappingProxyType(
    {"int8/int16": np.dtype(np.int8), "float32": np.dtype(np.float32)}
)
"""The dtype of the weights in each arithmetic."""

BIASES: Final[Mapping[Arithmetic, np.dtype[Any]]] = MappingProxyType(
    {"int8/int16": np.dtype(np.int16), "float32": np.dtype(np.float32)}
)
"""The dtype of the biases in each arithmetic."""

SECOND_US: Final = 1_000_000

STATE: Final = np.iinfo(np.int16)
"""The range of V in int8/int16; V saturates at its limits."""

SIMULATOR: Final = "simulator"
INPUT: Final = "input"
CLOCK: Final = "slow clock"
"""The name of the slow clock among the sources of spikes."""


def ticks_before(hz: int, end_us: int) -> NDArray[np.int64]:
    """(N,): the times in us before ``end_us`` of the ticks of a slow clock of ``hz``, from the start of a sample."""
    number = -(-end_us * hz // SECOND_US)
    ticks: NDArray[np.int64] = np.arange(1, number + 1, dtype=np.int64) * SECOND_US // hz
    return ticks[ticks < end_us]


@dataclass(frozen=True)
class Route:
    """A connection to layer ``to``: coordinates are divided by ``pool`` (y, x), ``feature_shift`` is added to features.

    ``synapses`` is the index of the synapses of layer ``to`` that receive the spikes. ``delay_us`` is the delay, 0 for
    none; one number, or (C * H * W) values if it differs between the sending neurons.
    """

    to: str
    pool: Pair = (1, 1)
    feature_shift: int = 0
    synapses: int = 0
    delay_us: int | tuple[int, ...] = 0

    def delays_us(self, shape: Shape) -> NDArray[np.int64]:
        """(C, H, W): the delay of each neuron on a map of ``shape``."""
        delays = np.array(self.delay_us, np.int64)
        return delays.reshape(shape) if delays.ndim else np.full(shape, delays)


@dataclass(frozen=True, eq=False)
class Synapses:
    """Weights (O, I / groups, KH, KW), int8 or float32, between maps of ``in_shape`` (I, H, W) and ``out_shape``."""

    weights: Array
    in_shape: Shape
    out_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen(self.weights))

    @property
    def kernel(self) -> Pair:
        return self.weights.shape[2], self.weights.shape[3]


class Delayed(NamedTuple):
    """Delayed spikes of ``source``: flow ``number`` to layer ``to``, by ``route``."""

    to: str
    number: int
    source: str
    route: Route


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons, and the synapses that connect to them.

    There are one or more ``synapses``, which `Route.synapses` indexes from 0. All have the neurons' map as output map;
    a layer on a chip has one. Potentials of the ``neurons`` are in the units of the weights, and are integers in
    integer arithmetic. Arrays of thresholds model mismatch, and chips have none; leaks exist in float32 only. ``bias``
    (O,) is added at every tick of the slow clock, None if the layer has none. One in ``decimation`` spikes leaves the
    core. ``balancer`` is the speed of the core in SynOps per second if its congestion balancer is on, otherwise None. A
    real-valued weight is ``weights / scale``.
    ``sources`` are the graph nodes this layer was made from.
    ``part_of`` (logical layer, first feature) is set for a part: it computes the features of that layer from there on.
    """

    synapses: tuple[Synapses, ...]
    neurons: Neurons
    routes: tuple[Route, ...] = ()
    bias: Array | None = None
    scale: float = 1.0
    sources: tuple[str, ...] = ()
    part_of: tuple[str, int] | None = None
    decimation: int = 1
    balancer: int | None = None

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", frozen(self.bias))

    @property
    def out_shape(self) -> Shape:
        """The map (O, H, W) of the neurons."""
        return self.synapses[0].out_shape

    @property
    def single(self) -> Synapses:
        """The only synapses of a layer. Every layer on a chip has exactly one set."""
        (synapses,) = self.synapses
        return synapses

    def with_single(self, **changes: Any) -> Self:
        """A copy with ``changes`` to its only synapses."""
        return replace(self, synapses=(replace(self.single, **changes),))

    def memory(self, features: int | None = None) -> Memory:
        """The memory that the layer, or a part with ``features`` output features, needs on a core."""
        synapses = self.single
        out_shape = synapses.out_shape if features is None else (features, *synapses.out_shape[1:])
        return memory_of(synapses.in_shape[0], out_shape, synapses.kernel, self.bias is not None)


@dataclass(frozen=True, eq=False)
class Program:
    """Layers in topological order (ignoring delayed routes), and their placement on cores.

    ``chip`` is the name of a chip or "simulator". ``core_of`` {layer: core} is empty until the program is placed.
    ``outputs`` are the layers whose spikes are the network's output; ``graph_digest`` identifies the source network.
    ``slow_clock_hz`` is the frequency of the slow clock, None if the program needs none. ``decoder`` reads values from
    the output, None if it is a class; it is no part of what is put on a target.
    """

    chip: str
    arithmetic: Arithmetic
    input_shape: Shape
    input_routes: tuple[Route, ...]
    layers: Mapping[str, Layer]
    outputs: tuple[str, ...]
    graph_digest: str
    core_of: Mapping[str, int] = field(default_factory=dict)
    slow_clock_hz: int | None = None
    decoder: Decoder | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        object.__setattr__(self, "core_of", MappingProxyType(dict(self.core_of)))
        later: set[str] = set()
        for name, layer in reversed(tuple(self.layers.items())):
            reached = {route.to for route in layer.routes if not route.delay_us}
            if unknown := sorted(reached - later) + sorted({route.to for route in layer.routes} - self.layers.keys()):
                raise InputError(f"layer {name!r}", f"feeds {unknown[0]!r}", "a later layer, or a route with a delay")
            later.add(name)
        self._check_parts()

    @cached_property
    def digest(self) -> str:
        return digest(self)

    def with_layers(self, layers: Mapping[str, Layer], **changes: Any) -> Self:
        """A copy with other layers (and other ``changes``)."""
        return replace(self, layers=layers, **changes)

    def feeders(self, name: str) -> tuple[tuple[str, Route], ...]:
        """(layer or "input", route) for every route to ``name``, in layer order."""
        return self._feeders.get(name, ())

    @cached_property
    def _feeders(self) -> Mapping[str, tuple[tuple[str, Route], ...]]:
        """{layer: its `feeders`}, of the layers that have any."""
        found: dict[str, list[tuple[str, Route]]] = {}
        for key, routes in [(INPUT, self.input_routes), *((key, layer.routes) for key, layer in self.layers.items())]:
            for route in routes:
                found.setdefault(route.to, []).append((key, route))
        return {name: tuple(feeders) for name, feeders in found.items()}

    @cached_property
    def biased(self) -> tuple[str, ...]:
        """The layers that take the ticks of the slow clock: the parts of logical layers with a bias other than 0."""
        return tuple(
            name
            for parts in self.parts.values()
            if any(bias is not None and bias.any() for bias in (self.layers[part].bias for part in parts))
            for name in parts
        )

    def ticks_us(self, duration_us: int) -> NDArray[np.int64]:
        """(N,): the ticks of the slow clock that matter in a sample of ``duration_us``; none without a bias."""
        if self.slow_clock_hz is None or not self.biased:
            return np.empty(0, np.int64)
        return ticks_before(self.slow_clock_hz, duration_us)

    @cached_property
    def delayed(self) -> tuple[Delayed, ...]:
        """The delayed flows of spikes, ordered by the layer they lead to, then as in `inflows`."""
        return tuple(
            Delayed(name, number, source, route)
            for name in self.layers
            for number, (source, routes) in enumerate(self.inflows(name))
            for route in routes.values()
            if route.delay_us
        )

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """{logical layer: its parts by rising first feature}; a layer that is not split is its own part."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.layers:
            logical, _ = self.place_in(name)
            found[logical] = (*found.get(logical, ()), name)
        return MappingProxyType(found)

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """{graph node: logical layer made from it}."""
        names = {source: self.place_in(name)[0] for name, layer in self.layers.items() for source in layer.sources}
        return MappingProxyType(names)

    def place_in(self, name: str) -> tuple[str, int]:
        """(logical layer, first feature) of layer ``name`` or "input"; (``name``, 0) if it is not a part."""
        return (name, 0) if name == INPUT else self.layers[name].part_of or (name, 0)

    def inflows(self, name: str) -> tuple[tuple[str, Mapping[str, Route]], ...]:
        """(logical layer or "input", {part of it: route}) for every flow of spikes to ``name``, in layer order.

        The first routes to ``name`` of all parts of a logical layer form one flow, the second routes another.
        """
        flows: dict[tuple[str, int], dict[str, Route]] = {}
        for source, route in self.feeders(name):
            logical, _ = self.place_in(source)
            number = sum(source in routes for (other, _), routes in flows.items() if other == logical)
            flows.setdefault((logical, number), {})[source] = route
        return tuple((logical, routes) for (logical, _), routes in flows.items())

    def map_of(self, name: str) -> Shape:
        """The shape (C, H, W) of the spikes of a layer, a logical layer, "input" or the slow clock, before pooling."""
        if name == INPUT:
            return self.input_shape
        if name == CLOCK:
            return (1, 1, 1)
        if name in self.layers:
            return self.layers[name].out_shape
        maps = [self.layers[part].out_shape for part in self.parts[name]]
        return (sum(features for features, _, _ in maps), *maps[0][1:])

    def _check_parts(self) -> None:
        """Raises InputError unless the parts of every logical layer are consecutive and cover its features once."""
        names = list(self.layers)
        place = {name: number for number, name in enumerate(names)}
        for logical, parts in self.parts.items():
            starts = [self.place_in(part)[1] for part in parts]
            ends = list(itertools.accumulate(self.layers[part].out_shape[0] for part in parts))
            together = names[place[parts[0]] : place[parts[0]] + len(parts)] == list(parts)
            one_map = len({self.layers[part].out_shape[1:] for part in parts}) == 1
            alone = len(parts) == 1 or logical not in self.layers
            if starts != [0, *ends[:-1]] or not (together and one_map and alone):
                found = ", ".join(f"{part} from feature {start}" for part, start in zip(parts, starts, strict=True))
                raise InputError(
                    f"layer {logical!r}", f"parts {found}", "consecutive parts from feature 0 without gaps"
                )
