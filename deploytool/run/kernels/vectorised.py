"""The vector loops: layers whose input events each reach a window of neurons, in vectors of the CPU's native width.

`deploytool.run.plan.windows` lays a layer out for them: its state is padded, so that no window is cut.

For speed, no loop over events may depend on a branch that the CPU cannot predict, and whether an event makes a neuron
fire is such a branch. Neurons that fire are therefore reset at once and noted, one bit per lane;
the spikes of `TOGETHER` events are written afterwards, from each word of bits that is not 0. The addresses of a window
are looked up two events ahead, because vectors that wait for their addresses fill the CPU's queues. The remaining limit
is the number of vectors that the first-level cache accepts, one per cycle, whether they come from the loop or, in wide
layers, from the second-level cache.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value, misc"
# numba has no types of its own, and to it an int is an int64.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable

from deploytool.base.arrays import Array
from deploytool.run.kernels.general import compiled
from deploytool.run.kernels.vectors import (
    WORD,
    any_reached,
    filled,
    fired,
    first_bit,
    greater,
    integrated,
    load,
    load_as,
    not_zero,
    number_of_bits,
    reached,
    sizes,
    store,
    store_reached,
    whole,
)

INVERSE: Final = 40
"""Number of fractional bits of the factor that replaces a division."""

TOGETHER: Final = WORD
"""Number of events whose spikes are written together."""

MARGIN: Final = 2
"""Number of spikes that are written past the end in any case."""


class Windows(NamedTuple):
    """Where the windows of a layer lie, and what is in them.

    Source neuron n is feature n % ``features`` of the place n // ``features``, which equals n * ``inverse`` >>
    `INVERSE`. ``table`` (places, 4), flat, holds for each place: where in the state its window begins; which block of
    ``weights`` (blocks, rows, vectors, lanes), flat, belongs to its feature 0; the neuron in the window's first lane;
    its row of ``masks``. Rows of the state are ``pitch`` lanes apart.

    The lanes of a window are bits of words; each row of the window begins a new word. ``masks`` (M, words) uint64,
    flat, marks the lanes that are targets; ``updates`` (M,) is their number. Bit n of all words together stands for the
    neuron ``bit_neuron[n]`` after the window's first; one more entry is for bits that stand for no neuron.
    """

    weights: Array
    table: Array
    masks: Array
    updates: Array
    bit_neuron: Array
    pitch: int
    features: int
    inverse: int


class Notes(NamedTuple):
    """The effect of `TOGETHER` events: ``bits`` (events, words), flat, of the lanes that fired, and ``found`` (words,),
    with a bit for each of these words that is not 0."""

    bits: Array
    found: Array


@register_jitable
def place_of(windows: Any, sites: Array, event: Any) -> tuple[Any, Any]:
    """(place, feature) of the source neuron of an event; past the last event, those of the last one."""
    site = np.uint64(sites[min(event, np.uint64(len(sites)) - np.uint64(1))])
    place = site * np.uint64(windows.inverse) >> np.uint64(INVERSE)
    return place, site - place * np.uint64(windows.features)


@register_jitable
def window_of(windows: Any, place: Any, feature: Any, block: Any) -> tuple[Any, Any, Any]:
    """(row of the table, begin of the window, begin of its ``block`` of weights)."""
    row = place * np.uint64(4)
    taps = np.uint64(windows.table[row + np.uint64(1)]) + feature
    return row, np.uint64(windows.table[row]), taps * block


@register_jitable
def blank(window: Any) -> Any:
    """`Notes` on windows like ``window``."""
    _, _, _, words = sizes(window)
    return Notes(np.empty(np.uint64(TOGETHER) * words, np.uint64), np.empty(words, np.uint64))


@register_jitable
def write(
    window: Any, windows: Any, notes: Any, sites: Array, begin: Any, neurons: Array, end: Any, caused: Array
) -> Any:
    """Writes the spikes in ``notes`` of the events from ``begin`` on to ``neurons[end:]``, and the number of spikes
    that each event caused; returns the new end.

    For each word two spikes are always written, and the end advances only by those that exist: no branch to mispredict.
    """
    _, _, _, words = sizes(window)
    one, margin = np.uint64(1), np.uint64(MARGIN)
    for group in range(words):
        found = notes.found[group]
        while found:
            number = group * np.uint64(WORD) + first_bit(found)
            found &= found - one
            event, word = begin + number // words, number % words
            row = place_of(windows, sites, event)[0] * np.uint64(4)
            mask = np.uint64(windows.table[row + np.uint64(3)]) * words
            left = bits = notes.bits[number] & windows.masks[mask + word]
            first, bit = windows.table[row + np.uint64(2)], word * np.uint64(WORD)
            for spike in range(end, end + margin):
                neurons[spike] = first + windows.bit_neuron[bit + first_bit(left)]
                left &= left - one
            spike = end + margin
            while left:
                neurons[spike] = first + windows.bit_neuron[bit + first_bit(left)]
                left &= left - one
                spike += one
            spikes = number_of_bits(bits)
            caused[event] += spikes
            end += spikes
    return end


@register_jitable
def find(notes: Any, noted: Any) -> None:
    """Marks which words of bits, of which ``noted`` were written, are not 0."""
    notes.bits[noted:] = np.uint64(0)
    for group in range(np.uint64(len(notes.found))):
        notes.found[group] = not_zero(notes.bits, group * np.uint64(WORD))


@register_jitable
def fire(window: Any, windows: Any, state: Array, here: Any, word: Any, targets: Any, at: Any, subtract: Any) -> Any:
    """Resets the ``targets`` in a ``word`` of the window at ``here`` that reached the threshold ``at``.

    Returns the bits of these targets.
    """
    rows, vectors, lanes, words = sizes(window)
    per_word, in_row = np.uint64(WORD) // lanes, words // rows
    row = word // in_row
    first = (word - row * in_row) * per_word
    bits = np.uint64(0)
    for k in range(per_word):
        if first + k < vectors:
            vector = here + row * np.uint64(windows.pitch) + (first + k) * lanes
            v = load(state, vector, window)
            ready = reached(v, at) & targets >> (k * lanes)
            store(state, vector, fired(v, at, ready, subtract))
            bits |= ready << (k * lanes)
    return bits


@compiled
def convolve(
    window: Any,
    windows: Any,
    state: Array,
    threshold: Any,
    floor: Any,
    subtract: bool,
    sites: Array,
    begin: int,
    neurons: Array,
    caused: Array,
) -> tuple[int, int, int]:
    """The effect of the events of ``sites`` from ``begin`` on, one after the other, on a layer; changes its ``state``.

    Writes the neurons that fire to ``neurons``, in order, and adds to ``caused`` the number that each event made fire.
    It stops after the last event, or when there may be no room for the spikes of `TOGETHER` more events. Returns the
    first event that is left, the number of spikes, and the number of synaptic updates.
    """
    rows, vectors, lanes, words = sizes(window)
    zero, one, three, per_word = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(WORD) // lanes
    block, in_row, pitch = rows * vectors * lanes, words // rows, np.uint64(windows.pitch)
    span = (words + np.uint64(WORD) - one) // np.uint64(WORD)
    at, low, last = filled(threshold, window), filled(floor, window), np.uint64(len(sites))
    room = np.uint64(len(neurons)) - np.uint64(TOGETHER) * block - np.uint64(MARGIN)
    event, end, updates = np.uint64(begin), zero, 0
    if event >= last:
        return event, end, updates
    notes = blank(window)
    following, place = (
        window_of(windows, *place_of(windows, sites, event), block),
        place_of(windows, sites, event + one),
    )
    while event < last and end <= room:
        to = min(last, event + np.uint64(TOGETHER))
        notes.found[:] = zero
        for now in range(event, to):
            row_of_table, here, taps = following
            following = window_of(windows, *place, block)
            place = place_of(windows, sites, now + np.uint64(2))
            mask = np.uint64(windows.table[row_of_table + three])
            updates += windows.updates[mask]
            hits = zero
            for row in range(rows):
                for first in range(zero, vectors, per_word):
                    top = low
                    for j in range(first, min(first + per_word, vectors)):
                        w = load_as(windows.weights, taps + (row * vectors + j) * lanes, low)
                        v = integrated(load(state, here + row * pitch + j * lanes, window), w, low)
                        store(state, here + row * pitch + j * lanes, v)
                        top = greater(top, v)
                    hits |= np.uint64(any_reached(top, at)) << ((row * in_row + first // per_word) // span)
            while hits:
                hit = first_bit(hits) * span
                hits &= hits - one
                for word in range(hit, min(hit + span, words)):
                    targets = windows.masks[mask * words + word]
                    bits = fire(window, windows, state, here, word, targets, at, subtract)
                    number = (now - event) * words + word
                    notes.bits[number] = bits
                    notes.found[number // np.uint64(WORD)] |= np.uint64(bits != zero) << (number % np.uint64(WORD))
        end = write(window, windows, notes, sites, event, neurons, end, caused)
        event = to
    return event, end, updates


@compiled
def convolve_settled(
    window: Any,
    windows: Any,
    state: Array,
    threshold: Any,
    floor: Any,
    subtract: bool,
    sites: Array,
    begin: int,
    neurons: Array,
    caused: Array,
) -> tuple[int, int, int]:
    """`convolve` for a settled layer: V < threshold before every event. Lanes that are not targets may then fire and be
    reset like the others, and every vector is compared at once."""
    rows, vectors, lanes, words = sizes(window)
    zero, one, three, per_word = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(WORD) // lanes
    block, in_row, pitch = rows * vectors * lanes, words // rows, np.uint64(windows.pitch)
    at, low, last = filled(threshold, window), filled(floor, window), np.uint64(len(sites))
    room = np.uint64(len(neurons)) - np.uint64(TOGETHER) * block - np.uint64(MARGIN)
    event, end, updates = np.uint64(begin), zero, 0
    if event >= last:
        return event, end, updates
    notes = blank(window)
    following, place = (
        window_of(windows, *place_of(windows, sites, event), block),
        place_of(windows, sites, event + one),
    )
    while event < last and end <= room:
        to = min(last, event + np.uint64(TOGETHER))
        for now in range(event, to):
            row_of_table, here, taps = following
            following = window_of(windows, *place, block)
            place = place_of(windows, sites, now + np.uint64(2))
            updates += windows.updates[np.uint64(windows.table[row_of_table + three])]
            word = (now - event) * words
            for row in range(rows):
                for first in range(zero, vectors, per_word):
                    bits = zero
                    for j in range(first, min(first + per_word, vectors)):
                        w = load_as(windows.weights, taps + (row * vectors + j) * lanes, low)
                        v = integrated(load(state, here + row * pitch + j * lanes, window), w, low)
                        ready = reached(v, at)
                        store(state, here + row * pitch + j * lanes, fired(v, at, ready, subtract))
                        bits |= ready << ((j - first) * lanes)
                    notes.bits[word + row * in_row + first // per_word] = bits
        find(notes, (to - event) * words)
        end = write(window, windows, notes, sites, event, neurons, end, caused)
        event = to
    return event, end, updates


@compiled
def connect(
    window: Any,
    windows: Any,
    state: Array,
    threshold: Any,
    floor: Any,
    subtract: bool,
    sites: Array,
    begin: int,
    neurons: Array,
    caused: Array,
) -> tuple[int, int, int]:
    """`convolve_settled` where every event reaches all neurons: their state stays in the CPU's registers."""
    _, vectors, lanes, words = sizes(window)
    everything = whole(window)
    block, last = vectors * lanes, np.uint64(len(sites))
    at, low = filled(threshold, everything), filled(floor, everything)
    room = np.uint64(len(neurons)) - np.uint64(TOGETHER) * block - np.uint64(MARGIN)
    event, end, updates = np.uint64(begin), np.uint64(0), 0
    notes = blank(window)
    v = load(state, np.uint64(0), everything)
    while event < last and end <= room:
        to = min(last, event + np.uint64(TOGETHER))
        for now in range(event, to):
            row, _, taps = window_of(windows, *place_of(windows, sites, now), block)
            updates += windows.updates[np.uint64(windows.table[row + np.uint64(3)])]
            v = integrated(v, load_as(windows.weights, taps, low), low)
            v = store_reached(notes.bits, (now - event) * words, v, at, subtract)
        find(notes, (to - event) * words)
        end = write(window, windows, notes, sites, event, neurons, end, caused)
        event = to
    store(state, np.uint64(0), v)
    return event, end, updates
