"""Metrics of one recording, or of two. Shares and differences are in %."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.ir.counts import slices
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import SpikeDifference

CONFUSED_MAX: Final = 1000
"""With more classes, which samples were taken for which is not counted: the matrix has their number squared."""


def spike_difference(reference: Recording, test: Recording, layer: str | None = None) -> SpikeDifference:
    """The spike difference of ``test`` from ``reference`` at ``layer``, or at the outputs when ``layer`` is None.

        pooled = 100 * sum_k sum_i |r[k, i] - s[k, i]| / sum_k sum_i r[k, i]
        mean   = 100 * mean over k of  sum_i |r[k, i] - s[k, i]| / sum_i r[k, i]

    r and s are the reference's and the test's spike counts of neuron i over sample k; spike times are not used. The
    mean is over the samples in which the reference spikes. Source: Du, Wu, Deng, Gu, "Temporal Flexibility in Spiking
    Neural Networks", ICLR 2025, arXiv 2503.17394, equation 16, which uses the hardware as reference and the output as
    layer, and does not say how samples are combined; hence both.
    At the outputs, all is None or 0 if a recording lacks them.
    Raises InputError when samples or shapes differ, or a recording has no counts of the layer.
    """
    check_same_samples(reference, test)
    if layer is None and not (reference.outputs and test.outputs):
        return SpikeDifference(None, None, 0, 0, None, len(reference))
    if layer is None:
        wanted, found = reference.output_counts, test.output_counts
    else:
        wanted, found = reference.counts[reference.layer(layer)], test.counts[test.layer(layer)]
    if wanted.shape != found.shape:
        raise InputError(
            f"layer {layer!r}" if layer else "the outputs",
            f"counts of shape {found.shape} on rung {test.rung}, {wanted.shape} on rung {reference.rung}",
            "one shape",
            "Compare recordings of one network.",
        )
    neurons = tuple(range(1, len(wanted.shape)))
    distance, total = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
    exact, equal = np.ones(wanted.shape[1:], np.bool_), 0
    for part in slices(wanted.shape):
        expected, counted = wanted[part], found[part]
        distance[part], total[part] = np.abs(expected - counted).sum(axis=neurons), expected.sum(axis=neurons)
        same = expected == counted
        exact &= same.all(axis=0)
        equal += int(same.sum())
    spiking = total > 0
    return SpikeDifference(
        pooled=percent(int(distance.sum()), int(total.sum())),
        mean=100 * float((distance[spiking] / total[spiking]).mean()) if spiking.any() else None,
        exact_neurons=int(exact.sum()),
        neurons=exact.size,
        exact_counts=percent(equal, len(wanted) * exact.size),
        samples=len(reference),
    )


def accuracy(recording: Recording) -> float | None:
    """% of the labelled samples that are predicted correctly, 100 * right / labelled; None without labels.

    The prediction is the output neuron with the most spikes; a sample without output spikes is wrong.
    """
    return percent(right(recording), labelled(recording))


def right(recording: Recording) -> int:
    """The number of labelled samples whose prediction is their label."""
    return int(((recording.predictions == recording.labels) & (recording.labels >= 0)).sum())


def labelled(recording: Recording) -> int:
    """The number of samples whose label is known; 0 if the output was not recorded."""
    return int((recording.labels >= 0).sum()) if recording.classes else 0


def silent(recording: Recording) -> int | None:
    """The number of samples without any output spike; None if the output was not recorded."""
    return int((recording.predictions < 0).sum()) if recording.classes else None


def confidence_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """(low, high) in %: Wilson's 95 % interval of a share, an estimate; None without trials.

        (p + z^2 / 2n  -/+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n),   p = successes / n, z = 1.95996

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    if not trials:
        return None
    z2, share = 1.959964**2 / trials, successes / trials
    centre, reach = share + z2 / 2, math.sqrt(z2 * (share * (1 - share) + z2 / 4))
    return 100 * max(0.0, (centre - reach) / (1 + z2)), 100 * min(1.0, (centre + reach) / (1 + z2))


def agreement(reference: Recording, test: Recording) -> float | None:
    """% of samples with the same prediction, right or wrong; None without samples, or without the output of one.

    Two samples without output spikes agree. Raises InputError when the samples differ.
    """
    check_same_samples(reference, test)
    if not (reference.classes and test.classes):
        return None
    return percent(int((reference.predictions == test.predictions).sum()), len(reference))


def confusion(recording: Recording) -> NDArray[np.int64] | None:
    """(classes, classes + 1): samples by label (row) and prediction (column); the last column is "no spike".

    None with more than `CONFUSED_MAX` classes.

    Samples without a label are left out; there are as many classes as outputs, or more if a label requires it.
    """
    known = recording.labels >= 0
    labels, predictions = recording.labels[known], recording.predictions[known]
    classes = max(recording.classes, int(labels.max(initial=-1)) + 1)
    if classes > CONFUSED_MAX:
        return None
    matrix = np.zeros((classes, classes + 1), np.int64)
    np.add.at(matrix, (labels, np.where(predictions < 0, classes, predictions)), 1)
    return matrix


def synops_per_sample(recording: Recording) -> float | None:
    """The mean number of synaptic updates per sample; None without samples, or if not known."""
    return float(recording.synops.mean()) if len(recording.synops) else None


def spikes_per_sample(recording: Recording) -> dict[str, float]:
    """{layer: mean number of spikes per sample, summed over its neurons}; empty without samples."""
    samples = len(recording)
    return {layer: float(counts.sum()) / samples for layer, counts in recording.counts.items()} if samples else {}


def check_same_samples(reference: Recording, test: Recording) -> None:
    """Raises InputError unless both recordings are of the same samples, labels included, in the same order."""
    if found := different_samples(reference, test):
        where = f"rung {test.rung} against rung {reference.rung}"
        raise InputError(where, found, "the same samples in the same order", "Run both on the same data.")


def different_samples(reference: Recording, test: Recording) -> str:
    """What differs between the samples of two recordings, order and labels included; "" if nothing does."""
    if len(reference) != len(test):
        return f"{len(test)} samples against {len(reference)}"
    for index, (wanted, found) in enumerate(zip(reference.samples, test.samples, strict=True)):
        if wanted != found:
            return f"sample {index} is {found!r} against {wanted!r}"
    if (other := np.flatnonzero(reference.labels != test.labels)).size:
        index = int(other[0])
        return f"sample {index} has label {test.labels[index]} against {reference.labels[index]}"
    return ""


def percent(part: int, whole: int) -> float | None:
    """100 * part / whole; None when ``whole`` is 0."""
    return 100 * part / whole if whole else None
