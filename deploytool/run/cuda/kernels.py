"""The GPU kernels, which process the events of many samples in one layer.

The queue of a layer holds the events of all samples, one sample after the other. The ``cause`` of an event is the input
event from which it came, given by its number in the batch. Each spike is first stored as one bit of the event that
causes it, at the place of its target in the window. The bits are then read in the order of the specification.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba import config, cuda, types
from numba.cuda import libdevice

from deploytool.run.cuda.lanes import (
    COLUMN,
    COLUMNS,
    FEATURE,
    FEATURES,
    FIELDS,
    FIRST,
    ROW,
    ROWS,
    TAP,
    WEIGHT_ROW,
)
from deploytool.run.reference.exponential import HALVES, LOG2_HIGH, LOG2_LOW, LONG, PER_LOG2, TERMS

TILE: Final = 32
"""Number of events whose records a block reads at once."""

WORD: Final = 32
"""Number of bits in a word of marks."""

STRETCH: Final = 64
"""Number of events whose spikes one thread counts."""


class Queue(NamedTuple):
    """Events that arrive at a layer, or spikes that leave one: ``sites`` (N,) and ``tags`` (N,), sample after sample.

    A tag is the number, in the chunk, of the input event that is the cause. In a part of a layer, it is the number of
    the event in the part's queue.
    """

    sites: Any
    tags: Any

    @property
    def size(self) -> int:
        return int(self.sites.size)


class Arrivals(NamedTuple):
    """The events of a queue from number ``start`` on: ``sites`` (N,), ``causes`` (N,), and ``times_us`` of all causes.

    In the whole queue, the events of sample s are numbered ``begins[s]`` to ``begins[s + 1]``.
    """

    begins: Any
    start: int
    sites: Any
    causes: Any
    times_us: Any


class Potentials(NamedTuple):
    """``v`` (samples, neurons) and, if neurons leak, ``updated_us``, the time of the last update of each."""

    v: Any
    updated_us: Any


class Marks(NamedTuple):
    """The effect of each of N events: ``fired`` (words, N) has a bit for each target that fired, and ``caused`` (N,) is
    the number of spikes. ``amounts`` (targets, N) is the number for each target, if one can fire more than once."""

    fired: Any
    amounts: Any
    caused: Any


class Totals(NamedTuple):
    """Per sample: ``synops`` (samples,), and the lowest and highest V, ``extremes`` (samples, 2)."""

    synops: Any
    extremes: Any


@cuda.jit
def clear(values: Any) -> None:
    """Sets ``values`` (N,) to 0."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        values[i] = 0


@cuda.jit
def repeat(start: Any, values: Any) -> None:
    """Fills ``values`` (N,) with repeated copies of ``start``."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        values[i] = start[i % len(start)]


@cuda.jit
def rank(keys: Any, others: Any, ties: bool, ranks: Any) -> None:
    """Adds to ``ranks`` (N,) the number of sorted ``others`` below each of ``keys`` (with ``ties``: below or equal)."""
    for i in range(cuda.grid(1), len(keys), cuda.gridsize(1)):
        key, low, high = keys[i], 0, len(others)
        while low < high:
            middle = (low + high) // 2
            if others[middle] < key or (ties and others[middle] == key):
                low = middle + 1
            else:
                high = middle
        ranks[i] += low


@cuda.jit
def scatter(values: Any, offset: int, ranks: Any, merged: Any) -> None:
    """Writes ``values[i] + offset`` to ``merged[ranks[i] + i]``."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        merged[ranks[i] + i] = values[i] + offset


@cuda.jit
def gather(values: Any, chosen: Any) -> None:
    """Replaces each element of ``chosen`` (N,), an index, by the element of ``values`` at that index."""
    for i in range(cuda.grid(1), len(chosen), cuda.gridsize(1)):
        chosen[i] = values[chosen[i]]


@cuda.jit
def pair(events: Any, neurons: Any, size: int, keys: Any) -> None:
    """Writes ``keys`` (N,), which ascend by event, then by neuron of a map of ``size``."""
    for i in range(cuda.grid(1), len(keys), cuda.gridsize(1)):
        keys[i] = np.int64(events[i]) * size + neurons[i]


@cuda.jit
def tally(causes: Any, neurons: Any, sample_of: Any, counts: Any) -> None:
    """Adds to ``counts`` (samples, neurons) how often each neuron fired."""
    for i in range(cuda.grid(1), len(neurons), cuda.gridsize(1)):
        cuda.atomic.add(counts, (sample_of[causes[i]], neurons[i]), 1)


