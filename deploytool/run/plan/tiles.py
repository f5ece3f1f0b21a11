"""The layout of a layer of many features for the output-stationary loop: place by place, in blocks of features."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.native import aligned_copy, lanes_of, native
from deploytool.ir.program import Layer, Synapses
from deploytool.run.kernels.output_stationary import (
    PLACES,
    ListLoop,
    TileLoop,
    Tiles,
    integrate_tiles,
    write_column_lists,
    write_row_lists,
    write_tile_loop,
)
from deploytool.run.plan.windows import Axis, axis_of, bias_of, has_room, is_plain, is_settled, numbers_of

VECTORS: Final = 4
"""Number of vectors of neurons in registers."""

BLOCKS: Final = 2
"""Number of blocks of features from which on this loop is faster than the event-stationary one, by measurement."""

FIRST_ROOM: Final = 2
"""Number of spikes per event for which there is room before a buffer grows."""


@dataclass(frozen=True, eq=False)
class TileLayout:
    """A layer in the form that the output-stationary loop takes, for its ``shape``.

    ``tables`` lack the loops, which are compiled when they are first needed. ``start`` is the state before the first
    event, as bytes: (height, blocks, width, features of a block).
    """

    shape: TileLoop
    tables: Tiles
    start: Array

    @property
    def loop(self) -> str:
        """The name of the loop."""
        return "output-stationary"

    @cached_property
    def tiles(self) -> Tiles:
        """The tables with the addresses of the loops."""
        return self.tables._replace(
            rows_of=native(write_row_lists, ListLoop(self.tables.reach)),
            columns_of=native(write_column_lists, ListLoop(self.tables.most // self.tables.reach)),
            loop=native(write_tile_loop, self.shape),
        )

    def rest(self) -> Array:
        """The state before the first event."""
        return aligned_copy(self.start)

    def integrate(self, state: Array, sites: Array, ends: Array) -> tuple[Array, Array, Array]:
        """As `deploytool.run.plan.windows.Layout.integrate`."""
        caused, neurons = np.zeros(len(sites), np.int32), np.empty(FIRST_ROOM * len(sites), np.int32)
        fired, fired_ends = integrate_tiles(self.tiles, state, self.start, sites, ends, neurons, caused)
        return fired, caused, fired_ends


def make_tiles(layer: Layer, coordinates: Array, state: np.dtype[Any]) -> TileLayout | None:
    """The layout of a settled ``layer`` of integers, whose events arrive at ``coordinates`` (N, 3) of its input map.

    None if the loop cannot run it or another one is faster: if it has few features or one place, or is too large.
    """
    synapses, (features, height, width), lanes = layer.single, layer.out_shape, lanes_of(state)
    suited = state.kind == "i" and is_plain(layer) and is_settled(layer)
    if not suited or features < BLOCKS * VECTORS * lanes or height * width == 1:
        return None
    shape = TileLoop(
        weights=synapses.weights.dtype.name,
        vectors=VECTORS,
        lanes=lanes,
        subtract=layer.neurons.reset == "subtract",
        capped=not has_room(layer),
    )
    ys, xs = axis_of(synapses, 0), axis_of(synapses, 1)
    weights, places = _weights(synapses, ys, xs, shape)
    if max(ys.length + ys.reach, xs.length + xs.reach) > PLACES or weights[0].size > lanes << 16:
        return None
    inside = coordinates[:, 0] >= 0
    c, y, x = coordinates[inside].T
    table = np.full(len(coordinates), ys.length << 48, np.uint64)
    first = (ys.first[y] + ys.before << 48) | (xs.first[x] + xs.before << 32)
    table[inside] = first | (places[y, x] + c * (ys.reach * xs.reach * shape.vectors))
    tables = Tiles(
        rows_of=0,
        columns_of=0,
        loop=0,
        table=table,
        weights=aligned_copy(weights).view(np.uint8),
        numbers=numbers_of(layer, state),
        row_ones=_ones(ys.reach),
        column_ones=_ones(xs.reach),
        row_step=xs.reach * shape.vectors,
        column_step=shape.vectors,
        first_row=ys.before,
        first_column=xs.before,
        height=height,
        width=width,
        features=features,
        blocks=len(weights),
        block=weights[0].size,
        lanes=shape.features,
        words=shape.words,
        reach=ys.reach,
        most=ys.reach * xs.reach,
    )
    return TileLayout(shape, tables, _start(layer, len(weights), shape.features, state))


def _weights(synapses: Synapses, ys: Axis, xs: Axis, shape: TileLoop) -> tuple[Array, Array]:
    """Weights (blocks, places, features of a block) of all events, and where those of an event at input row y and
    column x of channel 0 begin, in vectors of a block (H, W)."""
    features, channels = synapses.weights.shape[:2]
    y_kinds, x_kinds = list(dict.fromkeys(ys.taps)), list(dict.fromkeys(xs.taps))
    blocks = -(-features // shape.features)
    kinds = len(y_kinds), len(x_kinds), channels
    weights = np.zeros((blocks * shape.features, *kinds, ys.reach, xs.reach), shape.weights)
    for (row, y_taps), (column, x_taps) in itertools.product(enumerate(y_kinds), enumerate(x_kinds)):
        taps = synapses.weights[:, :, np.array(y_taps, int)][:, :, :, np.array(x_taps, int)]
        weights[:features, row, column, :, : len(y_taps), : len(x_taps)] = taps
    y_kind = np.array([y_kinds.index(taps) for taps in ys.taps])
    x_kind = np.array([x_kinds.index(taps) for taps in xs.taps])
    places = (y_kind[:, None] * len(x_kinds) + x_kind) * channels * (ys.reach * xs.reach * shape.vectors)
    return weights.reshape(blocks, shape.features, -1).transpose(0, 2, 1), places


def _ones(reach: int) -> Array:
    """(PLACES, PLACES) uint8, flat: row n has 1 in columns n to n + reach - 1."""
    row, column = np.indices((PLACES, PLACES))
    return aligned_copy(((column >= row) & (column < row + reach)).astype(np.uint8))


def _start(layer: Layer, blocks: int, size: int, state: np.dtype[Any]) -> Array:
    """The state (height, blocks, width, ``size``), as bytes, before the first event."""
    features, height, width = layer.out_shape
    v_init = np.broadcast_to(np.asarray(layer.neurons.v_init, state), layer.out_shape)
    start = np.zeros((blocks * size, height, width), state)
    start[:features] = v_init
    start = start.reshape(blocks, size, height, width).transpose(2, 0, 3, 1) + state.type(bias_of(layer, state))
    return aligned_copy(start).view(np.uint8)
