"""The layout of a layer for the vector loops: a padded state, weights window by window, and a table of windows.

Every input event reaches the same number of neighbouring targets, rows x columns. Where the stride leaves an event
fewer targets, or the map ends, the rest is padding, whose neurons never leave the loop as spikes. A target has a `slot`
of as many lanes as it has features, rounded up. A window begins at a whole vector; its weights are shifted by the lanes
that lie before it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deploytool.base.arrays import Array
from deploytool.ir.program import Layer, Synapses
from deploytool.run.kernels.batches import Loop, integrate_samples
from deploytool.run.kernels.vectorised import INVERSE, MARGIN, TOGETHER, Windows, connect, convolve, convolve_settled
from deploytool.run.kernels.vectors import ALIGNMENT, WORD, Window, aligned_copy

FIRST_ROOM: Final = 8
"""Number of spikes per event for which there is room before a buffer grows."""

IN_REGISTERS: Final = 8
"""Number of vectors of state that fit in the CPU's registers beside the loop's other values."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A layer in the form that one of the vector loops takes; ``start`` is its padded state before the first event."""

    loop: Any
    window: Window
    windows: Windows
    start: Array
    threshold: Any
    floor: Any
    subtract: bool

    def rest(self) -> Array:
        """The state before the first event."""
        return aligned_copy(self.start)

    def integrate(self, state: Array, sites: Array, ends: Array) -> tuple[Array, Array, Array, Array]:
        """The effect of ``sites`` (N,), rows of the table of windows, in samples that end at ``ends`` (S,).

        The first sample continues from ``state``, which is changed; the others begin at rest. Returns the neurons that
        fired, in order; the number of these spikes that each event caused (N,); the end of each sample's spikes (S,);
        the synaptic updates of each sample (S,).
        """
        caused, neurons = np.zeros(len(sites), np.int32), np.empty(FIRST_ROOM * len(sites) + self.margin, np.int32)
        fired, fired_ends, updates = integrate_samples(
            Loop(self.loop.__name__),
            self.window,
            self.windows,
            state,
            self.start,
            self.threshold,
            self.floor,
            self.subtract,
            self.margin,
            sites,
            ends,
            neurons,
            caused,
        )
        return fired, caused, fired_ends, updates

    @property
    def margin(self) -> int:
        """The largest number of spikes of a group of events whose spikes are written together, plus `MARGIN`."""
        return TOGETHER * self.window.rows * self.window.vectors * self.window.lanes + MARGIN


def make_layout(layer: Layer, coordinates: Array, state: DTypeLike) -> Layout | None:
    """The layout of ``layer`` for the vector loops; its events arrive at ``coordinates`` (N, 3) of its input map.

    None if they cannot run it: with groups, dilation, thresholds of single neurons, many spikes per update, or a kernel
    of very many rows.
    """
    number: Any = np.dtype(state).type
    settled = _is_settled(layer)
    neurons, synapses = layer.neurons, layer.single
    plain = synapses.groups == 1 and synapses.dilation == (1, 1) and np.ndim(neurons.threshold) == 0
    if not plain or not (neurons.at_most_one or neurons.reset == "zero" or settled):
        return None
    lowest = -np.inf if np.issubdtype(number, np.floating) else np.iinfo(number).min
    one_place = layer.out_shape[1:] == (1, 1)
    together = 1 if one_place else _features_in_a_row(coordinates)
    window, windows, start = _windows(layer, coordinates, np.dtype(state), together)
    if window.rows > WORD:
        return None
    return Layout(
        loop=_loop(window, one_place, settled),
        window=window,
        windows=windows,
        start=start,
        threshold=number(neurons.threshold),
        floor=number(lowest if neurons.floor is None else neurons.floor),
        subtract=neurons.reset == "subtract",
    )


def _loop(window: Window, one_place: bool, settled: bool) -> Any:
    if not settled:
        return convolve
    return connect if one_place and window.vectors <= IN_REGISTERS else convolve_settled


def _is_settled(layer: Layer) -> bool:
    """Whether V < threshold before every update, the first included, so that no update causes more than one spike.

    In float32 V + w - threshold may round up to the threshold; the limit of half the threshold leaves room for that.
    """
    neurons, weights = layer.neurons, layer.single.weights
    room, lowest = 1.0 if weights.dtype.kind == "i" else 0.5, float(np.min(neurons.threshold))
    if np.max(neurons.v_init) >= lowest:
        return False
    return neurons.reset == "zero" or bool(weights.max(initial=0) <= room * lowest)


