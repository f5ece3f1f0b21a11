"""The history of one neuron in two runs: its constants and its input events, in exact numbers of one unit.

Both runs may have their own scale and arithmetic. A potential of real value r = n / scale becomes the integer r * U,
with a U that makes the values of both runs integers. So a property of one run can be put into the other without
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.cell import Cell, Moment, Number, cell_at
from deploytool.ir.divergence import Place
from deploytool.ir.events import at_neurons
from deploytool.ir.program import CLOCK, STATE, Layer, Program, Synapses
from deploytool.ir.traffic import Traffic

At: TypeAlias = tuple[int, int, int]
"""(feature, row, column)."""

BITS: Final = 16
MASK: Final = (1 << BITS) - 1
"""A position on a map is one number: feature, row and column of so many bits each."""

FRACTION_BITS: Final = 200
"""Bits after the point of an exact number, enough for every float32 and for a float64 of usual size."""


@dataclass(frozen=True)
class Replay:
    """The dynamics of one neuron, which only `deploytool.run.reference.neuron` computes.

    ``events(cell, times_us, weights, end_us)`` and ``steps(cell, times_us, weights of each step)`` return its updates.
    """

    events: Callable[[Cell, Sequence[int], Sequence[Number], int], list[Moment]]
    steps: Callable[[Cell, Sequence[int], Sequence[Sequence[Number]]], list[Moment]]


@dataclass(frozen=True, eq=False)
class Inputs:
    """The N input events of one neuron in one run, in order. ``identity`` (N, 3) is (t_us, flow, position) of each.

    The position is that on the input map, as one number. ``causes`` (N,) and ``senders`` (N,) are as in `Arrivals`.
    """

    causes: NDArray[np.int64]
    identity: NDArray[np.int64]
    senders: NDArray[np.int64]

    @property
    def places(self) -> Array:
        """(N, 3): the positions on the input map."""
        position = self.identity[:, 2]
        return np.stack([position >> 2 * BITS, position >> BITS & MASK, position & MASK], axis=1)

    @property
    def times_us(self) -> list[int]:
        """The time of each event."""
        found: list[int] = self.identity[:, 0].tolist()
        return found

    def until(self, t_us: int) -> Inputs:
        """The events up to and including ``t_us``."""
        return self.at(slice(int(np.searchsorted(self.identity[:, 0], t_us, side="right"))))

    def at(self, chosen: Any) -> Inputs:
        """The ``chosen`` events: indices or a slice."""
        return Inputs(self.causes[chosen], self.identity[chosen], self.senders[chosen])


@dataclass(frozen=True, eq=False)
class Subject:
    """Neuron ``at`` of logical layer ``layer`` in a ``program``; ``per_native`` exact units make 1 of its own unit.

    ``unit`` exact units make 1 in real units.
    """

    program: Program
    layer: str
    at: At
    per_native: int
    unit: int

    @property
    def part(self) -> tuple[Layer, At]:
        """The part of the layer that has the neuron, and the neuron's place in it."""
        name, start = next(
            (part, start)
            for part in self.program.parts[self.layer]
            if (start := self.program.place_in(part)[1]) <= self.at[0] < start + self.program.map_of(part)[0]
        )
        return self.program.layers[name], (self.at[0] - start, *self.at[1:])

    @property
    def cell(self) -> Cell:
        """The constants of the neuron in exact numbers; a floor at the end of int16 is none."""
        layer, at = self.part
        native = cell_at(layer, at, self.program.arithmetic)
        numbers = replace(native.numbers, unit=self.per_native)
        return Cell(
            numbers=numbers,
            threshold=numbers.of(float(native.threshold)),
            floor=None if _no_floor(native) else numbers.of(float(native.floor or 0)),
            v_init=numbers.of(float(native.v_init)),
            v_reset=numbers.of(float(native.v_reset)),
            reset=native.reset,
            at_most_one=native.at_most_one,
            leak=native.leak and replace(native.leak, v_leak=numbers.of(float(native.leak.v_leak))),
            looks_ahead=native.looks_ahead,
        )

    @property
    def inflows(self) -> tuple[tuple[str, int], ...]:
        """(logical layer or "input", index of the synapses) of every flow of spikes to the neuron.

        The last one is the slow clock, whose synapses are the bias.
        """
        flows = self.program.inflows(self.program.parts[self.layer][0])
        sources = tuple((source, next(iter(routes.values())).synapses) for source, routes in flows)
        return (*sources, (CLOCK, len(self.part[0].synapses)))

    def inputs(self, traffic: Traffic, other: Subject) -> Inputs:
        """The input events of the neuron in ``traffic``, where ``other`` is the same neuron in the other run.

        Left out are events that bring a weight of 0 and do not reach ``other``: a chip's kernel may be padded with 0.
        """
        arrivals = traffic.arrivals[self.layer]
        c, y, x = arrivals.places.astype(np.int64).T
        identity = np.stack([arrivals.times_us, arrivals.flows, c << 2 * BITS | y << BITS | x], axis=1)
        met = Inputs(arrivals.causes, identity, arrivals.senders)
        met = met.at(np.flatnonzero(self._taps(met)[0] >= 0))
        return met.at(np.flatnonzero((np.array(self.weights(met)) != 0) | (other._taps(met)[0] >= 0)))

    def weights(self, inputs: Inputs) -> list[int]:
        """The exact weight of each of ``inputs``; 0 for those that do not reach the neuron."""
        layer, (o, _, _) = self.part
        known: dict[tuple[int, ...], int] = {}
        for tap in set(taps := self.taps(inputs)):
            number, channel, ky, kx = tap
            native = 0.0
            if number == len(layer.synapses):
                native = 0.0 if layer.bias is None else float(layer.bias[o])
            elif number >= 0:
                native = float(layer.synapses[number].weights[o, channel, ky, kx])
            numerator, denominator = native.as_integer_ratio()
            known[tap] = numerator * self.per_native // denominator
        return [known[tap] for tap in taps]

    def taps(self, inputs: Inputs) -> list[tuple[int, ...]]:
        """(synapses, channel, kernel row, kernel column) of the weight of each of ``inputs``; -1 where none."""
        return [tuple(tap) for tap in self._taps(inputs).T.tolist()]

    def _taps(self, inputs: Inputs) -> Array:
        """(4, N): synapses, channel, kernel row and kernel column of the weight of each input; -1 where none."""
        layer, at = self.part
        met = np.array([number for _, number in self.inflows])[inputs.identity[:, 1]]
        taps = np.full((4, len(met)), -1)
        for number, synapses in enumerate(layer.synapses):
            here = np.flatnonzero(met == number)
            taps[:, here] = _tap(synapses, inputs.places[here], at, number)
        taps[0, met == len(layer.synapses)] = len(layer.synapses)
        return taps

    def sender(self, inputs: Inputs, index: int) -> Place:
        """The neuron or pixel that sent input event ``index``; a relay counts as a neuron of its own."""
        source = self.inflows[int(inputs.identity[index, 1])][0]
        event = at_neurons(np.array([0]), inputs.senders[index : index + 1], self.program.map_of(source))[0]
        return Place(source, int(event["c"]), int(event["y"]), int(event["x"]))

    def real(self, value: Number) -> float:
        """``value`` in real units."""
        return value / self.unit


