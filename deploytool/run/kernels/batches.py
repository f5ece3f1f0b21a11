"""The compiled passes over a batch: events of consecutive samples one after the other, with the end of each sample.

A batch passes through a layer in one call without the GIL; each sample begins at rest.
"""

# mypy: disable-error-code="untyped-decorator, assignment, no-any-return, no-untyped-call, misc"
# numba has no types of its own.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.ir.events import Events, Strides
from deploytool.run.kernels.spikes import notes_for, run_events

NO_BINS: Final = np.empty(0, np.int64)


class Queue(NamedTuple):
    """Spikes of consecutive samples, in order: those of sample s are the ones before ``ends[s]``, ``ends`` (S,) int64.

    ``neurons`` (N,) int32 are the neurons that fired, channels-last. ``causes`` (N,) int32 are the input events that
    made them fire, by their numbers in the batch; it is empty if causes are not requested. ``bins`` (B,) is where the
    spikes of each bin of 1 ms end.
    """

    causes: Array
    neurons: Array
    ends: Array
    bins: Array = NO_BINS


@compiled
def copy(source: Array, to: Array) -> None:
    """Copies ``source`` (N,) to ``to`` in vectors, which numba does not do when it assigns a whole array."""
    for i in range(np.uint64(len(source))):
        to[i] = source[i]


@compiled
def integrate_samples(
    windows: Any, state: Array, start: Array, sites: Array, ends: Array, neurons: Array, caused: Array
) -> tuple[Array, Array]:
    """The effect of the events at ``sites`` (N,) on a layer, sample by sample; the samples end at ``ends`` (S,).

    The first sample continues from ``state``, the others begin at ``start``, both as bytes. Changes ``state``. Writes
    the number of spikes that each event caused to ``caused`` (N,), which holds zeros, and the neurons that fired, in
    order, to ``neurons``; a larger copy takes its place when it is full. Returns the neurons that fired, and the end of
    each sample's spikes (S,).
    """
    fired, notes = np.empty(len(ends), np.int64), notes_for(windows)
    begin = end = 0
    noting = False
    for sample in range(len(ends)):
        if sample:
            copy(start, state)
        stop = ends[sample]
        neurons, end, noting = run_events(windows, state, sites, begin, stop, notes, neurons, end, caused, noting)
        fired[sample] = end
        begin = ends[sample]
    return neurons[:end], fired


@compiled
def sites_of(events: Events, strides: Strides) -> Array:
    """(N,) int32: the numbers of ``events`` (N,) by the ``strides`` of a map, as `deploytool.ir.events` has them."""
    sites = np.empty(len(events), np.int32)
    for i in range(len(events)):
        event = events[i]
        sites[i] = event.c * strides.c + event.y * strides.y + event.x * strides.x
    return sites


@compiled
def merge(a: Queue, b: Queue, by_neuron: bool) -> tuple[Array, Array]:
    """(causes, neurons) of two queues, merged in order of their causes. Spikes with one cause are in order of their
    neurons with ``by_neuron``; otherwise those of ``a`` come first."""
    total = len(a.neurons) + len(b.neurons)
    causes, neurons = np.empty(total, np.int32), np.empty(total, np.int32)
    i = j = 0
    for place in range(total):
        first = j == len(b.causes)
        if not first and i < len(a.causes):
            first = a.causes[i] < b.causes[j]
            if a.causes[i] == b.causes[j]:
                first = not by_neuron or a.neurons[i] <= b.neurons[j]
        if first:
            causes[place], neurons[place] = a.causes[i], a.neurons[i]
            i += 1
        else:
            causes[place], neurons[place] = b.causes[j], b.neurons[j]
            j += 1
    return causes, neurons


@compiled
def spread(tags: Array, caused: Array, total: int) -> Array:
    """(``total``,): each of ``tags`` (N,), repeated as often as ``caused`` (N,) says."""
    result = np.empty(total, tags.dtype)
    end = 0
    for event in range(len(caused)):
        for _ in range(caused[event]):
            result[end] = tags[event]
            end += 1
    return result


@compiled
def tally_samples(counts: Array, place: Array, neurons: Array, ends: Array) -> None:
    """Adds to ``counts`` (S, N) how often each neuron is in ``neurons``, in which the spikes of each sample end at
    ``ends`` (S,); neuron n is counted at ``place[n]``."""
    begin = 0
    for sample in range(len(ends)):
        row = counts[sample]
        for neuron in neurons[begin : ends[sample]]:
            row[place[np.uint64(neuron)]] += 1
        begin = ends[sample]
