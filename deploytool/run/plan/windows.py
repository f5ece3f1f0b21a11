"""The layout of a layer for the vector loops: a padded state, weights window by window, and a table of windows.

Every input event reaches the same number of neighbouring targets, rows x columns. Where the stride leaves an event
fewer targets, or the map ends, the rest is padding, whose neurons never leave the loop as spikes. A target has a `slot`
of as many lanes as it has features, rounded up. A window begins at a whole vector; its weights are shifted by the lanes
that lie before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deploytool.base.arrays import Array
from deploytool.base.native import WORD, Code, aligned_copy, lanes_of, native
from deploytool.ir.program import Layer, Synapses
from deploytool.run.kernels.batches import integrate_samples
from deploytool.run.kernels.event_stationary import PLACE_BITS, EventLoop, write_event_loop
from deploytool.run.kernels.in_registers import REGISTERS, write_register_loop
from deploytool.run.kernels.spikes import ALWAYS, WORDS, Windows

FIRST_ROOM: Final = 2
"""Number of spikes per event for which there is room before a buffer grows."""


class Window(NamedTuple):
    """``rows`` of ``vectors`` vectors of ``lanes`` neurons: what one input event reaches."""

    rows: int
    vectors: int
    lanes: int


@dataclass(frozen=True, eq=False)
class Layout:
    """A layer in the form that a vector loop takes, the one that ``write`` writes for its ``shape``.

    ``tables`` lack the loop, which is compiled when it is first needed. ``start`` is the padded state before the first
    event, as bytes.
    """

    shape: EventLoop
    write: Callable[[EventLoop], Code]
    tables: Windows
    start: Array

    @property
    def loop(self) -> str:
        """The name of the loop."""
        return "event-stationary" if self.write is write_event_loop else "in registers"

    @cached_property
    def windows(self) -> Windows:
        """The tables with the addresses of the loop.

        Where a layer needs several blocks of registers, noting every block takes longer than the event-stationary loop.
        """
        noting = write_event_loop if self.shape.vectors > REGISTERS else self.write
        return self.tables._replace(
            optimistic=native(self.write, self.shape), noting=native(noting, self.shape._replace(notes=True))
        )

    def rest(self) -> Array:
        """The state before the first event."""
        return aligned_copy(self.start)

    def integrate(self, state: Array, sites: Array, ends: Array) -> tuple[Array, Array, Array]:
        """The effect of ``sites`` (N,), rows of the table of windows, in samples that end at ``ends`` (S,).

        The first sample continues from ``state``, which is changed; the others begin at rest. Returns the neurons that
        fired, in order; the number of these spikes that each event caused (N,); the end of each sample's spikes (S,).
        """
        caused = np.zeros(len(sites), np.int32)
        neurons = np.empty(FIRST_ROOM * len(sites) + self.windows.margin, np.int32)
        fired, fired_ends = integrate_samples(self.windows, state, self.start, sites, ends, neurons, caused)
        return fired, caused, fired_ends


def make_layout(layer: Layer, coordinates: Array, state: DTypeLike) -> Layout | None:
    """The layout of ``layer`` for the vector loops; its events arrive at ``coordinates`` (N, 3) of its input map.

    None if they cannot run it: with groups, dilation, thresholds of single neurons, or many spikes per update.
    """
    settled, neurons = is_settled(layer), layer.neurons
    if not is_plain(layer) or not (neurons.at_most_one or neurons.reset == "zero" or settled):
        return None
    return _layout(layer, coordinates, np.dtype(state), settled)


def is_plain(layer: Layer) -> bool:
    """Whether ``layer`` has neither groups, nor dilation, nor thresholds of single neurons."""
    synapses = layer.single
    return synapses.groups == 1 and synapses.dilation == (1, 1) and np.ndim(layer.neurons.threshold) == 0


def is_settled(layer: Layer) -> bool:
    """Whether V < threshold before every update, the first included, so that no update causes more than one spike.

    In float32 V + w - threshold may round up to the threshold; the limit of half the threshold leaves room for that.
    """
    neurons, weights = layer.neurons, layer.single.weights
    room, lowest = 1.0 if weights.dtype.kind == "i" else 0.5, float(np.min(neurons.threshold))
    if np.max(neurons.v_init) >= lowest:
        return False
    return neurons.reset == "zero" or bool(weights.max(initial=0) <= room * lowest)


@dataclass(frozen=True, eq=False)
class Axis:
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


def axis_of(synapses: Synapses, axis: int) -> Axis:
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
    return Axis(np.array(first), tuple(taps), size)


def _layout(layer: Layer, coordinates: Array, state: np.dtype[Any], settled: bool) -> Layout | None:
    """The layout of ``layer`` for a V of type ``state``; None if its offsets exceed the bits for them."""
    synapses, neurons = layer.single, layer.neurons
    channels, (features, _, width) = synapses.in_shape[0], synapses.out_shape
    lanes = lanes_of(state)
    slot = _slot(features, lanes)
    ys, xs = axis_of(synapses, 0), axis_of(synapses, 1)
    starts = (xs.first + xs.before) * slot
    shifts = starts % lanes
    window = Window(ys.reach, -(-(int(shifts.max()) + xs.reach * slot) // lanes), lanes)
    row = window.vectors * lanes
    pitch = max(int((starts - shifts).max()) + row, -(-xs.length * slot // lanes) * lanes)
    numbers = numbers_of(layer, state)
    shape = EventLoop(
        state=state.name,
        weights=synapses.weights.dtype.name,
        rows=window.rows,
        vectors=window.vectors,
        lanes=lanes,
        pitch=pitch,
        subtract=neurons.reset == "subtract",
        settled=settled,
        capped=state.kind == "i" and not (settled and has_room(layer)),
    )
    weights, y_kind, x_kind = _weights(synapses, ys, xs, shifts, slot, (window.rows, row))
    targets, y_mask, x_mask = _targets(ys, xs, shifts, features, window)
    inside = coordinates[:, 0] >= 0
    c, y, x = coordinates[inside].T
    places = np.empty((4, len(coordinates)), np.int64)
    places[:] = np.array(
        [ys.length * pitch // lanes, weights.size // lanes - window.rows * window.vectors, len(targets) - 1, 0]
    )[:, None]
    places[0, inside] = ((ys.first[y] + ys.before) * pitch + (starts - shifts)[x]) // lanes
    places[1, inside] = ((y_kind[y] * (x_kind.max() + 1) + x_kind[x]) * channels + c) * window.rows * window.vectors
    places[2, inside] = y_mask[y] * (x_mask.max() + 1) + x_mask[x]
    places[3, inside] = (ys.first[y] * width + xs.first[x] - shifts[x] // slot) * features
    if places[:2].max() >= 1 << PLACE_BITS or len(targets) > 1 << WORD - 2 * PLACE_BITS:
        return None
    group_row, lane = np.divmod(np.arange(shape.groups * WORD + 1), shape.groups_per_row * WORD)
    in_registers = settled and synapses.out_shape[1:] == (1, 1)
    tables = Windows(
        optimistic=0,
        noting=0,
        records=not in_registers,
        table=(places[0] | places[1] << PLACE_BITS | places[2] << 2 * PLACE_BITS).astype(np.uint64),
        places=((places[3] & 0xFFFFFFFF) | places[2] * shape.groups << 32).astype(np.uint64),
        weights=aligned_copy(weights).view(np.uint8),
        numbers=numbers.view(np.uint8),
        thresholds=_thresholds(targets, numbers, window, settled).view(np.uint8),
        masks=np.packbits(targets, axis=1, bitorder="little").view(np.uint64).ravel(),
        bit_neuron=(group_row * width * features + lane // slot * features + lane % slot).astype(np.int32),
        groups=shape.groups,
        shift=shape.shift,
        margin=max(WORDS, 1 << shape.shift) * WORD + 2 * ALWAYS,
    )
    start = _start(layer, (ys, xs), (ys.length + window.rows, pitch), slot, state)
    return Layout(shape, write_register_loop if in_registers else write_event_loop, tables, start)


def has_room(layer: Layer) -> bool:
    """Whether no V exceeds an int16 in a settled ``layer``."""
    heaviest = int(layer.single.weights.max(initial=0))
    return float(layer.neurons.threshold) + heaviest <= np.iinfo(np.int16).max


def bias_of(layer: Layer, state: np.dtype[Any]) -> int:
    """What is added to V in the state: in integers, a V at the floor becomes the lowest number."""
    if state.kind == "f" or layer.neurons.floor is None:
        return 0
    return int(np.iinfo(state).min) - int(layer.neurons.floor)


def numbers_of(layer: Layer, state: np.dtype[Any]) -> Array:
    """The numbers of `deploytool.run.kernels.event_stationary.NUMBERS`."""
    neurons, bias = layer.neurons, bias_of(layer, state)
    if state.kind == "f":
        threshold = state.type(neurons.threshold)
        floor = -np.inf if neurons.floor is None else neurons.floor
        return np.array([np.nextafter(threshold, state.type(-np.inf)), threshold, floor, 0], state)
    threshold, most = int(state.type(neurons.threshold)), int(np.iinfo(state).max)
    return np.array([threshold - 1 + bias, threshold, most + bias, bias], state)


def _thresholds(targets: Array, numbers: Array, window: Window, settled: bool) -> Array:
    """(K, rows * vectors * lanes): the threshold of each lane, which only ``targets`` (K, bits) reach."""
    if settled:
        return numbers
    row = window.vectors * window.lanes
    lanes = targets.reshape(len(targets), window.rows, -1)[:, :, :row]
    beyond = np.inf if numbers.dtype.kind == "f" else np.iinfo(numbers.dtype).max
    return aligned_copy(np.where(lanes, numbers[0], numbers.dtype.type(beyond)))


def _start(layer: Layer, axes: tuple[Axis, Axis], shape: tuple[int, int], slot: int, state: np.dtype[Any]) -> Array:
    """The padded state, of ``shape`` (rows, pitch) flat, before the first event: ``v_init`` in the neurons' slots."""
    (features, height, width), (rows, pitch) = layer.out_shape, shape
    padded = np.full((rows, pitch), bias_of(layer, state), state)
    row, column = axes[0].before, axes[1].before * slot
    v_init = np.broadcast_to(np.asarray(layer.neurons.v_init, state), layer.out_shape).transpose(1, 2, 0)
    slots = np.full((height, width, slot), padded[0, 0], state)
    slots[:, :, :features] += v_init
    padded[row : row + height, column : column + width * slot] = slots.reshape(height, -1)
    return aligned_copy(padded).view(np.uint8)


