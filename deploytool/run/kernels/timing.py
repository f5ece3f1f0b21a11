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
from deploytool.base.compiled import compiled
from deploytool.ir.events import Events

BIN_US: Final = 1000
"""The length of a bin in us."""

BLOCK: Final = 512
"""Number of events of which `follow` keeps the sums."""


@compiled
def bins_of(events: Events, ends: Array) -> tuple[Array, Array, Array]:
    """The bins that hold ``events`` (N,) of samples that end at ``ends`` (S,).

    Returns the number of each bin within its sample, in ms (B,); where its events end (B,); and where the bins of each
    sample end (S,).
    """
    ms, stops = np.empty(len(events), np.int64), np.empty(len(events), np.int64)
    samples = np.empty(len(ends), np.int64)
    one, bins, begin = np.uint64(1), np.uint64(0), 0
    for sample in range(len(ends)):
        last = np.int64(-1)
        for i in range(np.uint64(begin), np.uint64(ends[sample])):
            now = np.int64(np.uint64(events[i].t) // np.uint64(BIN_US))
            bins += np.uint64(now != last)
            last = now
            ms[bins - one], stops[bins - one] = now, i + one
        samples[sample] = bins
        begin = ends[sample]
    return ms[:bins], stops[:bins], samples


@compiled
def follow(stops: Array, sites: Array, reach: Array, caused: Array) -> tuple[Array, Array]:
    """The load (B,) of bins that end at ``stops`` (B,) among events, and where they end (B,) among their spikes.

    Each event at site n makes ``reach[n]`` synaptic updates, and event i causes ``caused[i]`` spikes. Both are summed
    over blocks of events and read where bins end, because the CPU cannot predict how many events a bin has.
    """
    one, bins, number = np.uint64(1), np.uint64(len(stops)), np.uint64(0)
    loads, moved = np.empty(len(stops), np.int64), np.empty(len(stops), np.int64)
    updates, spikes = np.zeros(BLOCK + 1, np.int64), np.zeros(BLOCK + 1, np.int64)
    before, load, total = np.int64(0), np.int64(0), np.int64(0)
    for first in range(np.uint64(0), np.uint64(len(sites)) + one, np.uint64(BLOCK)):
        events = min(np.uint64(BLOCK), np.uint64(len(sites)) - first)
        updates[0], spikes[0] = load, total
        for i in range(events):
            load += reach[np.uint32(sites[first + i])]
            total += caused[first + i]
            updates[i + one], spikes[i + one] = load, total
        while number < bins and np.uint64(stops[number]) <= first + events:
            place = np.uint64(stops[number]) - first
            loads[number], moved[number] = updates[place] - before, spikes[place]
            before = updates[place]
            number += one
    return loads, moved


@compiled
def window_starts(ms: Array, samples: Array, windows: Array) -> Array:
    """(W, B): the first bin in each of ``windows`` (W,) ms that ends with a bin.

    ``ms`` (B,) ascend within a sample; the bins of each sample end at ``samples`` (S,).
    """
    starts = np.empty((len(windows), len(ms)), np.int64)
    for column in range(len(windows)):
        first = 0
        for sample in range(len(samples)):
            begin = samples[sample - 1] if sample else 0
            first = max(first, begin)
            for number in range(begin, samples[sample]):
                while ms[first] <= ms[number] - windows[column]:
                    first += 1
                starts[column, number] = first
    return starts


@compiled
def measure(loads: Array, before: int, samples: Array, starts: Array, rows: Array) -> None:
    """Adds to ``rows`` (S, 1 + W) what the ``loads`` (B,) of bins of samples that end at ``samples`` (S,) measure.

    The first column is their load in total, without the bins ``before``, which are in it already. The others are the
    largest of the windows that begin at ``starts`` (W, B), those of `window_starts`; a bin that is in the list twice
    counts as the sum of both.
    """
    totals, total = np.empty(len(loads) + 1, np.int64), np.int64(0)
    totals[0] = 0
    for number in range(np.uint64(len(loads))):
        total += loads[number]
        totals[number + np.uint64(1)] = total
    begin = np.uint64(0)
    for sample in range(len(samples)):
        end = np.uint64(samples[sample])
        rows[sample, 0] += totals[end] - totals[max(begin, np.uint64(before))]
        for column in range(len(starts)):
            most = rows[sample, 1 + column]
            for number in range(begin, end):
                most = max(most, totals[number + np.uint64(1)] - totals[np.uint64(starts[column, number])])
            rows[sample, 1 + column] = most
        begin = end


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
