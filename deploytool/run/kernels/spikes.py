"""From the bits of lanes that fired to spikes: the event-stationary loop on a block of events, and its notes."""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call, misc, return-value"
# numba has no types of its own, and to it an int is an int64.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.base.native import WORD, call, first_bit, not_zero, number_of_bits
from deploytool.run.kernels.general import grown

WORDS: Final = 1024
"""Number of words of bits for the events of a block, unless one event has more."""

ALWAYS: Final = 2
"""Number of spikes that are written for each group in any case: no branch to mispredict."""

NOTING: Final = 0.2
"""Number of groups that fired per event in a block from which on the noting form of a loop runs the next block."""


class Windows(NamedTuple):
    """A layer as the event-stationary loop takes it: see `deploytool.run.kernels.event_stationary`.

    ``optimistic`` and ``noting`` are the addresses of the two forms of its loop; the first
    one writes ``records`` or words. ``places`` (N,) uint64 has for each site, in its
    low half, the neuron in the window's first lane, and in its high half where its ``masks`` of targets begin, a word
    per group. Bit b of group g is the neuron ``bit_neuron[64 g + b]`` after the first. ``margin`` is the largest number
    of spikes of a block, and of those written in any case.
    """

    optimistic: int
    noting: int
    records: bool
    table: Array
    places: Array
    weights: Array
    numbers: Array
    thresholds: Array
    masks: Array
    bit_neuron: Array
    groups: int
    shift: int
    margin: int


class Notes(NamedTuple):
    """Room for the bits of a block: ``bits`` of the groups with ``numbers``, event << shift | group, in which lanes
    fired; and a word for every number in ``words``, zeros, where the noting form of a loop writes."""

    numbers: Array
    bits: Array
    words: Array


@register_jitable
def notes_for(windows: Any) -> Any:
    """Room for the bits of a block."""
    words = max(WORDS, 1 << windows.shift)
    return Notes(np.empty(words, np.uint32), np.empty(words, np.uint64), np.zeros(words, np.uint64))


@compiled
def run_events(
    windows: Any,
    state: Array,
    sites: Array,
    begin: int,
    stop: int,
    notes: Any,
    neurons: Array,
    end: int,
    caused: Array,
    noting: bool,
) -> tuple[Array, int, bool]:
    """The effect of the events ``begin`` to ``stop`` of ``sites`` (N,) on a layer; changes its ``state``.

    Writes the neurons that fire to ``neurons[end:]``, or to a larger copy when it is full, and adds the number of
    spikes of each event to ``caused`` (N,). Returns the neurons, the new end, and whether the next block
    is ``noting``, as the first one is.
    """
    one, shift, until = np.uint64(1), np.uint64(windows.shift), np.uint64(end)
    block = len(notes.words) >> windows.shift
    bursts = False
    while begin < stop:
        count, before = min(block, stop - begin), until
        if len(neurons) - np.int64(until) < windows.margin:
            neurons = grown(neurons, np.int64(until) + windows.margin)
        recorded = windows.records and not noting
        loop = windows.noting if noting else windows.optimistic
        groups = np.uint64(
            call(
                loop,
                (
                    windows.table,
                    sites.ctypes.data + begin * sites.itemsize,
                    count,
                    windows.weights,
                    state,
                    windows.numbers,
                    windows.thresholds,
                    notes.bits if recorded else notes.words,
                    notes.numbers,
                ),
            )
        )
        if recorded:
            for note in range(groups):
                number = np.uint64(notes.numbers[note])
                until = write(windows, notes.bits[note], number, begin, sites, neurons, until, caused, bursts)
        else:
            groups = np.uint64(0)
            for first in range(np.uint64(0), np.uint64(count) << shift, np.uint64(WORD)):
                found = not_zero(notes.words, first)
                groups += number_of_bits(found)
                while found:
                    number = first + first_bit(found)
                    until = write(windows, notes.words[number], number, begin, sites, neurons, until, caused, bursts)
                    notes.words[number] = 0
                    found &= found - one
        noting = groups > NOTING * count
        bursts = bool(2 * (until - before) > 3 * groups)
        begin += count
    return neurons, np.int64(until), noting


@register_jitable
def write(
    windows: Any, bits: Any, number: Any, begin: Any, sites: Array, neurons: Array, end: Any, caused: Array, bursts: Any
) -> Any:
    """Writes the spikes in the ``bits`` of group ``number`` to ``neurons[end:]``; returns the new end.

    `ALWAYS` spikes are written in any case, twice as many where there are ``bursts``, and the end advances only by
    those that exist.
    """
    one, shift = np.uint64(1), np.uint64(windows.shift)
    event, group = np.uint64(begin) + (number >> shift), number & (one << shift) - one
    place = windows.places[np.uint64(sites[event])]
    left = targets = bits & windows.masks[(place >> np.uint64(32)) + group]
    first, bit = np.int32(place), group * np.uint64(WORD)
    spike = end
    for _ in range(ALWAYS):
        neurons[spike] = first + windows.bit_neuron[bit + first_bit(left)]
        left &= left - one
        spike += one
    if bursts:
        for _ in range(ALWAYS):
            neurons[spike] = first + windows.bit_neuron[bit + first_bit(left)]
            left &= left - one
            spike += one
    while left:
        neurons[spike] = first + windows.bit_neuron[bit + first_bit(left)]
        left &= left - one
        spike += one
    spikes = number_of_bits(targets)
    caused[event] += spikes
    return end + spikes
