"""Neuron dynamics of one layer in plain numpy: the part of the specification that does not involve geometry.

Leaks are computed in float64 (exponential.py, crossings.py); V and I are rounded to float32 once per decay and once per
update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape
from deploytool.ir.program import STATE, Layer
from deploytool.run.reference.crossings import NEVER, first_crossing, response
from deploytool.run.reference.exponential import remains


class Membranes:
    """V (O, H, W) of ``layer``, at rest: ``v_init`` at time 0, and with a synapse I = 0."""

    def __init__(self, layer: Layer, integers: bool) -> None:
        self.neurons, shape = layer.neurons, layer.out_shape
        self.integers = integers
        self.number = np.int64 if integers else np.float32
        self.v = on_map(self.neurons.v_init, shape, self.number).copy()
        self.current = np.zeros(shape, self.number)
        self.threshold = on_map(self.neurons.threshold, shape, self.number)
        self.v_reset = on_map(self.neurons.v_reset, shape, self.number)
        leak = self.neurons.leak
        tau_ms, v_leak, tau_syn_ms = (None, 0.0, None) if leak is None else (leak.tau_ms, leak.v_leak, leak.tau_syn_ms)
        self.leaks, self.has_synapse = tau_ms is not None, tau_syn_ms is not None
        self.v_leak = on_map(v_leak, shape, np.float64)
        self.tau_us, self.tau_syn_us = (
            1000 * on_map(0.0 if each is None else each, shape, np.float64) for each in (tau_ms, tau_syn_ms)
        )
        self.updated_us = np.zeros(shape, np.int64)
        self.updates, self.lowest, self.highest = 0, 0, 0
        self.crossing_us = np.full(shape, NEVER)
        self._look_ahead(...)

    def add(self, here: Any, weights: Array, t_us: int) -> NDArray[np.bool_]:
        """Advances the neurons ``here`` to ``t_us`` and adds ``weights``; returns which reach their threshold."""
        self._decay(here, t_us)
        moved = self.current if self.has_synapse else self.v
        moved[here] += weights.astype(self.number)
        v = self.v[here]
        if self.integers:
            v = np.clip(v, STATE.min, STATE.max)
        if self.neurons.floor is not None:
            v = np.maximum(v, self.number(self.neurons.floor))
        self.v[here] = v
        self.updates += v.size
        if self.integers:
            self.lowest, self.highest = min(self.lowest, int(v.min())), max(self.highest, int(v.max()))
        self._look_ahead(here)
        reached: NDArray[np.bool_] = v >= self.threshold[here]
        return reached

    def fire(self, neuron: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
        """``neuron`` (o, y, x) once for each spike it fires."""
        while self.v[neuron] >= self.threshold[neuron]:
            yield neuron
            subtract = self.neurons.reset == "subtract"
            self.v[neuron] = self.v[neuron] - self.threshold[neuron] if subtract else self.v_reset[neuron]
            self._look_ahead(neuron)
            if self.neurons.at_most_one:
                return

    def cross(self, t_us: int) -> Iterator[tuple[int, int, int]]:
        """The neurons (o, y, x) that reach their threshold at ``t_us`` without an input: rows, columns, features."""
        for y, x, o in np.argwhere(self.crossing_us.transpose(1, 2, 0) == t_us).tolist():
            self._decay((o, y, x), t_us)
            yield from self.fire((o, y, x))

    def _decay(self, here: Any, t_us: int) -> None:
        if not self.leaks:
            return
        passed, v_leak, current = t_us - self.updated_us[here], self.v_leak[here], self.current[here]
        away = (self.v[here] - v_leak) * _each(remains, passed, self.tau_us[here])
        if self.has_synapse:
            away = away + current * _each(response, passed, self.tau_us[here], self.tau_syn_us[here])
            later = (current * _each(remains, passed, self.tau_syn_us[here])).astype(np.float32)
            self.current[here] = np.where(passed > 0, later, current)
        self.v[here] = np.where(passed > 0, (v_leak + away).astype(np.float32), self.v[here])
        self.updated_us[here] = t_us

    def _look_ahead(self, here: Any) -> None:
        """Computes the next threshold crossing of the neurons ``here`` without further input."""
        if self.neurons.fires_between:
            cells = self.threshold, self.v, self.current, self.v_leak, self.tau_us, self.tau_syn_us
            after_us = _each(lambda *cell: first_crossing(cell), *(each[here] for each in cells))
            self.crossing_us[here] = np.minimum(self.updated_us[here] + after_us, NEVER)


def _each(function: Callable[..., Any], *values: Array) -> Array:
    """``function`` applied elementwise to ``values``, arrays of equal shape, in plain Python."""
    found = [function(*each) for each in zip(*(np.ravel(value).tolist() for value in values), strict=True)]
    return np.array(found).reshape(np.shape(values[0]))


def on_map(value: float | Array, shape: Shape, number: Any) -> Array:
    """``value``, one number or one per neuron, as an array (O, H, W) of dtype ``number``."""
    return np.broadcast_to(np.asarray(value, number), shape)