def _no_floor(cell: Cell) -> bool:
    """Whether V has no floor: an integer floor at the end of int16 is none."""
    return cell.floor is None or (cell.numbers.kind == "int16" and cell.floor == STATE.min)


def _tap(synapses: Synapses, places: Array, at: At, number: int) -> Array:
    """(4, N): (``number``, channel, kernel row, kernel column) for events at ``places`` (N, 3), or -1."""
    o, *target = at
    outputs, per_group = synapses.weights.shape[0] // synapses.groups, synapses.weights.shape[1]
    reached = places[:, 0] // per_group == o // outputs
    found = [np.full(len(places), number), places[:, 0] % per_group]
    for axis in (0, 1):
        offset = places[:, 1 + axis] + synapses.padding[axis] - target[axis] * synapses.stride[axis]
        k, rest = np.divmod(offset, synapses.dilation[axis])
        reached &= (rest == 0) & (k >= 0) & (k < synapses.kernel[axis])
        found.append(k)
    return np.where(reached, np.stack(found), -1)


def subjects(one: Traffic, other: Traffic, layer: str, at: At) -> tuple[Subject, Subject]:
    """Neuron ``at`` of ``layer`` in both runs, with one unit."""
    ratios = [_scale(traffic.program, layer, at).as_integer_ratio() for traffic in (one, other)]
    (p_one, q_one), (p_other, q_other) = ratios
    bits = 1 << FRACTION_BITS
    unit = p_one * p_other * bits
    return (
        Subject(one.program, layer, at, q_one * p_other * bits, unit),
        Subject(other.program, layer, at, q_other * p_one * bits, unit),
    )


def _scale(program: Program, layer: str, at: At) -> float:
    return Subject(program, layer, at, 1, 1).part[0].scale


def comparable(one: Program, other: Program, layer: str) -> bool:
    """Whether ``layer`` has the same map in both programs, and gets spikes from the same places."""
    flows = [
        [(origin(program, source), number) for source, number in Subject(program, layer, (0, 0, 0), 1, 1).inflows]
        for program in (one, other)
    ]
    if flows[0] != flows[1] or one.map_of(layer) != other.map_of(layer):
        return False
    return all(one.map_of(source) == other.map_of(source) for source, _ in flows[0])


def origin(program: Program, name: str) -> str:
    """The logical layer (or "input") whose spikes ``name`` passes on, if it is a relay; otherwise ``name``."""
    while name in program.parts and _is_relay(program, name):
        ((name, _),) = program.inflows(name)
    return name


def _is_relay(program: Program, name: str) -> bool:
    """Whether the neurons of ``name`` fire once for every spike of one other layer."""
    if len(program.parts[name]) > 1 or len(program.inflows(program.parts[name][0])) != 1:
        return False
    layer = program.layers[program.parts[name][0]]
    weights, thresholds = layer.synapses[0].weights, layer.neurons.threshold
    same = weights.shape[0] == weights.shape[1] and weights.shape[2:] == (1, 1) and np.all(thresholds == 1)
    return bool(same and np.array_equal(weights[:, :, 0, 0], np.eye(len(weights))))
