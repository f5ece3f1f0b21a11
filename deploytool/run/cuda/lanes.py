"""The lanes of a layer: the assignment of neurons to GPU threads, in which no two threads share a neuron.

An input event reaches rows x columns x features targets. The targets of a window of that size at any place have
different (row mod rows, column mod columns, feature mod features). One lane holds all neurons with one such triple. It
processes the events in order and updates at most one neuron for each. It does not wait for other lanes, and its results
do not depend on what they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import to_channels_last
from deploytool.ir.neurons import Neurons
from deploytool.run.kernels.general import Geometry
from deploytool.run.plan.layers import LayerPlan, Plan
from deploytool.run.reference.neurons import on_map

FIRST, TAP, WEIGHT_ROW, ROW, ROWS, COLUMN, COLUMNS, FEATURE, FEATURES = range(9)
"""The columns of a record: what an event at one site does.

`FIRST` is the first target neuron and `TAP` its weight. The next row of targets is `Lanes.row_stride` neurons and
`WEIGHT_ROW` weights further on, the next column `Lanes.column_stride` neurons and `FEATURES` weights. There are
`ROWS` x `COLUMNS` x `FEATURES` targets; the first belongs to the lane (`ROW`, `COLUMN`, `FEATURE`). An event outside
the map has no targets.
"""
FIELDS: Final = 9


class Lanes(NamedTuple):
    """A layer for the GPU: ``rows`` x ``columns`` x ``features`` lanes, ``records`` (sites, FIELDS) int32.

    ``weights`` are those of all synapses, flat. Arrays over neurons (N,) are channels-last: V at the ``start``,
    ``threshold``, ``v_reset``, and ``tau_us`` and ``v_leak``, which are empty if no neuron leaks. V stays within
    ``floor`` and ``ceiling``. One update causes at most ``most`` spikes, and none if V is below ``least``.
    """

    records: Any
    weights: Any
    start: Any
    threshold: Any
    v_reset: Any
    tau_us: Any
    v_leak: Any
    rows: int
    columns: int
    features: int
    row_stride: int
    column_stride: int
    floor: Any
    ceiling: Any
    least: Any
    subtract: bool
    most: int

    @property
    def number(self) -> int:
        """The number of lanes, which is the largest number of targets of one event."""
        return self.rows * self.columns * self.features

    @property
    def leaks(self) -> bool:
        return len(self.tau_us) > 0


def make_lanes(layer: LayerPlan, neurons: Neurons) -> Lanes:
    """The lanes of ``layer``, which must be supported on the GPU, with these ``neurons``."""
    kind, geometries = layer.threshold.dtype, _geometries(layer)
    synapses_of = np.zeros(len(layer.coordinates), np.int64) if layer.leaky is None else layer.leaky.synapses_of
    row_unit, column_unit = (max(found, default=1) for found in _distances(geometries))
    window = (
        max(1, *(int(each.rows[:, 1].max()) for each in geometries)),
        max(1, *(int(each.columns[:, 1].max()) for each in geometries)),
        max(each.features_per_group for each in geometries),
    )
    units = row_unit, column_unit
    records = np.zeros((len(layer.coordinates), FIELDS), np.int32)
    taps = np.cumsum([0, *(len(each.weights) for each in geometries)])
    for number, geometry in enumerate(geometries):
        chosen = (synapses_of == number) & (layer.coordinates[:, 0] >= 0)
        records[chosen] = _records(geometry, layer.coordinates[chosen], taps[number], window, units)
    one, tau_us, v_leak = layer.geometry, np.empty(0), np.empty(0)
    if neurons.leak is not None:
        tau_us = 1000 * to_channels_last(on_map(neurons.leak.tau_ms, layer.shape, np.float64))
        v_leak = to_channels_last(on_map(neurons.leak.v_leak, layer.shape, np.float64))
    wide = np.float32 if kind.kind == "f" else np.int32
    return Lanes(
        records=records,
        weights=np.concatenate([each.weights for each in geometries]),
        start=layer.start,
        threshold=layer.threshold,
        v_reset=to_channels_last(on_map(neurons.v_reset, layer.shape, kind)),
        tau_us=tau_us,
        v_leak=v_leak,
        rows=window[0],
        columns=window[1],
        features=window[2],
        row_stride=row_unit * one.width * one.features,
        column_stride=column_unit * one.features,
        floor=wide(layer.floor),
        ceiling=wide(np.inf if kind.kind == "f" else np.iinfo(kind).max),
        least=wide(layer.least),
        subtract=layer.subtract,
        most=layer.most,
    )


def refuse(plan: Plan) -> None:
    """Raises UnsupportedError with everything in a program that only the CPU supports."""
    problems: list[UnsupportedError] = []

    def found(name: str, what: str, need: str) -> None:
        problems.append(UnsupportedError(f"layer {name!r}", what, f"{need} on a GPU", "Run it with --device cpu."))

    for each in plan.program.delayed:
        found(each.to, f"gets spikes of {each.source!r} with a delay", "routes without a delay")
    for layer in plan.layers:
        if layer.ticks:
            found(layer.name, "has a bias, which the slow clock adds", "layers without a bias")
        if layer.decimation > 1:
            found(layer.name, f"has an output decimator of {layer.decimation}", "layers without a decimator")
        if plan.program.layers[layer.name].neurons.fires_between:
            found(layer.name, "may fire between two inputs", "neurons that fire only on an input")
        for distances in _distances(_geometries(layer)):
            if len(distances) > 1:
                listed = " and ".join(map(str, sorted(distances)))
                found(layer.name, f"synapses whose targets are {listed} apart", "the same distance for all of them")
    if problems:
        raise UnsupportedError.together(problems)


def _geometries(layer: LayerPlan) -> tuple[Geometry, ...]:
    """The geometries of all synapses of ``layer``."""
    return (layer.geometry,) if layer.leaky is None else layer.leaky.geometries


def _distances(geometries: Iterable[Geometry]) -> tuple[set[int], set[int]]:
    """The distance between successive targets: (rows, columns), in all ``geometries`` that have several."""
    rows = {each.row_step for each in geometries if each.rows[:, 1].max() > 1}
    return rows, {each.column_step for each in geometries if each.columns[:, 1].max() > 1}


def _records(
    geometry: Geometry, places: Array, tap: int, window: tuple[int, int, int], units: tuple[int, int]
) -> Array:
    """The records (N, FIELDS) of events at ``places`` (N, 3), whose weights begin at ``tap``."""
    c, y, x = places.T
    first_row, rows, kernel_row = geometry.rows[y].T
    first_column, columns, kernel_column = geometry.columns[x].T
    features = geometry.features_per_group
    feature = c // geometry.inputs_per_group * features
    found = np.empty((len(places), FIELDS), np.int32)
    found[:, FIRST] = (first_row * geometry.width + first_column) * geometry.features + feature
    taps = (c * geometry.kernel_rows + kernel_row) * geometry.kernel_columns + kernel_column
    found[:, TAP] = tap + taps * features
    found[:, WEIGHT_ROW] = geometry.kernel_columns * features
    found[:, ROW], found[:, ROWS] = first_row // units[0] % window[0], rows
    found[:, COLUMN], found[:, COLUMNS] = first_column // units[1] % window[1], columns
    found[:, FEATURE], found[:, FEATURES] = feature % window[2], features
    return found
