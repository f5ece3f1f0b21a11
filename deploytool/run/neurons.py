"""The neurons of one layer in plain numpy: what an update does to V. The specification's part that knows no geometry.

The factor exp(-(t - u) / tau) of a leak is made of products and sums in float64 alone (`remains`), so that every loop
finds the same bits on any machine. V is rounded to float32 once per decay and once per update.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.events import Shape
from deploytool.graph import Array
from deploytool.program import Layer
from deploytool.run.checks import STATE

PER_LOG2: Final = 1 / math.log(2)
LOG2_HIGH: Final = float.fromhex("0x1.62e42fee00000p-1")
LOG2_LOW: Final = float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts, of which whole numbers times the first are exact."""
TERMS: Final = tuple(1 / math.factorial(n) for n in range(13, -1, -1))
HALVES: Final = 2.0 ** -np.arange(1001)
LONG: Final = 690.0
"""Beyond so many time constants nothing is left in float32, and 2^-1000 stays in float64."""


def remains(passed_us: int, tau_us: float) -> float:
    """exp(-``passed_us`` / ``tau_us``), within 2 units in the last place: 2^-k e^r, e^r as a series."""
    x = min(passed_us / tau_us, LONG)
    k = math.floor(x * PER_LOG2 + 0.5)
    r = k * LOG2_HIGH - x + k * LOG2_LOW
    power = 0.0
    for term in TERMS:
        power = power * r + term
    return power * float(HALVES[k])


class Neurons:
    """V (O, H, W) of ``layer``, at rest: 0 at time 0."""

    def __init__(self, layer: Layer, integers: bool) -> None:
        self.layer = layer
        self.integers = integers
        self.number = np.int64 if integers else np.float32
        self.v = np.zeros(layer.out_shape, self.number)
        self.threshold = on_map(layer.threshold, layer.out_shape, self.number)
        self.v_reset = on_map(layer.v_reset, layer.out_shape, self.number)
        self.v_leak = on_map(layer.v_leak, layer.out_shape, np.float64)
        self.updated_us = np.zeros(layer.out_shape, np.int64)
        self.updates, self.lowest, self.highest = 0, 0, 0
        self.tau_us = None if layer.tau_ms is None else 1000 * on_map(layer.tau_ms, layer.out_shape, np.float64)

    def add(self, here: Any, weights: Array, t_us: int) -> NDArray[np.bool_]:
        """Brings the neurons ``here`` to ``t_us`` and adds ``weights``: which of them reach their threshold."""
        if self.tau_us is not None:
            self._decay(here, t_us, self.tau_us[here])
        v = self.v[here] + weights.astype(self.number)
        if self.integers:
            v = np.clip(v, STATE.min, STATE.max)
        if self.layer.floor is not None:
            v = np.maximum(v, self.number(self.layer.floor))
        self.v[here] = v
        self.updates += v.size
        if self.integers:
            self.lowest, self.highest = min(self.lowest, int(v.min())), max(self.highest, int(v.max()))
        reached: NDArray[np.bool_] = v >= self.threshold[here]
        return reached

    def fire(self, neuron: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
        """``neuron`` (o, y, x) once for each spike it fires."""
        while self.v[neuron] >= self.threshold[neuron]:
            yield neuron
            subtract = self.layer.reset == "subtract"
            self.v[neuron] = self.v[neuron] - self.threshold[neuron] if subtract else self.v_reset[neuron]
            if self.layer.at_most_one:
                return

    def _decay(self, here: Any, t_us: int, tau_us: Array) -> None:
        passed = t_us - self.updated_us[here]
        factor = np.array([remains(*each) for each in zip(passed.tolist(), tau_us.tolist(), strict=True)])
        v = self.v_leak[here] + (self.v[here] - self.v_leak[here]) * factor
        self.v[here] = np.where(passed > 0, v.astype(np.float32), self.v[here])
        self.updated_us[here] = t_us


def on_map(value: float | Array, shape: Shape, number: Any) -> Array:
    """(O, H, W) of type ``number``: ``value``, one for all neurons or one for each."""
    return np.broadcast_to(np.asarray(value, number), shape)
