"""The program: what is put on a target, and nothing else is.

`group` turns a Graph into a Program in float32; every later pass of `map/` takes a Program and returns one. The
simulator runs any Program, the emulator one that was mapped for a chip, and a board gets exactly the same.

What an event (feature c, row y, column x) does in a layer, for each output feature o and kernel position (ky, kx):
the target is ((y + p - ky d) / s, (x + p - kx d) / s), with padding p, dilation d and stride s, where both are whole
and inside the output map, and there

    V += w[o, c, ky, kx];   V = max(V, floor);   if V >= threshold: one spike, then V -= threshold (or V = 0)

(without ``at_most_one``, again until V < threshold; a reset to zero is one to ``v_reset``). In int8/int16 V saturates
at the ends of int16. Targets are visited row by row, column by column, feature by feature; their spikes leave in that
order. A route divides y and x by its pooling, adds its feature shift, and drops what falls outside the next layer's
input map.
Where several routes meet, spikes are taken in order of the input event that caused them, then of the routes: of
those of the input, then of each layer in turn.

Before the first event V = ``v_init``; a neuron that starts at or above its threshold fires with its first update.

Neurons with a `Leak` leak. Before an update at t_us that follows one at u_us (the first: the start),

    V = v_leak + (V - v_leak) exp(-(t_us - u_us) / (1000 tau_ms))

which is exact. Neurons with ``tau_syn_ms`` have a synaptic current I, 0 at the start, to which weights are added
instead of to V; then, with t for t_us - u_us in ms,

    V = v_leak + (V - v_leak) exp(-t / tau) + I (exp(-t / tau) - exp(-t / tau_syn)) tau_syn / (tau - tau_syn)
    I = I exp(-t / tau_syn)

All spikes that an input event causes are at its time. But with a synapse, or a v_leak that is not below the threshold,
V may reach it between two events: then the neuron fires at the first whole microsecond after its last update at which
V >= threshold. Of what happens at one time this comes first, in a layer row by row, column by column, feature by
feature, before what it causes there is taken.

A route may take time: a spike at t arrives at t + ``delay_us``, and what it causes there is at that time. Only such
routes may lead back. Of what happens at one time, crossings come first, then input events, then the spikes that arrive
late: in order of the layers they arrive at, then of the routes as above, then as they left. Each is taken through all
layers before the next one. So spikes may go on after the last input event, until the stream ends: what would arrive
later is lost.

The neurons of a layer may take events through several `Synapses`, as where a shortcut ends, each on an input map of
its own. The route of an event says through which; all events share one queue.

A layer that no core holds may be computed in parts, each with some of its output features, on a core of its own. Its
parts get the same spikes in the same order; what one of these causes leaves all parts as it would leave the layer.
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
from deploytool.ir.neurons import Neurons

Arithmetic: TypeAlias = Literal["float32", "int8/int16"]
WEIGHTS: Final[Mapping[Arithmetic, np.dtype[Any]]] = MappingProxyType(
    {"int8/int16": np.dtype(np.int8), "float32": np.dtype(np.float32)}
)
"""The type of the weights in each arithmetic."""

STATE: Final = np.iinfo(np.int16)
"""The range of V in int8/int16, where it saturates."""

SIMULATOR: Final = "simulator"
INPUT: Final = "input"


@dataclass(frozen=True)
class Route:
    """Where spikes go: layer ``to``, coordinates divided by ``pool`` (y, x), features moved up by ``feature_shift``.

    ``synapses`` is the number of those that they meet there. ``delay_us`` is how much later they arrive, 0 being at
    once; where the neurons that send them differ, one for each (C * H * W).
    """

    to: str
    pool: Pair = (1, 1)
    feature_shift: int = 0
    synapses: int = 0
    delay_us: int | tuple[int, ...] = 0

    def delays_us(self, shape: Shape) -> NDArray[np.int64]:
        """How late the spikes of each neuron on a map of ``shape`` arrive: (C, H, W)."""
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
    """Spikes of ``source`` that arrive late: flow ``number`` to layer ``to``, by ``route``."""

    to: str
    number: int
    source: str
    route: Route


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons, and the synapses through which spikes reach them.

    There are one or more ``synapses``, which `Route.synapses` numbers from 0; all end on the map of the neurons, and a
    layer on a chip has one. Potentials of the ``neurons`` are in the units of the weights, and integers where the
    arithmetic is. Arrays of thresholds stand for mismatch, which no chip holds; leaks are in float32 only. ``bias``
    (O,) or None. A real-valued weight is ``weights / scale``.
    ``sources`` are the graph nodes this layer was made from.
    ``part_of`` (logical layer, first feature) says of which layer it computes the features from there on.
    """

    synapses: tuple[Synapses, ...]
    neurons: Neurons
    routes: tuple[Route, ...] = ()
    bias: Array | None = None
    scale: float = 1.0
    sources: tuple[str, ...] = ()
    part_of: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", frozen(self.bias))

    @property
    def out_shape(self) -> Shape:
        """The map (O, H, W) of the neurons."""
        return self.synapses[0].out_shape

    @property
    def single(self) -> Synapses:
        """The synapses of a layer that has one set of them, as all on a chip have."""
        (synapses,) = self.synapses
        return synapses

    def with_single(self, **changes: Any) -> Self:
        """The same layer with ``changes`` to its only synapses."""
        return replace(self, synapses=(replace(self.single, **changes),))

    def memory(self, features: int | None = None) -> Memory:
        """What the layer takes of a core of a chip, or as many output ``features`` of it."""
        synapses = self.single
        out_shape = synapses.out_shape if features is None else (features, *synapses.out_shape[1:])
        return memory_of(synapses.in_shape[0], out_shape, synapses.kernel, self.bias is not None)


