"""NIR data: the spikes of the nodes of a NIR graph, in the HDF5 layout of ``nir.write_data`` (nir 1.0.8).

    attribute __type__ = NIRGraphData
    nodes/NODE                   __type__ = NIRNodeData, or NIRGraphData for a graph in a graph
    nodes/NODE/observables/NAME  __type__ = EventData: idx and time (S, N), n_neurons, t_max; idx is -1 behind the last
                                 ValuedEventData: as well value (S, N)
                                 TimeGriddedData: data (S, T, neurons), dt

S are samples. NIR does not state a unit of time; files of deploytool have microseconds and say so in an attribute
``time_unit``. The index of a neuron is the flat index on the map (C, H, W) of its node.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import h5py
import numpy as np

from deploytool.base.arrays import Array, Shape, doubles
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.base.files import write_file
from deploytool.base.hdf5 import ARRAYS_ALLOWED, DAMAGE, bytes_of, require_sound_heaps
from deploytool.data.formats.reading import UNITS_US
from deploytool.data.spikes.gathered import Gathered
from deploytool.data.spikes.rows import Rows
from deploytool.data.spikes.samples import Samples, check_number
from deploytool.data.spikes.schema import LEFT_OUT, Header
from deploytool.data.spikes.write import kept_samples
from deploytool.ir.events import DURATION_MAX_US, places_of
from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording

TYPE: Final = "__type__"
UNIT: Final = "time_unit"
OBSERVABLE: Final = "spikes"
DEPTH_MAX: Final = 16
SPIKE_BYTES: Final = 32
"""Bytes of a spike while it is read: its sample, time step, neuron and time."""
NEED: Final = "NIR data, as nir.write_data writes them"


@dataclass(frozen=True, eq=False)
class Observed:
    """The spikes of ``node`` in S ``samples``: of the neurons ``neuron`` (N,), in the samples ``sample`` (N,), at the
    times ``t`` (N,). The node has ``neurons``, and was recorded until ``t_max``."""

    node: str
    samples: int
    neurons: int
    t_max: float
    sample: Array
    neuron: Array
    t: Array


@dataclass(frozen=True, eq=False)
class NirData:
    """All nodes of a file that spike, and the unit of their times, None if it is not stated."""

    nodes: tuple[Observed, ...]
    unit: str | None


def read_nir_data(path: Path, bytes_allowed: int) -> NirData:
    """The spikes in the file ``path``.

    Raises InputError if it is damaged or something else, or if its arrays take more than ``bytes_allowed``.
    """
    where = str(path)
    try:
        require_sound_heaps(path)
        with h5py.File(path, "r") as file:
            if "node" in file and TYPE not in file.attrs:
                raise InputError(where, "a NIR graph, which is a network", NEED, "Map it, and give the program.")
            if file.attrs.get(TYPE) != "NIRGraphData":
                raise InputError(where, "an HDF5 file without NIR data", NEED)
            reading = _Reading(where, bytes_allowed)
            nodes = tuple(reading.nodes(file, "", 0))
            unit = file.attrs.get(UNIT)
            return NirData(nodes, str(unit) if unit in UNITS_US else None)
    except DAMAGE as error:
        reason = " ".join(str(error).strip("'\"").split()).rstrip(".") or type(error).__name__
        raise InputError(where, f"cannot be read ({reason})", NEED) from None


@dataclass
class _Reading:
    """The state of reading the file ``where``: the bytes left for arrays."""

    where: str
    bytes_left: int

    def nodes(self, group: h5py.Group, prefix: str, depth: int) -> Iterator[Observed]:
        """What was observed of the nodes in ``group``, whose names begin with ``prefix``."""
        if depth > DEPTH_MAX:
            raise InputError(self.where, f"graphs nested more than {DEPTH_MAX} deep", "fewer")
        for name, node in self.members(group["nodes"]):
            if node.attrs[TYPE] == "NIRGraphData":
                yield from self.nodes(node, f"{prefix}{name}.", depth + 1)
            elif observed := self.observed(f"{prefix}{name}", dict(self.members(node["observables"]))):
                yield observed

    def members(self, group: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
        """(name, group) of all in ``group``."""
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(self.where, f"{group.name}/{name} is a link", "groups and arrays in the file itself")
            yield str(name), group[name]

    def observed(self, node: str, observables: Mapping[str, h5py.Group]) -> Observed | None:
        """The spikes of ``node``: the observable of that name, or the only one of events; None if there are none."""
        events = [name for name, each in observables.items() if _may_spike(each)]
        name = OBSERVABLE if OBSERVABLE in observables else events[0] if len(events) == 1 else None
        if name is None and events:
            raise InputError(f"{self.where}: {node}", f"observables {', '.join(events)}", f"one called {OBSERVABLE}")
        if name is None:
            return None
        found = observables[name]
        if found.attrs[TYPE] == "TimeGriddedData":
            return self.gridded(node, found)
        if found.attrs[TYPE] not in ("EventData", "ValuedEventData"):
            raise InputError(f"{self.where}: {node}", f"data of type {found.attrs[TYPE]!r}", "EventData")
        return self.events(node, found)

    def events(self, node: str, group: h5py.Group) -> Observed:
        neuron, t = self.array(group, "idx"), self.array(group, "time")
        where = f"{self.where}: {node}"
        if neuron.ndim != 2 or neuron.shape != t.shape or neuron.dtype.kind not in "iu" or t.dtype.kind not in "iuf":
            found = f"idx {neuron.shape} of {neuron.dtype} and time {t.shape} of {t.dtype}"
            raise InputError(where, found, "integers and numbers of one shape (samples, events)")
        there = neuron != -1
        if "value" in group and (self.array(group, "value")[there] != 1).any():
            raise InputError(where, "events with values", "spikes, which have none")
        self._keep(int(np.count_nonzero(there)), where)
        sample = np.nonzero(there)[0]
        neurons, t_max = int(group.attrs["n_neurons"]), float(group.attrs["t_max"])
        return Observed(node, len(neuron), neurons, t_max, sample, neuron[there].astype(np.int64), t[there])

    def gridded(self, node: str, group: h5py.Group) -> Observed:
        data, dt = self.array(group, "data"), float(group.attrs["dt"])
        if data.ndim != 3 or data.dtype.kind not in "biuf" or not all(map(_is_binary, data)):
            found = f"data {data.shape} of {data.dtype}"
            raise InputError(f"{self.where}: {node}", found, "0 and 1 of shape (samples, time steps, neurons)")
        if not (dt > 0 and math.isfinite(data.shape[1] * dt)):
            raise InputError(
                f"{self.where}: {node}", f"time steps of dt = {dt:g}", "a time step above 0 whose multiples are finite"
            )
        self._keep(int(np.count_nonzero(data)), f"{self.where}: {node}")
        sample, step, neuron = np.nonzero(data)
        return Observed(node, len(data), data.shape[2], data.shape[1] * dt, sample, neuron, step * dt)

    def _keep(self, spikes: int, where: str) -> None:
        """Raises InputError if there is no room for so many ``spikes``, which take more than a grid that holds them."""
        self.bytes_left -= SPIKE_BYTES * spikes
        if self.bytes_left < 0:
            raise InputError(
                where, f"{spikes:,} spikes, too many for a file of this size", f"arrays of {ARRAYS_ALLOWED}"
            )

    def array(self, group: h5py.Group, name: str) -> Array:
        self.bytes_left -= bytes_of(group[name], self.where, self.bytes_left)
        return np.asarray(group[name][()])


def _is_binary(grid: Array) -> bool:
    return bool(((grid == 0) | (grid == 1)).all())


def _may_spike(group: h5py.Group) -> bool:
    kind = group.attrs[TYPE]
    return bool(kind == "EventData" or (kind == "TimeGriddedData" and group["data"].dtype.kind == "b"))


def samples_in_nir_data(data: NirData, time_unit: str | None, where: str, bytes_allowed: int) -> Samples | None:
    """The samples of ``data``: numbered, of the duration until the last node was recorded; None without nodes."""
    if not data.nodes:
        return None
    samples = data.nodes[0].samples
    check_number(samples, 0, bytes_allowed, where)
    t_max, unit = max(node.t_max for node in data.nodes), data.unit or time_unit
    durations = np.zeros(0)
    if unit is not None and 0 < t_max * UNITS_US[unit] <= DURATION_MAX_US:
        durations = np.full(samples, math.ceil(t_max * UNITS_US[unit]))
    return Samples(tuple(map(str, range(samples))), np.full(samples, -1), durations.astype(np.int64))


def add_nir_data(gathered: Gathered, data: NirData) -> None:
    """Adds the spikes of all nodes to ``gathered``. Raises InputError for a node that does not fit its layer."""
    renames, where = gathered.statements.renames, gathered.where
    if data.unit is None and gathered.statements.time_unit is None:
        todo = "Add --time-unit us, ms or s."
        raise InputError(where, "times without a unit, which NIR does not state", "the unit of its times", todo)
    known = gathered.found.result()
    for node in data.nodes:
        if renames.get(node.node) == LEFT_OUT:
            continue
        place = f"{where}: {node.node}"
        one = gathered.map_of(node.node, place)
        if node.neurons != math.prod(one.shape):
            raise InputError(place, f"{node.neurons} neurons", f"{math.prod(one.shape)}, as layer {one.layer} has")
        if node.samples != len(known):
            raise InputError(place, f"{node.samples} samples", f"{len(known)}, as many as there are")
        t, name = doubles(node.t), "time"
        if data.unit is not None:
            with np.errstate(over="ignore", invalid="ignore"):  # who reads the column says what is not finite
                t, name = np.rint(t * UNITS_US[data.unit]), "t_us"
        columns = {"sample": known.numbers[node.sample], "t_us": t, "neuron": node.neuron}
        header = Header("spikes", MappingProxyType({"sample": "sample", "t_us": name, "neuron": "idx"}))
        gathered.watch(one)
        gathered.add_rows(Rows(place, header, columns, np.arange(len(node.t)), "spike", node.node))


def write_nir_data(recording: Recording, path: Path, input_shape: Shape | None) -> None:
    """Writes the single spikes that ``recording`` kept to the file ``path``, for the samples of which it kept all.

    A layer is called as the last of its nodes, that of its neurons. Input events are left out if ``input_shape`` is
    None. Raises UnsupportedError for a name that HDF5 does not take.
    """
    chosen = np.flatnonzero(kept_samples(recording))
    last = {layer: node for node, layer in recording.aliases.items()}
    shapes = {layer: counts.shape[1:] for layer, counts in recording.counts.items()}
    shapes |= {INPUT: input_shape} if input_shape is not None else {}
    kept = {layer: spikes for layer, spikes in recording.spikes.items() if layer in shapes}
    t_max = max([0, *recording.durations_us.tolist(), *(int(each["t"].max(initial=-1)) + 1 for each in kept.values())])
    with h5py.File("unnamed", "w", driver="core", backing_store=False) as file:
        file.attrs[TYPE], file.attrs[UNIT] = "NIRGraphData", "us"
        nodes = file.create_group("nodes")
        for layer, spikes in kept.items():
            name = last.get(layer, layer)
            if "/" in name or name in (".", ".."):
                raise UnsupportedError(f"layer {name!r}", "a name that HDF5 does not take", "--spikes FILE.npz")
            node = nodes.create_group(name)
            node.attrs[TYPE] = "NIRNodeData"
            group = node.create_group("observables").create_group(OBSERVABLE)
            _write_events(group, spikes, shapes[layer], chosen)
            group.attrs["t_max"] = float(t_max)
        file.flush()
        image = file.id.get_file_image()
    write_file(path, image)


def _write_events(group: h5py.Group, spikes: Array, shape: Shape, chosen: Array) -> None:
    """Writes the ``spikes`` of the samples ``chosen`` (S,) as EventData."""
    starts, ends = (np.searchsorted(spikes["sample"], chosen, side) for side in ("left", "right"))
    longest = int((ends - starts).max(initial=0))
    neuron, t = np.full((len(chosen), longest), -1), np.full((len(chosen), longest), np.inf)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        neuron[row, : end - start] = places_of(spikes[start:end], shape)
        t[row, : end - start] = spikes["t"][start:end]
    group.attrs[TYPE], group.attrs["n_neurons"] = "EventData", math.prod(shape)
    for name, array in (("idx", neuron), ("time", t)):
        group.create_dataset(name, data=array, compression="gzip" if array.size else None, track_times=False)
