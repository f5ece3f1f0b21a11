"""The dynamics of one neuron: the part of the specification that everything else is compared with.

Leaks are computed in float64 (exponential.py, crossings.py); V and I are rounded to float32 once per decay and once per
update. The numbers are those of `deploytool.ir.cell.Numbers`, so that the same few lines run in the chip's integers, in
float32, and exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploytool.ir.cell import Cell, Moment, Number, Numbers
from deploytool.run.reference.crossings import NEVER, first_crossing, response
from deploytool.run.reference.exponential import remains


class Neuron:
    """The neuron of ``cell`` at rest: V = v_init at time 0, and I = 0."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.numbers = cell, cell.numbers
        self.v: Number = cell.v_init
        self.current: Number = self.numbers.of(0.0)
        self.updated_us = 0
        self.crossing_us = NEVER
        self._look_ahead()

    def add(self, weight: Number, t_us: int) -> bool:
        """Advances the neuron to ``t_us`` and adds ``weight``; returns whether V reaches the threshold."""
        cell = self.cell
        self.decay(t_us)
        if cell.leak is not None and cell.leak.tau_syn_us:
            self.current = self.numbers.settle(self.current + weight)
        else:
            self.v = self.numbers.settle(self.v + weight)
        if cell.floor is not None and self.v < cell.floor:
            self.v = cell.floor
        self._look_ahead()
        return self.v >= cell.threshold

    def fire(self) -> int:
        """The number of spikes that the neuron fires now."""
        cell, spikes = self.cell, 0
        while self.v >= cell.threshold:
            spikes += 1
            self.v = self.numbers.settle(self.v - cell.threshold) if cell.reset == "subtract" else cell.v_reset
            if cell.at_most_one:
                break
        if spikes:
            self._look_ahead()
        return spikes

    def decay(self, t_us: int) -> None:
        """Advances V and I to ``t_us``, without input."""
        leak = self.cell.leak
        if leak is None:
            return
        passed_us, self.updated_us = t_us - self.updated_us, t_us
        if passed_us <= 0:
            return
        v, current, v_leak = (self.numbers.real(each) for each in (self.v, self.current, leak.v_leak))
        away = (v - v_leak) * remains(passed_us, leak.tau_us)
        if leak.tau_syn_us:
            away += current * response(passed_us, leak.tau_us, leak.tau_syn_us)
            self.current = self.numbers.of(float(np.float32(current * remains(passed_us, leak.tau_syn_us))))
        self.v = self.numbers.of(float(np.float32(v_leak + away)))

    def _look_ahead(self) -> None:
        """Computes the next threshold crossing without further input."""
        cell = self.cell
        if cell.looks_ahead and cell.leak is not None:
            real, leak = self.numbers.real, cell.leak
            constants = real(cell.threshold), real(self.v), real(self.current)
            after_us = first_crossing((*constants, real(leak.v_leak), leak.tau_us, leak.tau_syn_us))
            self.crossing_us = min(self.updated_us + after_us, NEVER)


def replay(cell: Cell, times_us: Sequence[int], weights: Sequence[Number], end_us: int) -> list[Moment]:
    """Every update of the neuron of ``cell`` by inputs of ``weights`` at ``times_us``, in order, until ``end_us``.

    A threshold crossing between events is an update too, and precedes the inputs of its microsecond.
    """
    neuron = Neuron(cell)
    moments: list[Moment] = []
    for arrival, (t_us, weight) in enumerate(zip(times_us, weights, strict=True)):
        _cross(neuron, t_us, moments)
        neuron.decay(t_us)
        before = neuron.v
        neuron.add(weight, t_us)
        after = neuron.v
        moments.append(Moment(arrival, t_us, before, after, neuron.fire(), neuron.v))
    _cross(neuron, end_us, moments)
    return moments


def replay_steps(cell: Cell, times_us: Sequence[int], weights: Sequence[Sequence[Number]]) -> list[Moment]:
    """Every update of the neuron of ``cell``, which does not leak, in a clock-driven run: one for each time step.

    Step k begins at ``times_us[k]`` and adds ``weights[k]``. The equations are in
    `deploytool.run.engine.clock_driven`; a neuron may fire several times in a step.
    """
    numbers, v = cell.numbers, cell.v_init
    moments = []
    for step, (t_us, added) in enumerate(zip(times_us, weights, strict=True)):
        before = v
        for weight in added:
            v = _wide(numbers, v + weight)
        after, spikes = v, 0
        if after >= cell.threshold:
            ratio = after / cell.threshold
            spikes = int(np.float32(ratio)) if numbers.kind == "float32" else int(after // cell.threshold)
            taken = _wide(numbers, spikes * cell.threshold)
            v = _wide(numbers, after - taken) if cell.reset == "subtract" else cell.v_reset
        if cell.floor is not None and v < cell.floor:
            v = cell.floor
        moments.append(Moment(step, t_us, before, after, spikes, v))
    return moments


def _wide(numbers: Numbers, v: Number) -> Number:
    """``v`` as the clock-driven run keeps it: integers do not saturate."""
    return numbers.settle(v) if numbers.kind == "float32" else v


def _cross(neuron: Neuron, until_us: int, moments: list[Moment]) -> None:
    """Adds the threshold crossings of ``neuron`` up to and including ``until_us`` to ``moments``."""
    while (t_us := neuron.crossing_us) <= until_us:
        before = neuron.v
        neuron.decay(t_us)
        after = neuron.v
        moments.append(Moment(-1, t_us, before, after, neuron.fire(), neuron.v))
