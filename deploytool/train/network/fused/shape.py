"""The shape of a layer in fused loops: its maps, its windows and its neurons.

An input spike at (y, x) reaches the outputs y' with 0 <= y + padding - stride y' < kernel, and so in x. These are at
most ``reach`` = ceil(kernel / stride) rows, the first of which is floor((y + padding) / stride) - reach + 1. Which of
the kernel's rows reach them depends on the phase (y + padding) mod stride. Maps of currents have margins, so that no
window is cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LANES: Final = 16
"""The number of float32 in a vector; LLVM splits it where the CPU's are shorter."""


class Side(NamedTuple):
    """A layer along y or x: the sizes of its maps, its kernel, stride and padding."""

    given: int
    made: int
    kernel: int
    stride: int
    padding: int

    @property
    def reach(self) -> int:
        """The largest number of outputs that one input reaches."""
        return -(-self.kernel // self.stride)

    @property
    def before(self) -> int:
        """The margin before the first output."""
        return self.reach - 1 - self.padding // self.stride

    def first(self, place: int) -> int:
        """The first output that the input at ``place`` reaches, counted from the beginning of the margin."""
        return (place + self.padding) // self.stride - self.reach + 1 + self.before

    def phase(self, place: int) -> int:
        """The first row of the kernel that counts for the input at ``place``."""
        return (place + self.padding) % self.stride

    def places(self, phase: int) -> range:
        """The inputs of ``phase``."""
        return range((phase - self.padding) % self.stride, self.given, self.stride)

    @property
    def length(self) -> int:
        """The number of outputs with their margins, as far as windows reach."""
        return max(self.first(self.given - 1) + self.reach, self.before + self.made)


class Layer(NamedTuple):
    """A convolution of ``inputs`` features to ``features``, its neurons, and the windows ``pool`` x ``pool`` of which
    spikes are summed (1: none).

    ``stored`` is the type in which U is kept. The other fields say how neurons behave: see `Neuron`.
    """

    rows: Side
    columns: Side
    inputs: int
    features: int
    pool: int
    stored: str
    many: bool
    subtract: bool
    detached: bool
    saturates: bool
    leaks: bool
    surrogate: str

    @property
    def group(self) -> int:
        """The number of neighbouring inputs, of all features, that one vector of input gradients holds."""
        return LANES // self.padded if self.padded < LANES and self.columns.stride == 1 else 1

    @property
    def padded(self) -> int:
        """The number of input features in vectors of gradients: a power of two, or whole vectors."""
        return 1 << (self.inputs - 1).bit_length() if self.inputs < LANES else -(-self.inputs // LANES) * LANES

    @property
    def pitch(self) -> int:
        """The number of float32 in a row of the map of currents, with margins: whole vectors."""
        return _whole_vectors((self.columns.length + self.group - 1) * self.features)

    @property
    def origin(self) -> int:
        """Where the first margin begins, so that the first neuron of every row is where a vector begins."""
        before = self.columns.before * self.features
        return _whole_vectors(before) - before

    @property
    def inside(self) -> int:
        """Where the first neuron is in the map of currents."""
        return self.origin + self.rows.before * self.pitch + self.columns.before * self.features

    @property
    def size(self) -> int:
        """The number of float32 in the map of currents, with margins: whole vectors."""
        return _whole_vectors(self.origin + self.rows.length * self.pitch)

    @property
    def window(self) -> int:
        """The number of neighbouring float32 in a row of a window."""
        return self.columns.reach * self.features

    @property
    def window_pieces(self) -> list[tuple[int, int]]:
        """`pieces` of a row of a window. Windows that overlap have the same pieces, as far as features allow that:
        a CPU waits for what it has just written if it reads it with other limits."""
        return list(pieces(self.window, LANES // 2 if self.features % LANES == LANES // 2 else LANES))

    @property
    def width(self) -> int:
        """The number of neurons in a row."""
        return self.columns.made * self.features

    @property
    def given_size(self) -> int:
        """The number of inputs."""
        return self.rows.given * self.columns.given * self.inputs

    @property
    def pooled(self) -> tuple[int, int]:
        """The size of the map of sums."""
        return self.rows.made // self.pool, self.columns.made // self.pool

    @property
    def summed(self) -> tuple[int, int]:
        """(number of neighbouring neurons of a vector whose sums are neighbours too, number of neighbouring groups of
        these that have the same sums)."""
        if self.pool == 1:
            return LANES, 1
        together = min(LANES, self.features & -self.features)
        return together, math.gcd(LANES // together, self.pool) if together == self.features else 1

    @property
    def pooled_size(self) -> int:
        """The number of sums of spikes."""
        return self.pooled[0] * self.pooled[1] * self.features


def _whole_vectors(length: int) -> int:
    return -(-length // LANES) * LANES


def pieces(length: int, most: int = LANES) -> Iterator[tuple[int, int]]:
    """(start, lanes) of vectors that cover ``length`` numbers: ``most`` lanes each, and shorter ones at the end with a
    power of two."""
    start = 0
    while start < length:
        lanes = min(most, 1 << ((length - start).bit_length() - 1))
        yield start, lanes
        start += lanes


@cache
def sites(layer: Layer, planar: bool) -> Tensor:
    """(H W C, 2) int32: where the window of an input begins in the map of currents, and where its taps begin.

    ``planar`` inputs are in the order (C, H, W).
    """
    rows, columns = layer.rows, layer.columns
    y, x = range(rows.given), range(columns.given)
    window = np.add.outer(
        [layer.origin + rows.first(place) * layer.pitch for place in y],
        [columns.first(place) * layer.features for place in x],
    )
    phases = np.add.outer([rows.phase(place) * columns.stride for place in y], [columns.phase(place) for place in x])
    kinds = rows.stride * columns.stride
    taps = (np.arange(layer.inputs) * kinds + phases[..., None]) * (rows.reach * layer.window)
    found = np.stack([np.broadcast_to(window[..., None], taps.shape), taps], axis=-1)
    if planar:
        found = np.moveaxis(found, 2, 0)
    return torch.from_numpy(np.ascontiguousarray(found.reshape(-1, 2), np.int32))


@cache
def sums(layer: Layer) -> Tensor:
    """(H' W' O,) int32: the sum to which a neuron's spikes belong, -1 outside whole windows."""
    high, wide = layer.pooled
    y, x, feature = np.indices((layer.rows.made, layer.columns.made, layer.features)) // np.array(
        [layer.pool, layer.pool, 1]
    ).reshape(3, 1, 1, 1)
    found = np.where((y < high) & (x < wide), (y * wide + x) * layer.features + feature, -1)
    return torch.from_numpy(np.ascontiguousarray(found.ravel(), np.int32))


def taps_of(weights: Tensor, layer: Layer) -> Tensor:
    """(C, phases, reach, reach O): ``weights`` (O, C, KH, KW) as `sites` finds them."""
    return _taken(weights, _places_of_taps(layer))


def weights_of(taps: Tensor, layer: Layer) -> Tensor:
    """(O, C, KH, KW): the inverse of `taps_of`."""
    return _taken(taps, _places_of_weights(layer))


def taps_back(taps: Tensor, layer: Layer) -> Tensor:
    """(phases, reach, (reach + group - 1) O, group padded): `taps_of`, for gradients of ``group`` neighbouring inputs.

    Neighbour g sees the window g columns further on.
    """
    return _taken(taps, _places_of_taps_back(layer))


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """The elements of ``values`` at ``places``, counted from 1; 0 at the places 0."""
    return F.pad(values.flatten(), (1, 0)).index_select(0, places.view(-1)).view(places.shape)


def _numbered(*shape: int) -> Tensor:
    """1, 2, ... in ``shape``."""
    return torch.arange(1, math.prod(shape) + 1).view(shape)


@cache
def _places_of_taps(layer: Layer) -> Tensor:
    (rows, columns), features = (layer.rows, layer.columns), layer.features
    weights = _numbered(features, layer.inputs, rows.kernel, columns.kernel)
    more = (0, columns.reach * columns.stride - columns.kernel, 0, rows.reach * rows.stride - rows.kernel)
    parts = F.pad(weights, more).view(*weights.shape[:2], rows.reach, rows.stride, columns.reach, columns.stride)
    turned = parts.flip(2, 4).permute(1, 3, 5, 2, 4, 0)
    return turned.reshape(layer.inputs, rows.stride * columns.stride, rows.reach, layer.window).contiguous()


@cache
def _places_of_weights(layer: Layer) -> Tensor:
    rows, columns = layer.rows, layer.columns
    taps = _numbered(layer.inputs, rows.stride, columns.stride, rows.reach, columns.reach, layer.features)
    turned = taps.permute(5, 0, 3, 1, 4, 2).flip(2, 4)
    whole = turned.reshape(layer.features, layer.inputs, rows.reach * rows.stride, columns.reach * columns.stride)
    return whole[:, :, : rows.kernel, : columns.kernel].contiguous()


@cache
def _places_of_taps_back(layer: Layer) -> Tensor:
    rows, columns, group = layer.rows, layer.columns, layer.group
    kinds = rows.stride * columns.stride
    by_input = _numbered(layer.inputs, kinds, rows.reach, layer.window).permute(1, 2, 3, 0)
    length = layer.window + (group - 1) * layer.features
    found = torch.zeros(kinds, rows.reach, length, group, layer.padded, dtype=torch.int64)
    for number in range(group):
        start = number * layer.features
        found[:, :, start : start + layer.window, number, : layer.inputs] = by_input
    return found