@dataclass(frozen=True, eq=False)
class Program:
    """Layers in topological order, but for routes that take time, and where they sit.

    ``chip`` is the name of a chip or "simulator"; ``core_of`` gives each layer's core once placed, and is empty before.
    ``outputs`` names the layers whose spikes are the answer; ``graph_digest`` the network this came from.
    """

    chip: str
    arithmetic: Arithmetic
    input_shape: Shape
    input_routes: tuple[Route, ...]
    layers: Mapping[str, Layer]
    outputs: tuple[str, ...]
    graph_digest: str
    core_of: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        object.__setattr__(self, "core_of", MappingProxyType(dict(self.core_of)))
        later: set[str] = set()
        for name, layer in reversed(tuple(self.layers.items())):
            reached = {route.to for route in layer.routes if not route.delay_us}
            if unknown := sorted(reached - later) + sorted({route.to for route in layer.routes} - self.layers.keys()):
                raise InputError(f"layer {name!r}", f"feeds {unknown[0]!r}", "a layer that comes after it, or a delay")
            later.add(name)
        self._check_parts()

    @cached_property
    def digest(self) -> str:
        return digest(self)

    def with_layers(self, layers: Mapping[str, Layer], **changes: Any) -> Self:
        """The same program with other layers (and other ``changes``)."""
        return replace(self, layers=layers, **changes)

    def feeders(self, name: str) -> tuple[tuple[str, Route], ...]:
        """(layer or "input", route) for every route that leads to ``name``, in order of the layers."""
        sources = [(INPUT, self.input_routes), *((key, layer.routes) for key, layer in self.layers.items())]
        return tuple((key, route) for key, routes in sources for route in routes if route.to == name)

    @cached_property
    def delayed(self) -> tuple[Delayed, ...]:
        """The flows of spikes that take time: layer by layer that they lead to, each in the order of `inflows`."""
        return tuple(
            Delayed(name, number, source, route)
            for name in self.layers
            for number, (source, routes) in enumerate(self.inflows(name))
            for route in routes.values()
            if route.delay_us
        )

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """{logical layer: the layers that compute it, by rising features}; a layer that is no part is its own."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.layers:
            logical, _ = self.place_in(name)
            found[logical] = (*found.get(logical, ()), name)
        return MappingProxyType(found)

    def place_in(self, name: str) -> tuple[str, int]:
        """(logical layer, first feature) of layer ``name`` (or of "input"): itself and 0 where it is no part."""
        return (name, 0) if name == INPUT else self.layers[name].part_of or (name, 0)

    def inflows(self, name: str) -> tuple[tuple[str, Mapping[str, Route]], ...]:
        """(logical layer or "input", {part of it: route}) for every flow of spikes to ``name``, in order of the layers.

        The first routes to ``name`` of all parts of a logical layer carry one flow, the second ones another.
        """
        flows: dict[tuple[str, int], dict[str, Route]] = {}
        for source, route in self.feeders(name):
            logical, _ = self.place_in(source)
            number = sum(source in routes for (other, _), routes in flows.items() if other == logical)
            flows.setdefault((logical, number), {})[source] = route
        return tuple((logical, routes) for (logical, _), routes in flows.items())

    def map_of(self, name: str) -> Shape:
        """The shape (C, H, W) on which spikes of a layer, a logical layer or "input" live, before any pooling."""
        if name == INPUT:
            return self.input_shape
        if name in self.layers:
            return self.layers[name].out_shape
        maps = [self.layers[part].out_shape for part in self.parts[name]]
        return (sum(features for features, _, _ in maps), *maps[0][1:])

    def _check_parts(self) -> None:
        """Raises InputError unless the parts of every logical layer follow one another and share its features."""
        names = list(self.layers)
        for logical, parts in self.parts.items():
            starts = [self.place_in(part)[1] for part in parts]
            ends = list(itertools.accumulate(self.layers[part].out_shape[0] for part in parts))
            together = names[names.index(parts[0]) :][: len(parts)] == list(parts)
            one_map = len({self.layers[part].out_shape[1:] for part in parts}) == 1
            alone = len(parts) == 1 or logical not in self.layers
            if starts != [0, *ends[:-1]] or not (together and one_map and alone):
                found = ", ".join(f"{part} from feature {start}" for part, start in zip(parts, starts, strict=True))
                raise InputError(f"layer {logical!r}", f"parts {found}", "parts in a row, side by side from feature 0")
