"""The compiled pass of a batch of events through a chain of layers: one call for all of them, without the GIL.

Each layer is a record, a `LINK`, so that one compiled function serves chains of any length: what is an array elsewhere
is an address here.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, misc"
# numba has no types of its own.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import carray
from numba.extending import register_jitable

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.base.native import pointer
from deploytool.ir.events import Events, Strides
from deploytool.run.kernels.batches import integrate_samples, sites_of, tally_samples
from deploytool.run.kernels.spikes import Windows
from deploytool.run.kernels.timing import bins_of, causes_of, follow, last_changes, measure, window_starts

_OF_A_LINK: Final = ("source", "reach", "start", "state", "bytes", "neurons", "place", "counts", "room")

LINK: Final = np.dtype([(name, np.int64) for name in (*Windows._fields, *_OF_A_LINK)])
"""A layer of a chain: its `Windows`, each array by its address; the number of the layer that is its ``source``, -1 for
the input; the addresses of ``reach`` (N,) int32, as in `follow`, of its ``start`` and of its ``state``, both of so many
``bytes``; the number of its ``neurons``; the addresses of ``place`` (N,) int32 and of ``counts`` (S, N) int64, as in
`tally_samples`, where 0 is no counting; and the ``room``, in spikes, with which its buffer begins."""


class Load(NamedTuple):
    """The load of L layers: ``rows`` (L, S, 1 + W) as `measure` has them, for ``windows`` (W,) in ms; and ``ms`` (R,)
    and ``loads`` (L, R) of the bins before, which may be in a window with the next ones."""

    windows: Array
    rows: Array
    ms: Array
    loads: Array


class Answers(NamedTuple):
    """The answers of S samples: ``counts`` (S, K) and ``answers`` (S,) as `last_changes` has them; the times of the
    first event, ``starts_us`` (S,), -1 if there is none, and of the decision after it, ``found_us`` (S,).

    The output is layer number ``link``, whose neuron n is the output ``places[n]``.
    """

    link: int
    places: Array
    counts: Array
    answers: Array
    starts_us: Array
    found_us: Array


@compiled
def run_chain(
    links: Array, events: Events, ends: Array, strides: Strides, load: Load, answers: Answers
) -> tuple[Array, Array]:
    """Passes ``events`` (N,) of samples that end at ``ends`` (S,) through all ``links`` (L,), in order.

    The first sample continues from the state; the others begin at rest. Adds to the counts, and to what ``load`` and
    ``answers`` hold. Returns (ms, loads) of the last bins, which the next events of a single sample need.
    """
    ms, stops, samples = bins_of(events, ends)
    before = len(load.ms)
    ms, samples = np.concatenate((load.ms, ms)), samples + before
    starts = window_starts(ms, samples, load.windows)
    loads = np.empty((len(links), len(ms)), np.int64)
    queues, queue_ends, bins = [sites_of(events, strides)], [ends], [stops]
    effects = [np.empty(0, np.int32)]
    for number in range(len(links)):
        link = links[number]
        sites, source = queues[link.source + 1], link.source + 1
        reach = carray(pointer(link.reach), (1,), np.int32)
        state = carray(pointer(link.state), (link.bytes,), np.uint8)
        start = carray(pointer(link.start), (link.bytes,), np.uint8)
        room, caused = np.empty(max(link.room, 2 * len(sites)) + link.margin, np.int32), np.zeros(len(sites), np.int32)
        neurons, fired = integrate_samples(_windows(link), state, start, sites, queue_ends[source], room, caused)
        if len(neurons) > link.room:
            links[number].room = len(neurons)
        loads[number, :before] = load.loads[number]
        loads[number, before:], moved = follow(bins[source], sites, reach, caused)
        measure(loads[number], before, samples, starts, load.rows[number])
        if link.counts:
            counts = carray(pointer(link.counts), (len(ends), link.neurons), np.int64)
            tally_samples(counts, carray(pointer(link.place), (link.neurons,), np.int32), neurons, fired)
        queues.append(neurons)
        queue_ends.append(fired)
        bins.append(moved)
        effects.append(caused)
    _decide(links, events, ends, answers, queues[answers.link + 1], queue_ends[answers.link + 1], bins, effects)
    first = len(ms)
    for column in range(len(starts)):
        first = min(first, starts[column, -1] if len(ms) else 0)
    return ms[first:].copy(), loads[:, first:].copy()


@register_jitable
def _windows(link: Any) -> Any:
    """The `Windows` of a ``link``. What only its loops read remains an address."""
    return Windows(
        link.optimistic,
        link.noting,
        link.records != 0,
        link.table,
        carray(pointer(link.places), (1,), np.uint64),
        link.weights,
        link.numbers,
        link.thresholds,
        carray(pointer(link.masks), (1,), np.uint64),
        carray(pointer(link.bit_neuron), (1,), np.int32),
        link.groups,
        link.shift,
        link.margin,
    )


@register_jitable
def _decide(
    links: Array, events: Events, ends: Array, answers: Any, spikes: Array, fired: Array, bins: Any, effects: Any
) -> None:
    """Adds the output ``spikes`` to ``answers``: the time of an event that changed one is found layer by layer."""
    begin = 0
    for sample in range(len(ends)):
        if answers.starts_us[sample] < 0 and ends[sample] > begin:
            answers.starts_us[sample] = events[begin].t
        begin = ends[sample]
    changes = last_changes(answers.counts, answers.answers, spikes, fired, answers.places)
    number = answers.link
    while number >= 0:
        source = links[number].source
        changes = causes_of(changes, bins[source + 1], bins[number + 1], effects[number + 1])
        number = source
    for sample in range(len(ends)):
        if changes[sample] >= 0:
            answers.found_us[sample] = events[changes[sample]].t - answers.starts_us[sample]
