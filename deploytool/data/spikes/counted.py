"""The counts of a layer, from what a file says of it: single spikes, rows of counts, or arrays of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape, are_whole, wide
from deploytool.base.errors import InputError
from deploytool.ir.recording import SPIKE

COUNT_MAX: Final = (1 << 32) - 1


@dataclass
class Activity:
    """What the file ``where`` says of ``layer``, of ``shape`` (C, H, W): spikes of dtype SPIKE; ``cells``, which are
    arrays (6, N) of sample, count, feature, row, column and line; ``arrays`` {first feature: counts (S, c, H, W)}.
    """

    layer: str
    shape: Shape
    where: str
    spikes: list[Array] = field(default_factory=list)
    cells: list[NDArray[np.int64]] = field(default_factory=list)
    arrays: dict[int, Array] = field(default_factory=dict)

    def in_order(self) -> Array:
        """The spikes by sample, then by time; those of one sample and time stay in their order."""
        spikes = np.concatenate([np.zeros(0, SPIKE), *self.spikes])
        sample, t = spikes["sample"], spikes["t"]
        same, later = sample[1:] == sample[:-1], sample[1:] > sample[:-1]
        if (later | (same & (t[1:] >= t[:-1]))).all():
            return spikes
        return spikes[np.lexsort((t, sample))]

    def counted(self, samples: int, spikes: Array | None) -> NDArray[np.int64]:
        """(S, C, H, W): the counts of S = ``samples``; ``spikes`` are those of `in_order`, if there are any.

        Raises InputError if a neuron is counted twice, if a part of the layer is missing, or if spikes and counts of a
        sample differ.
        """
        if self.cells and self.arrays:
            raise InputError(self.where, f"counts of layer {self.layer} twice", "one table or array of them")
        if self.arrays:
            return self._checked(self._joined(), spikes)
        if self.cells:
            return self._checked(self._from_cells(samples), spikes)
        return self._of_spikes(samples, np.zeros(0, SPIKE) if spikes is None else spikes)

    def _of_spikes(self, samples: int, spikes: Array) -> NDArray[np.int64]:
        flat = spikes["sample"].astype(np.int64)
        for axis, size in zip("cyx", self.shape, strict=True):
            flat *= size
            flat += spikes[axis]
        return np.bincount(flat, minlength=samples * math.prod(self.shape)).reshape(samples, *self.shape)

    def _joined(self) -> Array:
        """The counts in ``arrays``, which must be of all features."""
        features = 0
        for first in sorted(self.arrays):
            features += self.arrays[first].shape[1] if first == features else 0
        if features != self.shape[0]:
            found = f"counts of {features} of the {self.shape[0]} features of layer {self.layer}"
            raise InputError(self.where, found, "counts of all its parts")
        return np.concatenate([self.arrays[first] for first in sorted(self.arrays)], axis=1)

    def _from_cells(self, samples: int) -> Array:
        sample, count, c, y, x, line = np.concatenate(self.cells, axis=1)
        flat = np.ravel_multi_index((sample, c, y, x), (samples, *self.shape))
        order = np.argsort(flat, kind="stable")
        twice = np.flatnonzero(np.diff(flat[order]) == 0)
        if twice.size:
            row = order[twice[0] + 1]
            found = (
                f"a second count of sample {sample[row]}, layer {self.layer}, c = {c[row]}, y = {y[row]}, x = {x[row]}"
            )
            raise InputError(f"{self.where}: line {line[row]}", found, "each neuron of a sample once")
        counts = np.zeros(samples * math.prod(self.shape), np.int64)
        counts[flat] = count
        return counts.reshape(samples, *self.shape)

    def _checked(self, counts: Array, spikes: Array | None) -> Array:
        """``counts``, if every sample with ``spikes`` has as many of them."""
        if spikes is None or not len(spikes):
            return counts
        found = self._of_spikes(len(counts), spikes)
        kept = found.any(axis=(1, 2, 3))
        if (other := kept & (found != counts).any(axis=(1, 2, 3))).any():
            index = int(other.argmax())
            says = f"{found[index].sum()} spikes, and counts of {counts[index].sum()} spikes"
            raise InputError(f"{self.where}: sample {index}, layer {self.layer}", says, "counts of these spikes")
        return counts


def whole_counts(counts: Array, where: str) -> Array:
    """``counts`` as integers. Raises InputError for others than whole numbers from 0 on."""
    if counts.dtype.kind not in "iufb":
        raise InputError(where, f"an array of {counts.dtype}", "counts, which are whole numbers")
    counts = wide(counts)
    wrong = ~are_whole(counts) | ~(counts >= 0) | (counts > COUNT_MAX)
    if wrong.any():
        index = np.unravel_index(int(wrong.argmax()), counts.shape)
        found = f"{counts[index]} at ({', '.join(map(str, index))})"
        raise InputError(where, found, f"whole numbers, 0..{COUNT_MAX}")
    return counts.astype(np.int64)