@dataclass(frozen=True, eq=False)
class _Axis:
    """Along one axis, for each input index: ``first`` target (N,), and ``taps``, kernel indices by rising target.

    Targets may lie outside the map, which is ``size`` long; ``reach`` is the largest number of targets of one event.
    """

    first: Array
    taps: tuple[tuple[int, ...], ...]
    size: int

    @property
    def reach(self) -> int:
        return max(1, *(len(taps) for taps in self.taps))

    @property
    def before(self) -> int:
        """The number of places of padding before the map."""
        return max(0, -int(self.first.min()))

    @property
    def length(self) -> int:
        """The number of places of the padded map."""
        return self.before + max(self.size, int(self.first.max()) + self.reach)

    def real(self) -> NDArray[np.bool_]:
        """(N, reach): which places of a window are targets of the event on the map."""
        place = np.arange(self.reach)
        target = self.first[:, None] + place
        counts = np.array([len(taps) for taps in self.taps])
        found: NDArray[np.bool_] = (place < counts[:, None]) & (target >= 0) & (target < self.size)
        return found


def _axis(synapses: Synapses, axis: int) -> _Axis:
    """The targets along one axis, for every input index.

    An input at i leads to target (i + p - k) / s for each kernel index k for which that is whole. All of them are
    included, so that all windows are alike; but on an output of one place only those that lead there.
    """
    stride, padding, size = synapses.stride[axis], synapses.padding[axis], synapses.out_shape[1 + axis]
    first, taps = [], []
    for i in range(padding, padding + synapses.in_shape[1 + axis]):
        hits = [k for k in reversed(range(synapses.kernel[axis])) if (i - k) % stride == 0 and (size > 1 or k == i)]
        first.append((i - hits[0]) // stride if hits else 0)
        taps.append(tuple(hits))
    return _Axis(np.array(first), tuple(taps), size)


def _windows(layer: Layer, coordinates: Array, state: np.dtype[Any], together: int) -> tuple[Window, Windows, Array]:
    """The windows of ``layer`` for a V of type ``state``, and the padded state before the first event.

    ``together`` is the number of source neurons that arrive at one place and share a row of the table.
    """
    synapses = layer.single
    channels, (features, _, width) = synapses.in_shape[0], synapses.out_shape
    lanes = ALIGNMENT // state.itemsize
    slot = _slot(features, lanes)
    ys, xs = _axis(synapses, 0), _axis(synapses, 1)
    starts = (xs.first + xs.before) * slot
    shifts = starts % lanes
    window = Window(ys.reach, -(-(int(shifts.max()) + xs.reach * slot) // lanes), lanes)
    row = window.vectors * lanes
    pitch = max(int((starts - shifts).max()) + row, -(-xs.length * slot // lanes) * lanes)

    weights, y_kind, x_kind = _weights(synapses, ys, xs, shifts, slot, (window.rows, row), together)
    masks, y_mask, x_mask = _masks(ys, xs, shifts, features, window)
    places = coordinates[::together]
    inside = places[:, 0] >= 0
    c, y, x = places[inside].T
    table = np.empty((len(places), 4), np.int32)
    table[:] = ys.length * pitch, len(weights) - together, 0, len(masks) - 1
    table[inside, 0] = (ys.first[y] + ys.before) * pitch + (starts - shifts)[x]
    table[inside, 1] = (y_kind[y] * (x_kind.max() + 1) + x_kind[x]) * channels + c
    table[inside, 2] = (ys.first[y] * width + xs.first[x] - shifts[x] // slot) * features
    table[inside, 3] = y_mask[y] * (x_mask.max() + 1) + x_mask[x]
    bit_row, lane = np.divmod(np.arange(window.words * WORD + 1), window.words // window.rows * WORD)
    windows = Windows(
        weights=aligned_copy(weights),
        table=table.ravel(),
        masks=masks.ravel(),
        updates=np.bitwise_count(masks).sum(axis=1, dtype=np.int64),
        bit_neuron=(bit_row * width * features + lane // slot * features + lane % slot).astype(np.int32),
        pitch=pitch,
        features=together,
        inverse=(1 << INVERSE) // together + 1,
    )
    return window, windows, _start(layer, (ys, xs), (ys.length + window.rows, pitch), slot, state)


def _start(layer: Layer, axes: tuple[_Axis, _Axis], shape: tuple[int, int], slot: int, state: np.dtype[Any]) -> Array:
    """The padded state, of ``shape`` (rows, pitch) flat, before the first event: ``v_init`` in the neurons' slots."""
    (features, height, width), (rows, pitch) = layer.out_shape, shape
    padded = np.zeros((rows, pitch), state)
    row, column = axes[0].before, axes[1].before * slot
    v_init = np.broadcast_to(np.asarray(layer.neurons.v_init, state), layer.out_shape).transpose(1, 2, 0)
    slots = np.zeros((height, width, slot), state)
    slots[:, :, :features] = v_init
    padded[row : row + height, column : column + width * slot] = slots.reshape(height, -1)
    return aligned_copy(padded)


def _features_in_a_row(coordinates: Array) -> int:
    """The number of consecutive source neurons that arrive at one place, each one feature after the one before it."""
    c, y, x = coordinates.T
    outside = (c[1:] < 0) & (c[:-1] < 0)
    follows = (outside | (c[:-1] >= 0) & (np.diff(c) == 1)) & (np.diff(y) == 0) & (np.diff(x) == 0)
    breaks = np.flatnonzero(~follows) + 1
    run = math.gcd(*breaks.tolist(), len(c))
    return run if run * len(c) < 1 << INVERSE else 1


def _slot(features: int, lanes: int) -> int:
    """The number of lanes per target. It divides a vector or is a whole number of vectors, so that every vector begins
    with the first lane of a target."""
    if features > lanes:
        return -(-features // lanes) * lanes
    return 1 << (features - 1).bit_length()


def _weights(
    synapses: Synapses, ys: _Axis, xs: _Axis, shifts: Array, slot: int, shape: tuple[int, int], spare: int
) -> tuple[Array, Array, Array]:
    """Weights (blocks, *``shape``) of all windows, and the kind of window at each row and at each column.

    There is a block for each kind of row, kind of column, and input channel. The last ``spare`` blocks are for no
    window and hold zeros.
    """
    channels, features = synapses.in_shape[0], synapses.out_shape[0]
    y_kinds = list(dict.fromkeys(ys.taps))
    x_kinds = list(dict.fromkeys(zip(xs.taps, shifts.tolist(), strict=True)))
    blocks = np.zeros((len(y_kinds) * len(x_kinds) * channels + spare, *shape), synapses.weights.dtype)
    for number, (y_taps, (x_taps, shift)) in enumerate(itertools.product(y_kinds, x_kinds)):
        block = blocks[number * channels : (number + 1) * channels]
        for (row, ky), (column, kx) in itertools.product(enumerate(y_taps), enumerate(x_taps)):
            lane = shift + column * slot
            block[:, row, lane : lane + features] = synapses.weights[:, :, ky, kx].T
    y_kind = np.array([y_kinds.index(taps) for taps in ys.taps])
    x_kind = np.array([x_kinds.index(kind) for kind in zip(xs.taps, shifts.tolist(), strict=True)])
    return blocks, y_kind, x_kind


def _masks(ys: _Axis, xs: _Axis, shifts: Array, features: int, window: Window) -> tuple[Array, Array, Array]:
    """Masks (kinds, words) uint64 of the lanes that are targets, and the kind at each row and at each column.

    The last kind is for no window and has no lanes.
    """
    slot = _slot(features, window.lanes)
    lane = np.arange(window.words // window.rows * WORD)
    column = (lane - shifts[:, None]) // slot
    in_window = (column >= 0) & (column < xs.reach) & (lane % slot < features)
    x_real = in_window & np.take_along_axis(xs.real(), np.clip(column, 0, xs.reach - 1), axis=1)
    y_found, y_kind = np.unique(ys.real(), axis=0, return_inverse=True)
    x_found, x_kind = np.unique(x_real, axis=0, return_inverse=True)
    lanes = (y_found[:, None, :, None] & x_found[None, :, None, :]).reshape(-1, window.words * WORD)
    masks = np.packbits(lanes, axis=1, bitorder="little").view(np.uint64)
    return np.concatenate([masks, np.zeros((1, window.words), np.uint64)]), y_kind.ravel(), x_kind.ravel()
