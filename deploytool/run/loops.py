"""The vector loops: layers whose input events each reach a window of neurons, in vectors of the CPU's own width.

`deploytool.run.windows` lays a layer out for them: its state is padded, so that no window is cut.

What counts for speed: the addresses of a window are looked up two events ahead, because while they wait for a table
no other work can begin; the loop over events without spikes has nothing in it that only spikes need; a few spikes are
written without asking whether there are any. What limits it is then, in wide layers, the way to the second-level
cache, and in narrow ones the branches that depend on spikes, 20 to 40 cycles each time one is mispredicted.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value, misc"
# numba has no types of its own, and to it an int is an int64.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable

from deploytool.graph import Array
from deploytool.run.kernels import compiled
from deploytool.run.vectors import (
    WORD,
    any_reached,
    filled,
    fired,
    first_bit,
    greater,
    integrated,
    load,
    load_as,
    number_of_bits,
    reached,
    sizes,
    store,
    whole,
)

INVERSE: Final = 40
"""Bits after the point of the factor that stands for a division."""

TOGETHER: Final = 64
"""Events of which the spikes are written together."""

MARGIN: Final = 3
"""Spikes that are written past the end whether there are any or not."""


class Windows(NamedTuple):
    """Where the windows of a layer lie, and what is in them.

    Source neuron n is feature n % ``features`` of the place n // ``features``, which n * ``inverse`` >> `INVERSE`
    is too. ``table`` (places, 4), flat, says of each place: where in the state its window begins; which block of
    ``weights`` (blocks, rows, vectors, lanes), flat, belongs to its feature 0; the neuron in the window's first lane;
    its row of ``masks`` (M, rows, vectors) uint64, flat: the lanes that are targets, ``updates`` (M,) in all. Lane n
    of a window's row is ``lane_neuron[n]`` neurons after its first. Rows of the state are ``pitch`` lanes apart,
    those of the output map ``row_step`` neurons.
    """

    weights: Array
    table: Array
    masks: Array
    updates: Array
    lane_neuron: Array
    pitch: int
    row_step: int
    features: int
    inverse: int


@register_jitable
def place_of(windows: Any, sites: Array, event: Any) -> tuple[Any, Any]:
    """(place, feature) of the source neuron of an event; past the last event, of that one."""
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
def write(neurons: Array, end: Any, first: Any, lane_neuron: Array, lane: Any, bits: Any) -> Any:
    """Writes the neurons of the lanes in ``bits``, of which the lowest is ``lane``, to ``neurons[end:]``; the new end.

    Two are always written, and the end moves past those there are: no branch to mispredict.
    """
    one, last = np.uint64(1), np.uint64(WORD - 1)
    left = bits
    for place in range(np.uint64(MARGIN)):
        neurons[end + place] = first + lane_neuron[lane + (first_bit(left) & last)]
        left &= left - one
    place = end + np.uint64(MARGIN)
    while left:
        neurons[place] = first + lane_neuron[lane + first_bit(left)]
        place += one
        left &= left - one
    return end + number_of_bits(bits)


@register_jitable
def settle(state: Array, place: Any, window: Any, at: Any, subtract: Any, anywhere: Any, real: Any) -> Any:
    """Resets the neurons of one vector that reached the threshold ``at``, those of the lanes in ``real`` or
    ``anywhere``; a bit for each of the ``real`` ones."""
    v = load(state, place, window)
    bits = reached(v, at)
    store(state, place, fired(v, at, bits & (anywhere | real), subtract))
    return bits & real


@register_jitable
def fire(
    window: Any, windows: Any, state: Array, here: Any, row_of_table: Any, hits: Any,
    at: Any, subtract: Any, anywhere: Any, neurons: Array, end: Any,
) -> Any:  # fmt: skip
    """Lets neurons of the window at ``here`` fire, in the groups that have a bit in ``hits``, resets them and writes
    them to ``neurons[end:]``; the new end."""
    rows, vectors, lanes, group = sizes(window)
    one, per_word = np.uint64(1), np.uint64(WORD) // lanes
    groups = (vectors + group - one) // group
    first_neuron = windows.table[row_of_table + np.uint64(2)]
    masks = np.uint64(windows.table[row_of_table + np.uint64(3)]) * rows * vectors
    while hits:
        hit = first_bit(hits)
        hits &= hits - one
        row = hit // groups
        first = (hit - row * groups) * group
        begin = here + row * np.uint64(windows.pitch) + first * lanes
        for word in range((group + per_word - one) // per_word):
            bits = np.uint64(0)
            for k in range(per_word):
                j = word * per_word + k
                if j < group and first + j < vectors:
                    real = windows.masks[masks + row * vectors + first + j]
                    bits |= settle(state, begin + j * lanes, window, at, subtract, anywhere, real) << (k * lanes)
            lane = (first + word * per_word) * lanes
            end = write(neurons, end, first_neuron + row * windows.row_step, windows.lane_neuron, lane, bits)
    return end


@compiled
def convolve(
    window: Any, windows: Any, state: Array, threshold: Any, floor: Any, subtract: bool, settled: bool,
    sites: Array, begin: int, neurons: Array, caused: Array,
) -> tuple[int, int, int]:  # fmt: skip
    """What the events of ``sites`` from ``begin`` on do in a layer, one after the other; changes its ``state``.

    Writes the neurons that fire to ``neurons``, in order, and to ``caused`` how many each event made fire. It ends
    after the last event, or when there may not be room for the spikes of one more: back come the first event that is
    left, the number of spikes, and of synaptic updates. ``settled``: V < threshold before every event.
    """
    rows, vectors, lanes, group = sizes(window)
    zero, one = np.uint64(0), np.uint64(1)
    block, groups, pitch = rows * vectors * lanes, (vectors + group - one) // group, np.uint64(windows.pitch)
    at, low = filled(threshold, window), filled(floor, window)
    room, anywhere = np.uint64(len(neurons)) - block - np.uint64(MARGIN), ~zero if settled else zero
    event, end, updates = np.uint64(begin), zero, 0
    if event >= np.uint64(len(sites)):
        return event, end, updates
    following = window_of(windows, *place_of(windows, sites, event), block)
    place = place_of(windows, sites, event + one)
    while event < np.uint64(len(sites)) and end <= room:
        hits = row_of_table = here = zero
        while event < np.uint64(len(sites)) and hits == zero:
            row_of_table, here, taps = following
            following = window_of(windows, *place, block)
            event += one
            place = place_of(windows, sites, event + one)
            updates += windows.updates[np.uint64(windows.table[row_of_table + np.uint64(3)])]
            for row in range(rows):
                for first in range(zero, vectors, group):
                    top = low
                    for j in range(first, min(first + group, vectors)):
                        w = load_as(windows.weights, taps + (row * vectors + j) * lanes, low)
                        v = integrated(load(state, here + row * pitch + j * lanes, window), w, low)
                        store(state, here + row * pitch + j * lanes, v)
                        top = greater(top, v)
                    hits |= np.uint64(any_reached(top, at)) << (row * groups + first // group)
        if hits:
            before = end
            end = fire(window, windows, state, here, row_of_table, hits, at, subtract, anywhere, neurons, end)
            caused[event - one] = end - before
    return event, end, updates


@compiled
def convolve_small(
    window: Any, windows: Any, state: Array, threshold: Any, floor: Any, subtract: bool, _settled: bool,
    sites: Array, begin: int, neurons: Array, caused: Array,
) -> tuple[int, int, int]:  # fmt: skip
    """`convolve` for a settled layer with few vectors in a window.

    What reached the threshold is reset at once, and noted; the spikes of `TOGETHER` events are written afterwards. So
    no branch depends on whether an event causes spikes, which no CPU can predict.
    """
    rows, vectors, lanes, group = sizes(window)
    zero, one, three = np.uint64(0), np.uint64(1), np.uint64(3)
    block, groups, pitch = rows * vectors * lanes, (vectors + group - one) // group, np.uint64(windows.pitch)
    at, low = filled(threshold, window), filled(floor, window)
    room = np.uint64(len(neurons)) - np.uint64(TOGETHER) * block - np.uint64(MARGIN)
    event, end, updates, last = np.uint64(begin), zero, 0, np.uint64(len(sites))
    if event >= last:
        return event, end, updates
    noted_bits = np.empty((np.uint64(TOGETHER) + one) * rows * groups, np.uint64)
    noted_rows = np.empty(TOGETHER + 1, np.uint64)
    noted_events = np.empty(TOGETHER + 1, np.uint64)
    following = window_of(windows, *place_of(windows, sites, event), block)
    place = place_of(windows, sites, event + one)
    while event < last and end <= room:
        noted = zero
        for event_now in range(event, min(last, event + np.uint64(TOGETHER))):
            row_of_table, here, taps = following
            following = window_of(windows, *place, block)
            place = place_of(windows, sites, event_now + np.uint64(2))
            updates += windows.updates[np.uint64(windows.table[row_of_table + three])]
            found = zero
            for row in range(rows):
                for first in range(zero, vectors, group):
                    bits = zero
                    for j in range(first, min(first + group, vectors)):
                        w = load_as(windows.weights, taps + (row * vectors + j) * lanes, low)
                        v = integrated(load(state, here + row * pitch + j * lanes, window), w, low)
                        ready = reached(v, at)
                        store(state, here + row * pitch + j * lanes, fired(v, at, ready, subtract))
                        bits |= ready << ((j - first) * lanes)
                    noted_bits[(noted * rows + row) * groups + first // group] = bits
                    found |= bits
            noted_rows[noted] = row_of_table
            noted_events[noted] = event_now
            noted += np.uint64(found != zero)
        event = min(last, event + np.uint64(TOGETHER))
        for number in range(noted):
            before = end
            first_neuron = windows.table[noted_rows[number] + np.uint64(2)]
            masks = np.uint64(windows.table[noted_rows[number] + three]) * rows * vectors
            for row in range(rows):
                for first in range(zero, vectors, group):
                    real = zero
                    for j in range(first, min(first + group, vectors)):
                        real |= windows.masks[masks + row * vectors + j] << ((j - first) * lanes)
                    bits = noted_bits[(number * rows + row) * groups + first // group] & real
                    neuron = first_neuron + row * windows.row_step
                    end = write(neurons, end, neuron, windows.lane_neuron, first * lanes, bits)
            caused[noted_events[number]] = end - before
    return event, end, updates


@compiled
def connect(
    window: Any, windows: Any, state: Array, threshold: Any, floor: Any, subtract: bool, settled: bool,
    sites: Array, begin: int, neurons: Array, caused: Array,
) -> tuple[int, int, int]:  # fmt: skip
    """`convolve` for a layer of which every event reaches all neurons: their state stays in the CPU's registers."""
    _, vectors, lanes, group = sizes(window)
    everything = whole(window)
    zero, one = np.uint64(0), np.uint64(1)
    at, at_all, low = filled(threshold, window), filled(threshold, everything), filled(floor, everything)
    room, anywhere = np.uint64(len(neurons)) - vectors * lanes - np.uint64(MARGIN), ~zero if settled else zero
    all_groups = (one << (vectors + group - one) // group) - one
    event, end, updates = np.uint64(begin), zero, 0
    v = load(state, zero, everything)
    while event < np.uint64(len(sites)) and end <= room:
        row = np.uint64(sites[event]) * np.uint64(4)
        taps = np.uint64(windows.table[row + one]) * vectors * lanes
        updates += windows.updates[np.uint64(windows.table[row + np.uint64(3)])]
        v = integrated(v, load_as(windows.weights, taps, low), low)
        if any_reached(v, at_all):
            before = end
            store(state, zero, v)
            end = fire(window, windows, state, zero, row, all_groups, at, subtract, anywhere, neurons, end)
            v = load(state, zero, everything)
            caused[event] = end - before
        event += one
    store(state, zero, v)
    return event, end, updates
