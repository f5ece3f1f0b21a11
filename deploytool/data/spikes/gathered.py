"""What a file of spikes or counts says, gathered from its rows and arrays into a recording."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, format_shape
from deploytool.base.errors import InputError, UsageError
from deploytool.data.spikes.counted import COUNT_MAX, Activity, whole_counts
from deploytool.data.spikes.layers import Map, Maps
from deploytool.data.spikes.rows import Rows, Texts
from deploytool.data.spikes.samples import NONE, Found, Samples, check_number
from deploytool.data.spikes.schema import LEFT_OUT
from deploytool.data.spikes.statements import Statements
from deploytool.data.spikes.times import check_unit, times_us
from deploytool.ir.program import INPUT
from deploytool.ir.recording import RUNGS, SPIKE, Recording, RungName

IGNORED: Final = -1
"""The index of a map whose rows are left out."""


class Gathered:
    """The spikes and counts of the file ``where``, for the layers of ``maps`` and the samples ``known``, if any.

    Its arrays may take ``bytes_allowed``. Everything wrong raises InputError with the place in the file.
    """

    def __init__(
        self, where: str, maps: Maps, known: Samples | None, statements: Statements, bytes_allowed: int
    ) -> None:
        self.where, self.maps, self.statements, self.bytes_allowed = where, maps, statements, bytes_allowed
        self.found = Found(known)
        self.layers: dict[str, Activity] = {}
        self.maps_seen: list[Map] = []
        self._index_of: dict[Map, int] = {}
        self._named: dict[object, int] = {}
        self.unit_known = statements.time_unit is not None

    def map_of(self, name: str, where: str) -> Map:
        """The map called ``name`` in the file."""
        return self.maps.of_name(self.statements.renames.get(name, name), where)

    def watch(self, one: Map) -> None:
        """Marks the layer of ``one`` as recorded, even if it has no spike."""
        self._activity(one.layer)

    def add_rows(self, rows: Rows) -> None:
        """Adds ``rows`` of a table of spikes or of counts."""
        if not len(rows):
            return
        layer = self._layers(rows)
        if (layer == IGNORED).any():
            rows, layer = rows.only(layer != IGNORED), layer[layer != IGNORED]
        sample = self.found.indices(rows)
        place = self._places(rows, layer)
        value = self._times(rows, sample) if rows.header.kind == "spikes" else self._counts(rows)
        for index in np.unique(layer).tolist():
            chosen = np.flatnonzero(layer == index) if len(self.maps_seen) > 1 else slice(None)
            one = self.maps_seen[index]
            parts = [sample[chosen], value[chosen], *(axis[chosen] for axis in place)]
            parts[2] = parts[2] + one.first
            if rows.header.kind == "spikes":
                self._activity(one.layer).spikes.append(_spikes(*parts))
            else:
                self._activity(one.layer).cells.append(np.stack([*parts, rows.numbers[chosen]]))

    def add_counts(self, one: Map, counts: Array, where: str) -> None:
        """Adds ``counts`` (S, C, H, W), or (S, C * H * W), of the map ``one``; messages call them ``where``."""
        self._refuse_input(one, where)
        if counts.ndim == 2 and counts.shape[1] == math.prod(one.shape):
            counts = counts.reshape(len(counts), *one.shape)
        if counts.shape[1:] != one.shape:
            found = f"an array of shape ({', '.join(map(str, counts.shape))})"
            need = f"(samples, {', '.join(map(str, one.shape))}), counts of layer {one.layer}"
            raise InputError(where, found, need, "Sum it over its time steps." if counts.ndim == 5 else "")
        counts, samples = whole_counts(counts, where), self.found.result()
        if len(counts) != len(samples):
            raise InputError(where, f"{len(counts)} samples", f"{len(samples)}, as many as there are")
        if one.first in self._activity(one.layer).arrays:
            raise InputError(where, f"counts of layer {one.layer} once more", "each layer once")
        self._activity(one.layer).arrays[one.first] = counts

    def recording(self, aliases: Mapping[str, str], outputs: Sequence[str]) -> Recording:
        """The recording of all that was added; ``outputs`` are its outputs if it has counts of all of them."""
        for name in self.statements.watch:
            self.watch(self.map_of(name, "--watch"))
        if self.found.known is None:
            each = sum(8 * math.prod(activity.shape) for activity in self.layers.values())
            check_number(len(self.found), each, self.bytes_allowed, self.where)
        samples = self.found.result()
        spikes = {layer: self.layers[layer].in_order() for layer in self.maps.whole if layer in self.layers}
        if not any(len(each) for each in spikes.values()):
            spikes = {}
        if not self.unit_known:
            check_unit(spikes, samples.durations_us, self.where)
        counts = {}
        for layer in self.maps.whole:
            if layer != INPUT and layer in self.layers:
                counts[layer] = self.layers[layer].counted(len(samples), spikes.get(layer))
        if not counts:
            raise InputError(self.where, "no spikes and no counts of a layer", "at least one layer", _WATCH)
        for array in (*counts.values(), *spikes.values()):
            array.setflags(write=False)
        return Recording(
            rung=_rung(self.statements.rung),
            samples=samples.names,
            labels=samples.labels,
            outputs=tuple(outputs) if set(outputs) <= counts.keys() else (),
            counts=counts,
            synops=NONE,
            spikes=spikes,
            aliases={node: layer for node, layer in aliases.items() if layer in counts},
            durations_us=samples.durations_us,
        )

    def _layers(self, rows: Rows) -> NDArray[np.int64]:
        """(N,): the index in ``maps_seen`` of the map of each row."""
        role = next((role for role in ("layer", "core") if role in rows.columns), None)
        if role is None:
            return np.full(len(rows), self._index(self._only_map(rows)))
        if self.statements.layer is not None:
            raise UsageError("--layer", f"given with {rows.where}, which names its layers", "a file that does not")
        column = rows.columns[role]
        if isinstance(column, Texts):
            codes, values = column.codes, list(column.texts)
        else:
            numbers, codes = np.unique(column, return_inverse=True)
            values = numbers.tolist()
        indices = []
        for code, value in enumerate(values):
            if value not in self._named:
                self._named[value] = self._named_index(value, role, rows, int(np.argmax(codes == code)))
            indices.append(self._named[value])
        return np.array(indices)[codes]

    def _named_index(self, value: object, role: str, rows: Rows, row: int) -> int:
        """The index of the map that row ``row`` names ``value``, or `IGNORED`."""
        if role == "layer" and self.statements.renames.get(str(value)) == LEFT_OUT:
            return IGNORED
        where = rows.place(row)
        one = self.maps.of_core(int(str(value)), where) if role == "core" else self.map_of(str(value), where)
        if rows.header.kind == "counts":
            self._refuse_input(one, where)
        return self._index(one)

    def _only_map(self, rows: Rows) -> Map:
        """The map of all ``rows``, which have no column that names it."""
        if rows.layer is not None:
            return self.map_of(rows.layer, rows.where)
        if self.statements.layer is None:
            todo = "Add --layer LAYER if all rows are of one layer."
            raise InputError(rows.where, "no column layer", "the layer of every row", todo)
        return self.maps.of_name(self.statements.layer, "--layer")

    def _index(self, one: Map) -> int:
        if one not in self._index_of:
            self._index_of[one] = len(self.maps_seen)
            self.maps_seen.append(one)
        return self._index_of[one]

    def _places(self, rows: Rows, layer: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """[feature, row, column] (N,) each, of the neurons of ``rows`` on the maps with the indices ``layer``."""
        sizes = np.array([one.shape for one in self.maps_seen])
        if "neuron" in rows.columns:
            neuron, (height, width) = rows.integers("neuron"), sizes[layer, 1:].T
            self._need(rows, layer, "neuron", (neuron >= 0) & (neuron < sizes.prod(axis=1)[layer]))
            return [neuron // (height * width), neuron // width % height, neuron % width]
        for axis, role in enumerate("cyx"):
            values = rows.integers(role)
            self._need(rows, layer, role, (values >= 0) & (values < sizes[layer, axis]))
        return [rows.integers(role) for role in "cyx"]

    def _need(self, rows: Rows, layer: NDArray[np.int64], role: str, right: NDArray[np.bool_]) -> None:
        """Raises InputError for the first row whose ``role`` is outside its map."""
        if not right.all():
            one = self.maps_seen[int(layer[np.argmin(right)])]
            most = math.prod(one.shape) if role == "neuron" else one.shape["cyx".index(role)]
            part = f" from feature {one.first} on" if one.first else ""
            rows.need(right, role, f"0..{most - 1} on the map {format_shape(one.shape)} of {one.layer}{part}")

    def _times(self, rows: Rows, sample: NDArray[np.int64]) -> NDArray[np.int64]:
        self.unit_known |= rows.header.states_us
        durations = self.found.known.durations_us if self.found.known is not None else NONE
        return times_us(rows, self.statements.time_unit, durations[sample] if len(durations) else None)

    def _counts(self, rows: Rows) -> NDArray[np.int64]:
        counts = rows.integers("count")
        rows.need((counts >= 0) & (counts <= COUNT_MAX), "count", f"0..{COUNT_MAX}")
        return counts

    def _activity(self, layer: str) -> Activity:
        return self.layers.setdefault(layer, Activity(layer, self.maps.whole[layer], self.where))

    def _refuse_input(self, one: Map, where: str) -> None:
        if one.layer == INPUT:
            raise InputError(where, "counts of the input", "its single spikes, or counts of layers only")


_WATCH: Final = "Name the layers that were recorded with --watch if all of them were silent."


def _spikes(sample: Array, t: Array, c: Array, y: Array, x: Array) -> Array:
    spikes = np.empty(len(sample), SPIKE)
    for name, column in zip(("sample", "t", "c", "y", "x"), (sample, t, c, y, x), strict=True):
        spikes[name] = column
    return spikes


def _rung(name: str) -> RungName:
    return next(rung for rung in RUNGS if rung == name)