def _slot(features: int, lanes: int) -> int:
    """The number of lanes per target. It divides a vector or is a whole number of vectors, so that every vector begins
    with the first lane of a target."""
    if features > lanes:
        return -(-features // lanes) * lanes
    return 1 << (features - 1).bit_length()


def _weights(
    synapses: Synapses, ys: Axis, xs: Axis, shifts: Array, slot: int, shape: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Weights (blocks, *``shape``) of all windows, and the kind of window at each row and at each column.

    There is a block for each kind of row, kind of column, and input channel. The last block is for no window
    and holds zeros.
    """
    channels, features = synapses.in_shape[0], synapses.out_shape[0]
    y_kinds = list(dict.fromkeys(ys.taps))
    x_kinds = list(dict.fromkeys(zip(xs.taps, shifts.tolist(), strict=True)))
    blocks = np.zeros((len(y_kinds) * len(x_kinds) * channels + 1, *shape), synapses.weights.dtype)
    for number, (y_taps, (x_taps, shift)) in enumerate(itertools.product(y_kinds, x_kinds)):
        block = blocks[number * channels : (number + 1) * channels]
        for (row, ky), (column, kx) in itertools.product(enumerate(y_taps), enumerate(x_taps)):
            lane = shift + column * slot
            block[:, row, lane : lane + features] = synapses.weights[:, :, ky, kx].T
    y_kind = np.array([y_kinds.index(taps) for taps in ys.taps])
    x_kind = np.array([x_kinds.index(kind) for kind in zip(xs.taps, shifts.tolist(), strict=True)])
    return blocks, y_kind, x_kind


def _targets(ys: Axis, xs: Axis, shifts: Array, features: int, window: Window) -> tuple[Array, Array, Array]:
    """Which lanes (kinds, bits of all words) are targets, and the kind at each row and at each column.

    Each row begins a new word. The last kind is for no window and has no targets.
    """
    slot = _slot(features, window.lanes)
    lane = np.arange(-(-window.vectors * window.lanes // WORD) * WORD)
    column = (lane - shifts[:, None]) // slot
    in_window = (column >= 0) & (column < xs.reach) & (lane % slot < features)
    x_real = in_window & np.take_along_axis(xs.real(), np.clip(column, 0, xs.reach - 1), axis=1)
    y_found, y_kind = np.unique(ys.real(), axis=0, return_inverse=True)
    x_found, x_kind = np.unique(x_real, axis=0, return_inverse=True)
    lanes = (y_found[:, None, :, None] & x_found[None, :, None, :]).reshape(len(y_found) * len(x_found), -1)
    return np.concatenate([lanes, np.zeros_like(lanes[:1])]), y_kind.ravel(), x_kind.ravel()
