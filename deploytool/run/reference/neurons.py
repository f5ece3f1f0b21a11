"""The neurons of one layer on their map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape
from deploytool.ir.cell import cell_at
from deploytool.ir.program import Arithmetic, Layer
from deploytool.run.reference.balancer import Balancer
from deploytool.run.reference.neuron import Neuron


class Membranes:
    """The neurons (O, H, W) of ``layer``, at rest.

    ``updates`` counts their updates, ``lowest`` and ``highest`` are the V reached in integers, before reset.
    """

    def __init__(self, layer: Layer, arithmetic: Arithmetic) -> None:
        self.integers = arithmetic != "float32"
        self.neurons = np.empty(layer.out_shape, object)
        for place in np.ndindex(*layer.out_shape):
            self.neurons[place] = Neuron(cell_at(layer, place, arithmetic))
        self.crossing_us: NDArray[np.int64] = np.array([each.crossing_us for each in self.neurons.flat]).reshape(
            layer.out_shape
        )
        self.updates, self.lowest, self.highest = 0, 0, 0
        self.fired, self.decimation = 0, layer.decimation
        self.balancer = Balancer(layer.balancer)
        self.bias = [0] * layer.out_shape[0] if layer.bias is None else layer.bias.tolist()

    def add(self, here: Any, weights: Array, t_us: int) -> NDArray[np.bool_]:
        """Advances the neurons ``here`` to ``t_us`` and adds ``weights``; returns which reach their threshold."""
        updated = self.neurons[here]
        reached = [each.add(weight, t_us) for each, weight in zip(updated, weights.tolist(), strict=True)]
        self.crossing_us[here] = [each.crossing_us for each in updated]
        self.updates += len(updated)
        self._measure(updated.tolist())
        return np.array(reached)

    def _measure(self, updated: Sequence[Neuron]) -> None:
        """Widens the range of V by that of the neurons ``updated``."""
        if self.integers:
            self.lowest = min(self.lowest, *(int(each.v) for each in updated))
            self.highest = max(self.highest, *(int(each.v) for each in updated))

    def fire(self, place: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
        """``place`` (o, y, x) once for each spike that its neuron fires and that leaves the core."""
        neuron, before = self.neurons[place], self.fired
        self.fired += neuron.fire()
        self.crossing_us[place] = neuron.crossing_us
        return iter([place] * (self.fired // self.decimation - before // self.decimation))

    def tick(self, t_us: int) -> Iterator[tuple[int, int, int]]:
        """The spikes (o, y, x) at a tick, which adds its bias to every neuron: rows, columns, features.

        A tick is no synaptic update.
        """
        features, height, width = self.neurons.shape
        for y, x, o in np.ndindex(height, width, features):
            neuron: Neuron = self.neurons.item(o, y, x)
            reached = neuron.add(self.bias[o], t_us)
            self.crossing_us[o, y, x] = neuron.crossing_us
            self._measure([neuron])
            if reached:
                yield from self.fire((o, y, x))

    def cross(self, t_us: int) -> Iterator[tuple[int, int, int]]:
        """The neurons (o, y, x) that reach their threshold at ``t_us`` without an input: rows, columns, features."""
        for y, x, o in np.argwhere(self.crossing_us.transpose(1, 2, 0) == t_us).tolist():
            self.neurons[o, y, x].decay(t_us)
            yield from self.fire((o, y, x))


def on_map(value: float | Array, shape: Shape, number: Any) -> Array:
    """``value``, one number or one per neuron, as an array (O, H, W) of dtype ``number``."""
    return np.broadcast_to(np.asarray(value, number), shape)
