"""The output decimator of a core: one in n spikes leaves, the last of each n, counted from the start of a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.run.plan.layers import Caused, Fired, LayerPlan


class Decimator:
    """The counters of the core of ``layer`` for a batch of ``samples``. This object is mutable: spikes advance it."""

    def __init__(self, layer: LayerPlan, samples: int = 1) -> None:
        self.interval = layer.decimation
        self.fired = np.zeros(samples, np.int64)

    def caused(self, result: Caused) -> Caused:
        """``result`` with the spikes that leave."""
        if self.interval == 1:
            return result
        fired = np.diff(result.ends, prepend=0)
        numbers = np.arange(len(result.neurons)) + np.repeat(self.fired - result.ends + fired, fired)
        self.fired += fired
        leaves = self._leaves(numbers)
        event = np.repeat(np.arange(len(result.caused)), result.caused)[leaves]
        return result._replace(
            neurons=result.neurons[leaves],
            caused=np.bincount(event, minlength=len(result.caused)).astype(result.caused.dtype),
            ends=np.concatenate([[0], np.cumsum(leaves)])[result.ends],
        )

    def keyed(self, keys: Array, neurons: Array) -> Fired:
        """(keys, neurons) of the spikes of one sample that leave."""
        if self.interval == 1:
            return keys, neurons
        leaves = self._leaves(self.fired[0] + np.arange(len(neurons)))
        self.fired += len(neurons)
        return keys[leaves], neurons[leaves]

    def amounts(self, amounts: Array, neurons: Array) -> Fired:
        """(amounts, neurons) of the spikes of a time step that leave, of ``amounts`` (N,) of ``neurons`` (N,)."""
        if self.interval == 1:
            return amounts, neurons
        until = self.fired[0] + np.cumsum(amounts)
        leaving = until // self.interval - (until - amounts) // self.interval
        self.fired += amounts.sum()
        return leaving[leaving > 0], neurons[leaving > 0]

    def _leaves(self, numbers: Array) -> NDArray[np.bool_]:
        """(N,): whether the spikes with these ``numbers`` (N,), counted from 0, leave."""
        leaves: NDArray[np.bool_] = (numbers + 1) % self.interval == 0
        return leaves
