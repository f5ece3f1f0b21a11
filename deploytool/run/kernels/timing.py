"""The compiled passes that follow time through a batch: bins of a millisecond, their load, and the decision.

Most layers do not carry the causes of their spikes, which would cost more time than the layers. What they carry is how
many spikes each event caused, and that is enough to find where a bin ends in the queue of every layer.
"""

# mypy: disable-error-code="untyped-decorator, assignment, no-any-return, no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.events import Events
from deploytool.run.kernels.general import compiled

BIN_US: Final = 1000
"""The length of a bin in us."""


@compiled
def bins_of(events: Events, ends: Array) -> tuple[Array, Array, Array]:
    """The bins that hold ``events`` (N,) of samples that end at ``ends`` (S,).

    Returns the number of each bin within its sample, in ms (B,); where its events end (B,); and where the bins of each
    sample end (S,).
    """
    ms, stops = np.empty(len(events), np.int64), np.empty(len(events), np.int64)
    samples = np.empty(len(ends), np.int64)
    bins = begin = 0
    for sample in range(len(ends)):
        last = -1
        for i in range(begin, ends[sample]):
            now = events[i].t // BIN_US
            if now != last:
                ms[bins] = last = now
                bins += 1
            stops[bins - 1] = i + 1
        samples[sample] = bins
        begin = ends[sample]
    return ms[:bins], stops[:bins], samples


@compiled
def moved(stops: Array, caused: Array) -> Array:
    """(B,): where bins end among the spikes, when they end at ``stops`` (B,) among the events that ``caused`` them."""
    moved_stops = np.empty(len(stops), np.int64)
    total = begin = 0
    for number in range(len(stops)):
        spikes = np.int32(0)
        for i in range(np.uint64(begin), np.uint64(stops[number])):
            spikes += caused[i]
        total += spikes
        moved_stops[number] = total
        begin = stops[number]
    return moved_stops


@compiled
def loads_of(stops: Array, sites: Array, reach: Array) -> Array:
    """(B,): the synaptic updates in each bin, where an event at site n makes ``reach[n]`` of them."""
    loads = np.empty(len(stops), np.int64)
    begin = 0
    for number in range(len(stops)):
        total = np.int64(0)
        for i in range(np.uint64(begin), np.uint64(stops[number])):
            total += reach[np.uint32(sites[i])]
        loads[number] = total
        begin = stops[number]
    return loads


@compiled
def busiest(ms: Array, loads: Array, samples: Array, windows: Array) -> Array:
    """(S, W): the largest load of successive bins in each of ``windows`` (W,) ms, of samples that end at ``samples``.

    ``ms`` (B,) ascend within a sample; a bin that is in the list twice counts as the sum of both.
    """
    found = np.zeros((len(samples), len(windows)), np.int64)
    for column in range(len(windows)):
        begin = 0
        for sample in range(len(samples)):
            first, total = begin, np.int64(0)
            for number in range(begin, samples[sample]):
                total += loads[number]
                while ms[first] <= ms[number] - windows[column]:
                    total -= loads[first]
                    first += 1
                found[sample, column] = max(found[sample, column], total)
            begin = samples[sample]
    return found


@compiled
def last_changes(counts: Array, answers: Array, neurons: Array, ends: Array, places: Array) -> Array:
    """(S,): the position in ``neurons`` (N,) of the last spike that changed the answer of each sample, -1 without one.

    The spikes of a sample end at ``ends`` (S,). ``counts`` (S, K) are the spikes so far of each output, and ``answers``
    (S,) the answers, -1 without a spike; both are changed. Neuron n is the output ``places[n]``.
    """
    changes = np.full(len(ends), -1, np.int64)
    begin = 0
    for sample in range(len(ends)):
        row, answer = counts[sample], answers[sample]
        for i in range(begin, ends[sample]):
            place = places[np.uint32(neurons[i])]
            row[place] += 1
            ahead = answer < 0 or row[place] > row[answer] or (row[place] == row[answer] and place < answer)
            if ahead and place != answer:
                answer = place
                changes[sample] = i
        answers[sample] = answer
        begin = ends[sample]
    return changes


@compiled
def causes_of(spikes: Array, stops: Array, moved_stops: Array, caused: Array) -> Array:
    """(K,): the position of the event that caused each of ``spikes`` (K,), positions among the spikes; -1 stays -1.

    Bins end at ``stops`` (B,) among the events and at ``moved_stops`` (B,) among the spikes that these ``caused``.
    """
    found = np.full(len(spikes), -1, np.int64)
    for number in range(len(spikes)):
        spike = spikes[number]
        if spike >= 0:
            place = np.searchsorted(moved_stops, spike, "right")
            event = stops[place - 1] if place else 0
            total = moved_stops[place - 1] if place else 0
            while total + caused[event] <= spike:
                total += caused[event]
                event += 1
            found[number] = event
    return found