@cuda.jit
def load(causes: Any, sites: Any, reach: Any, bin_of: Any, loads: Any) -> None:
    """Adds to ``loads`` (B,) the synaptic updates of each event, ``reach`` of its site, in the bin of its cause."""
    for i in range(cuda.grid(1), len(sites), cuda.gridsize(1)):
        cuda.atomic.add(loads, bin_of[causes[i]], np.int64(reach[sites[i]]))


@cuda.jit
def subtotal(caused: Any, totals: Any) -> None:
    """Writes to ``totals`` the sums of every `STRETCH` elements of ``caused`` (N,)."""
    for i in range(cuda.grid(1), len(totals), cuda.gridsize(1)):
        total = 0
        for event in range(i * STRETCH, min((i + 1) * STRETCH, len(caused))):
            total += caused[event]
        totals[i] = total


@cuda.jit
def cumulate(caused: Any, begins: Any, ends: Any) -> None:
    """Writes to ``ends`` (N,) where the spikes of each event end; those of each `STRETCH` begin at ``begins``."""
    for i in range(cuda.grid(1), len(begins), cuda.gridsize(1)):
        end = begins[i]
        for event in range(i * STRETCH, min((i + 1) * STRETCH, len(caused))):
            end += caused[event]
            ends[event] = end


@cuda.jit
def expand(lanes: Any, events: Any, marks: Any, ends: Any, logical: Any, spikes: Any) -> None:
    """Writes the ``spikes`` of ``events``, each a `Queue`, in order: the neurons that fired, and the events' tags.

    The spikes of each event end at ``ends`` (N,). Neuron n is written as ``logical[n]``, unless ``logical`` is empty.
    """
    for i in range(cuda.grid(1), len(events.sites), cuda.gridsize(1)):
        begin, end = ends[i] - marks.caused[i], ends[i]
        word = 0
        while begin < end:
            left = marks.fired[word, i]
            while left:
                bit = cuda.ffs(left) - 1
                left &= left - np.uint32(1)
                target = word * WORD + bit
                feature, place = target % lanes.features, target // lanes.features
                row, column = place // lanes.columns, place % lanes.columns
                first = lanes.records[events.sites[i], FIRST]
                neuron = first + row * lanes.row_stride + column * lanes.column_stride + feature
                if len(logical):
                    neuron = logical[neuron]
                for _ in range(marks.amounts[target, i] if lanes.most > 1 else 1):
                    spikes.sites[begin] = neuron
                    spikes.tags[begin] = events.tags[i]
                    begin += 1
            word += 1


def _product(a: float, b: float) -> float:
    return a * b


times: Final[Any] = _product if config.ENABLE_CUDASIM else libdevice.dmul_rn
"""The product of two float64, rounded before anything is added to it: no fused multiply-add."""


@cuda.jit(device=True)
def remains(passed_us: int, tau_us: float) -> float:
    """`deploytool.run.reference.exponential.remains`, bit-identical."""
    x = min(passed_us / tau_us, LONG)
    k = float(math.floor(times(x, PER_LOG2) + 0.5))
    r = times(k, LOG2_HIGH) - x + times(k, LOG2_LOW)
    power = 0.0
    for term in TERMS:
        power = times(power, r) + term
    return times(power, HALVES[int(k)])


@cuda.jit(device=True)
def decayed(v: Any, v_leak: float, tau_us: float, passed_us: int) -> Any:
    """V after a leak over ``passed_us``."""
    if passed_us <= 0:
        return v
    return np.float32(v_leak + times(v - v_leak, remains(passed_us, tau_us)))


@cuda.jit(device=True)
def from_first(lane: int, first: int, size: int) -> int:
    """The distance, along an axis of ``size`` lanes, from lane ``first`` to ``lane``."""
    return lane - first if lane >= first else lane - first + size


