"""Early exit: an event-driven run that ends as soon as its output is sure enough of the class.

A policy looks at the output spikes so far, n_k of class k, after each microsecond that has any. Where it does not
decide, the sample runs to its end.

    spikes     the first class has at least a number of spikes: max n_k >= threshold
    margin     the first class leads the second by at least a number of spikes: n_(1) - n_(2) >= threshold
    entropy    -sum_k p_k log p_k / log K <= threshold, with p = softmax(n) of K classes: 1 without spikes, 0 if certain

The entropy of the softmax of the accumulated output is that of Li, Moitra, Geller and Panda, "Input-Aware Dynamic
Timestep Spiking Neural Networks for Efficient In-Memory Computing", DAC 2023, arXiv 2305.17346. They compute it after
every time step, here it is computed after every spike.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.events import places_of
from deploytool.ir.recording import Recording

PolicyName: TypeAlias = Literal["margin", "entropy", "spikes"]


@dataclass(frozen=True)
class Policy:
    """``measure(counts (N, K))`` is (N,); the run ends once ``enough(measure, threshold)``.

    ``thresholds`` are tried when none are given, the earliest exit first.
    """

    measure: Callable[[Array], NDArray[Any]]
    enough: Callable[[Any, float], Any]
    thresholds: tuple[int | float, ...]


def margin(counts: Array) -> NDArray[np.int64]:
    """(N,): the spikes of the first class less those of the second; ``counts`` (N, K)."""
    if counts.shape[1] == 1:
        return first_spikes(counts)
    two = np.partition(counts, -2, axis=1)[:, -2:]
    lead: NDArray[np.int64] = two[:, 1] - two[:, 0]
    return lead


def entropy(counts: Array) -> NDArray[np.float64]:
    """(N,): the entropy of the softmax of ``counts`` (N, K) as a share of log K; 0 for a single class."""
    if counts.shape[1] == 1:
        return np.zeros(len(counts))
    shifted = counts - counts.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    found: NDArray[np.float64] = -(np.exp(log_p) * log_p).sum(axis=1) / np.log(counts.shape[1])
    return found


def first_spikes(counts: Array) -> NDArray[np.int64]:
    """(N,): the spikes of the first class; ``counts`` (N, K)."""
    most: NDArray[np.int64] = counts.max(axis=1)
    return most


POLICIES: Final[Mapping[PolicyName, Policy]] = MappingProxyType(
    {
        "margin": Policy(margin, operator.ge, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)),
        "entropy": Policy(entropy, operator.le, (0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)),
        "spikes": Policy(first_spikes, operator.ge, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)),
    }
)
"""Every policy by its name."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a policy measures of S samples, after each microsecond that has output spikes.

    ``samples``, ``t_us`` and ``measures`` (N,) are in order of sample and time; ``ends_us`` (S,) are the samples' ends.
    """

    policy: Policy
    samples: NDArray[np.int64]
    t_us: NDArray[np.int64]
    measures: NDArray[Any]
    ends_us: NDArray[np.int64]

    def exits_us(self, threshold: float) -> NDArray[np.int64]:
        """(S,): the end of each sample that exits at ``threshold``, just after the spike that decided."""
        enough = np.flatnonzero(self.policy.enough(self.measures, threshold))
        decided, first = np.unique(self.samples[enough], return_index=True)
        ends = self.ends_us.copy()
        ends[decided] = self.t_us[enough[first]] + 1
        return ends


def evidence(recording: Recording, policy: PolicyName) -> Evidence:
    """What ``policy`` measures of a ``recording`` whose output spikes were all kept."""
    measure = POLICIES[policy].measure
    samples, t_us, neurons = output_spikes(recording)
    classes = np.arange(recording.classes)
    last = np.flatnonzero((np.diff(t_us, append=-1) != 0) | (np.diff(samples, append=-1) != 0))
    measures = [measure(np.zeros((0, len(classes)), np.int64))]
    for start, stop in itertools.pairwise(np.searchsorted(samples, np.arange(len(recording) + 1))):
        so_far = np.cumsum(neurons[start:stop, None] == classes, axis=0)
        chosen = last[slice(*np.searchsorted(last, (start, stop)))]
        measures.append(measure(so_far[chosen - start]))
    return Evidence(POLICIES[policy], samples[last], t_us[last], np.concatenate(measures), recording.durations_us)


def output_spikes(recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(samples, times in us, output neurons), each (N,), of all kept spikes of the outputs, by sample and time.

    Neurons are numbered as in `Recording.output_counts`.
    """
    parts, first = [], 0
    for name in recording.outputs:
        shape = recording.counts[name].shape[1:]
        spikes = recording.spikes[name]
        parts.append((spikes["sample"].astype(np.int64), spikes["t"], first + places_of(spikes, shape)))
        first += math.prod(shape)
    samples, t_us, neurons = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((t_us, samples))
    return samples[order], t_us[order], neurons[order]
