"""One neuron and its history: the constants that its dynamics need, and each update of its membrane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.neurons import Leak, Reset
from deploytool.ir.program import STATE, Arithmetic, Layer

Number: TypeAlias = int | float


@dataclass(frozen=True)
class Numbers:
    """How a potential is kept: in ``kind``, as the number itself, or (``unit`` set) as an exact multiple of 1 / unit.

    With a ``unit``, every potential is a Python integer. Neurons of different scales and arithmetics can then be mixed
    without rounding: two units are chosen so that the real values of both are integers.
    """

    kind: Literal["int16", "float32"]
    unit: int | None = None

    def settle(self, v: Number) -> Number:
        """``v`` as the core or the simulator keeps it: saturated at the limits of int16, or rounded to float32."""
        if self.kind == "int16":
            return min(max(v, STATE.min * (self.unit or 1)), STATE.max * (self.unit or 1))
        return self.of(float(np.float32(self.real(v))))

    def real(self, v: Number) -> float:
        """``v`` in the unit of the weights."""
        return float(v) if self.unit is None else v / self.unit

    def of(self, value: float) -> Number:
        """The potential that stands for ``value`` in the unit of the weights."""
        if self.unit is None:
            return value
        numerator, denominator = value.as_integer_ratio()
        return numerator * self.unit // denominator


@dataclass(frozen=True)
class CellLeak:
    """The leak of one neuron: V decays to ``v_leak`` with ``tau_us``, I with ``tau_syn_us`` (0: there is no I)."""

    tau_us: float
    v_leak: Number
    tau_syn_us: float


@dataclass(frozen=True)
class Cell:
    """The constants of one neuron, as `deploytool.ir.neurons.Neurons` has them for a map; potentials as ``numbers``.

    ``looks_ahead``: the neuron can reach its threshold between two inputs.
    """

    numbers: Numbers
    threshold: Number
    floor: Number | None
    v_init: Number
    v_reset: Number
    reset: Reset
    at_most_one: bool
    leak: CellLeak | None = None
    looks_ahead: bool = False


class Moment(NamedTuple):
    """One update of a membrane at ``t_us`` by ``arrival``, the index of an input event (-1: a crossing between events).

    V is ``before`` the input, ``after`` it; then the neuron fires ``spikes`` times, and V is ``end``.
    """

    arrival: int
    t_us: int
    before: Number
    after: Number
    spikes: int
    end: Number


def cell_at(layer: Layer, place: tuple[int, int, int], arithmetic: Arithmetic) -> Cell:
    """The cell of the neuron at ``place`` (feature, row, column) of ``layer``, its numbers as the run keeps them."""
    neurons = layer.neurons
    numbers = Numbers("float32" if arithmetic == "float32" else "int16")

    def number(value: float | Array) -> Number:
        one = value[place].item() if isinstance(value, np.ndarray) else value
        return float(np.float32(one)) if numbers.kind == "float32" else int(one)

    return Cell(
        numbers=numbers,
        threshold=number(neurons.threshold),
        floor=None if neurons.floor is None or neurons.floor == -math.inf else number(neurons.floor),
        v_init=number(neurons.v_init),
        v_reset=number(neurons.v_reset),
        reset=neurons.reset,
        at_most_one=neurons.at_most_one,
        leak=_leak_at(neurons.leak, place),
        looks_ahead=neurons.fires_between,
    )


def _leak_at(leak: Leak | None, place: tuple[int, int, int]) -> CellLeak | None:
    if leak is None:
        return None
    tau_ms, v_leak, tau_syn_ms = (
        float(value[place] if isinstance(value, np.ndarray) else value or 0.0)
        for value in (leak.tau_ms, leak.v_leak, leak.tau_syn_ms)
    )
    return CellLeak(1000 * tau_ms, v_leak, 1000 * tau_syn_ms)