@cuda.jit(device=True)
def mark(target: Any, event: int, fired: int, many: bool, marks: Any) -> None:
    """Marks that ``target`` of the window of ``event`` has ``fired``, and how often if there can be ``many`` spikes."""
    if fired:
        bit = np.uint32(1) << target % np.uint32(WORD)
        cuda.atomic.or_(marks.fired, (target // np.uint32(WORD), event), bit)
        cuda.atomic.add(marks.caused, event, fired)
        if many:
            marks.amounts[target, event] = fired


@cuda.jit(device=True)
def copy(values: Any, to: Any) -> None:
    """Copies ``values`` (N,); the threads of a block share the work."""
    for i in range(cuda.threadIdx.x, len(to), cuda.blockDim.x):
        to[i] = values[i]


@cuda.jit(device=True)
def read(records: Any, sites: Any, event: int, count: int, tile: Any) -> None:
    """Copies ``records`` of ``count`` events, from ``event`` on, to ``tile``; the threads of a block share the work."""
    for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        for field in range(FIELDS):
            tile[i, field] = records[sites[event + i], field]


@cuda.jit(device=True)
def leaked(v: Any, neuron: Any, t_us: int, sample: int, lanes: Any, updated_us: Any) -> Any:
    """V at ``t_us``; stores ``t_us`` as the time of the last update."""
    passed_us = t_us - updated_us[sample, neuron]
    now = decayed(v, lanes.v_leak[neuron], lanes.tau_us[neuron], passed_us)
    updated_us[sample, neuron] = t_us
    return now


@cache
def update_and_fire(wide: Any) -> tuple[Any, Any]:
    """Two device functions that update a neuron for an event, computed in the type ``wide``.

    ``update(v, weight, lanes)`` returns V + w within its bounds. ``fire(v, neuron, lanes)`` returns V after the
    neuron's spikes, and their number.
    """

    @cuda.jit(device=True)
    def update(v: Any, weight: Any, lanes: Any) -> Any:
        u = wide(wide(v) + wide(weight))
        u = lanes.floor if u < lanes.floor else u
        return lanes.ceiling if u > lanes.ceiling else u

    @cuda.jit(device=True)
    def fire(v: Any, neuron: Any, lanes: Any) -> Any:
        u, fired = v, 0
        while u >= wide(lanes.threshold[neuron]) and fired < lanes.most:
            u = wide(u - wide(lanes.threshold[neuron])) if lanes.subtract else wide(lanes.v_reset[neuron])
            fired += 1
        return u, fired

    return update, fire


@cache
def integrate(kind: np.dtype[Any], leaks: bool, shared: bool) -> Any:
    """The kernel for events in a layer whose V has type ``kind``; ``shared``: V is in a block's shared memory.

    Its blocks are (sample, part of the lanes). Its arguments are `Lanes`, `Arrivals`, `Potentials`, `Marks` and
    `Totals`.
    """
    integers = kind.kind == "i"
    wide = np.int32 if integers else np.float32
    narrow = types.int16 if integers else types.float32
    update, fire = update_and_fire(wide)

    @cuda.jit
    def kernel(lanes: Any, arrivals: Any, potentials: Any, marks: Any, totals: Any) -> None:
        sample = cuda.blockIdx.x
        lane = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        own_feature, place = lane % lanes.features, lane // lanes.features
        own_column, own_row = place % lanes.columns, place // lanes.columns
        tile = cuda.shared.array((TILE, FIELDS), np.int32)
        v = potentials.v[sample]
        if shared:
            v = cuda.shared.array(0, narrow)
            copy(potentials.v[sample], v)
        updates, lowest, highest = 0, wide(0), wide(0)
        event = max(arrivals.begins[sample] - arrivals.start, 0)
        end = min(arrivals.begins[sample + 1] - arrivals.start, len(arrivals.sites))
        while event < end:
            together = min(end - event, TILE)
            cuda.syncthreads()
            read(lanes.records, arrivals.sites, event, together, tile)
            cuda.syncthreads()
            for i in range(together):
                row = from_first(own_row, tile[i, ROW], lanes.rows)
                column = from_first(own_column, tile[i, COLUMN], lanes.columns)
                feature = from_first(own_feature, tile[i, FEATURE], lanes.features)
                reached = row < tile[i, ROWS] and column < tile[i, COLUMNS] and feature < tile[i, FEATURES]
                if own_row >= lanes.rows or not reached:
                    continue
                neuron = np.uint32(tile[i, FIRST] + row * lanes.row_stride + column * lanes.column_stride + feature)
                tap = np.uint32(tile[i, TAP] + row * tile[i, WEIGHT_ROW] + column * tile[i, FEATURES] + feature)
                now = v[neuron]
                if leaks:
                    t_us = arrivals.times_us[arrivals.causes[event + i]]
                    now = leaked(now, neuron, t_us, sample, lanes, potentials.updated_us)
                u = update(now, lanes.weights[tap], lanes)
                updates += 1
                if integers:
                    lowest, highest = min(lowest, u), max(highest, u)
                if u >= lanes.least:
                    u, fired = fire(u, neuron, lanes)
                    target = np.uint32((row * lanes.columns + column) * lanes.features + feature)
                    mark(target, event + i, fired, lanes.most > 1, marks)
                v[neuron] = u
            event += together
        if shared:
            cuda.syncthreads()
            copy(v, potentials.v[sample])
        if updates:
            cuda.atomic.add(totals.synops, sample, updates)
            cuda.atomic.min(totals.extremes, (sample, 0), lowest)
            cuda.atomic.max(totals.extremes, (sample, 1), highest)

    return kernel
