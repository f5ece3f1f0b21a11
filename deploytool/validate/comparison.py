"""The comparison of two recordings of the same samples: answers, neurons and spike times that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape
from deploytool.base.numbers import DECIMALS
from deploytool.ir.comparison import ChangedAnswer, LayerMap, LayerTiming, NeuronDifference, Timing
from deploytool.ir.counts import slices
from deploytool.ir.divergence import Place
from deploytool.ir.events import Events, places_of
from deploytool.ir.recording import Recording
from deploytool.validate.timing import van_rossum, victor_purpura

SpikePair: TypeAlias = tuple[Mapping[str, Array], Mapping[str, Array]]
"""(spikes of the reference, spikes of the test) of one sample, by layer."""

WORST: Final = 5
"""Neurons of each layer that are listed."""


@dataclass(frozen=True)
class TimeScale:
    """What a shift in time costs: ``q_per_ms`` for Victor and Purpura, ``tau_ms`` for van Rossum."""

    q_per_ms: float = 0.1
    tau_ms: float = 10.0


def shared_layers(reference: Recording, test: Recording) -> tuple[str, ...]:
    """The layers that both recordings have, on maps of one shape."""
    return tuple(
        layer
        for layer, counts in reference.counts.items()
        if layer in test.counts and counts.shape == test.counts[layer].shape
    )


def networks(reference: Recording, test: Recording) -> str:
    """Whether two runs are of one network, in words."""
    known = reference.setup.network, test.setup.network
    if not all(known):
        return "Not known whether both runs are of one network: a recording does not state it."
    if known[0] == known[1]:
        return "Both runs are of one network."
    return f"The runs are of different networks, {known[0][:12]} and {known[1][:12]}: their layers are paired by name."


def changed_answers(reference: Recording, test: Recording) -> tuple[ChangedAnswer, ...]:
    """The samples whose answer differs, in order; none if a recording lacks the output."""
    before, after = reference.predictions, test.predictions
    return tuple(
        ChangedAnswer(
            index, reference.samples[index], int(reference.labels[index]), int(before[index]), int(after[index])
        )
        for index in np.flatnonzero(_changed(reference, test)).tolist()
    )


def _changed(reference: Recording, test: Recording) -> NDArray[np.bool_]:
    """(S,): whether the answer differs; False if it is not known."""
    if not (reference.classes and test.classes):
        return np.zeros(len(reference), np.bool_)
    return np.not_equal(reference.predictions, test.predictions)


def difference_map(reference: Recording, test: Recording, layer: str) -> LayerMap:
    """The differences of the neurons of ``layer``, summed over samples."""
    sums = _sums(reference, test, layer)
    channels, height, width = sums.distance.shape
    distance, change = sums.distance.ravel().tolist(), (sums.test - sums.reference).ravel().tolist()
    return LayerMap(layer, (channels, height, width), tuple(distance), tuple(change))


class _Sums(NamedTuple):
    """Per neuron of a layer, (C, H, W): its spikes in the ``reference`` and in the ``test``, the ``distance`` of its
    counts, all summed over samples, and the number of ``samples`` in which they differ."""

    reference: NDArray[np.int64]
    test: NDArray[np.int64]
    distance: NDArray[np.int64]
    samples: NDArray[np.int64]


def _sums(reference: Recording, test: Recording, layer: str) -> _Sums:
    """The sums of ``layer``, with a piece of its counts in memory at a time."""
    wanted, got = reference.counts[layer], test.counts[layer]
    sums = _Sums(*np.zeros((4, *wanted.shape[1:]), np.int64))
    for part in slices(wanted.shape):
        difference = np.abs(got[part] - wanted[part])
        for total, more in zip(sums, (wanted[part], got[part], difference, difference > 0), strict=True):
            total += more.sum(axis=0)
    return sums


def worst_neurons(
    reference: Recording, test: Recording, layers: Sequence[str], number: int = WORST
) -> tuple[NeuronDifference, ...]:
    """The neurons of each layer with the largest distance, the largest first; at most ``number`` of a layer."""
    return tuple(
        found for layer in layers for found in _worst(layer, reference.counts[layer], test.counts[layer], number)
    )


def _worst(layer: str, wanted: Array, found: Array, number: int) -> Iterator[NeuronDifference]:
    """The neurons of one layer, from their counts (S, C, H, W); none whose counts are equal."""
    difference = np.abs(found - wanted)
    distance = difference.sum(axis=0)
    for place in np.argsort(-distance, axis=None, kind="stable")[:number].tolist():
        c, y, x = (int(i) for i in np.unravel_index(place, distance.shape))
        if distance[c, y, x]:
            yield NeuronDifference(
                Place(layer, c, y, x),
                reference=int(wanted[:, c, y, x].sum()),
                test=int(found[:, c, y, x].sum()),
                distance=int(distance[c, y, x]),
                samples=int((difference[:, c, y, x] > 0).sum()),
            )


def differing_samples(reference: Recording, test: Recording, layers: Sequence[str]) -> list[int]:
    """The samples from the one that is most worth a look on: another answer, then the largest difference of counts.

    The difference is that of the output, and of all ``layers`` where the output is alike.
    """
    changed = _changed(reference, test)
    outputs = [_distance(reference, test, layer) for layer in layers if layer in reference.outputs]
    everywhere = [_distance(reference, test, layer) for layer in layers]
    output, total = (np.sum(each, axis=0) if each else np.zeros(len(reference)) for each in (outputs, everywhere))
    found: list[int] = np.lexsort((-total, -output, ~changed)).tolist()
    return found


def _distance(reference: Recording, test: Recording, layer: str) -> NDArray[np.int64]:
    wanted, got = reference.counts[layer], test.counts[layer]
    found = np.zeros(len(reference), np.int64)
    for part in slices(wanted.shape):
        found[part] = np.abs(got[part] - wanted[part]).sum(axis=(1, 2, 3))
    return found


def kept_spikes(reference: Recording, test: Recording) -> dict[int, tuple[Mapping[str, Array], Mapping[str, Array]]]:
    """{sample: (spikes of the reference, of the test) by layer} of the samples whose spikes both recordings kept."""
    kept = [
        {int(i) for spikes in each.spikes.values() for i in np.unique(spikes["sample"])} for each in (reference, test)
    ]
    return {sample: (_spikes_of(reference, sample), _spikes_of(test, sample)) for sample in sorted(kept[0] & kept[1])}


def _spikes_of(recording: Recording, sample: int) -> dict[str, Array]:
    return {layer: spikes[spikes["sample"] == sample] for layer, spikes in recording.spikes.items()}


def timing(
    pairs: Mapping[int, tuple[Mapping[str, Events], Mapping[str, Events]]],
    shapes: Mapping[str, Shape],
    scale: TimeScale,
) -> Timing:
    """The distances between spike times over ``pairs`` {sample: (spikes of the reference, of the test) by layer}.

    ``shapes`` {layer: (C, H, W)} are the layers to compare.
    """
    return Timing(
        scale.q_per_ms,
        scale.tau_ms,
        tuple(pairs),
        tuple(_layer_timing(layer, shape, list(pairs.values()), scale) for layer, shape in shapes.items()),
    )


def _layer_timing(layer: str, shape: Shape, pairs: Sequence[SpikePair], scale: TimeScale) -> LayerTiming:
    moved = filtered = 0.0
    spikes = 0
    for one, other in pairs:
        spikes += len(one[layer]) + len(other[layer])
        trains = _trains(one[layer], shape), _trains(other[layer], shape)
        for neuron in trains[0].keys() | trains[1].keys():
            a, b = (each.get(neuron, np.empty(0)) for each in trains)
            if not np.array_equal(a, b):
                moved += victor_purpura(a, b, scale.q_per_ms)
                filtered += van_rossum(a, b, scale.tau_ms)
    share = 100 * moved / spikes if spikes else None
    return LayerTiming(
        layer,
        spikes=spikes / len(pairs),
        victor_purpura=round(moved / len(pairs), DECIMALS),
        victor_purpura_percent=None if share is None else round(share, DECIMALS),
        van_rossum=round(filtered / len(pairs), DECIMALS),
    )


def _trains(spikes: Events, shape: Shape) -> dict[int, NDArray[np.float64]]:
    """{neuron: the times of its spikes in ms}."""
    neurons = places_of(spikes, shape)
    order = np.argsort(neurons, kind="stable")
    found, begins = np.unique(neurons[order], return_index=True)
    times = np.split(spikes["t"][order] / 1000, begins[1:])
    return dict(zip(found.tolist(), times, strict=True)) if len(found) else {}
