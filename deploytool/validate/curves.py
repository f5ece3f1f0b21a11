"""Points of curves: figures of runs, and of one event-driven run as if it had ended earlier (any-time prediction).

An event-driven network gets its input in order of time, and nothing reaches back. So the spikes before a time are those
of the same run on samples that end at that time, and one run whose single spikes were kept gives every earlier answer.
A sample that ends at ``cut_us`` has the events with t < ``cut_us``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.numbers import DECIMALS, rounded
from deploytool.ir.events import places_of
from deploytool.ir.fan_out import FanOut
from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording, join
from deploytool.ir.sweep import Point
from deploytool.validate import metrics


@dataclass(frozen=True, eq=False)
class Cut:
    """A run that ended early: its ``recording``, whose durations are the time used, and the ``events`` (S,) used."""

    recording: Recording
    events: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AnyTime:
    """An event-driven ``recording`` of which every single spike was kept, and how many updates each spike causes.

    Without ``fan_outs``, or where spikes of their sources were not kept, synaptic updates are not known.
    Raises InputError if spikes of the output or events of the input were not kept.
    """

    recording: Recording
    fan_outs: Sequence[FanOut] = ()

    def __post_init__(self) -> None:
        recording = self.recording
        if not recording.outputs:
            raise InputError("any-time prediction", "an output of potentials", "an output of spikes")
        if not len(recording.durations_us) or INPUT not in recording.spikes:
            raise InputError("any-time prediction", "no events of the input", "a recording that kept them")
        for name in recording.outputs:
            if not self._kept(name):
                raise InputError("any-time prediction", f"not all spikes of the output {name!r} were kept", "all")

    @property
    def whole(self) -> Recording:
        """The recording, with the counts of the outputs alone."""
        return self.until(self.recording.durations_us)

    def cut(self, cut_us: Array) -> Cut:
        """The run on samples that end at ``cut_us`` (S,)."""
        return Cut(self.until(cut_us), self.events_before(cut_us))

    def until(self, cut_us: Array) -> Recording:
        """The recording of the same run on samples that end at ``cut_us`` (S,), with the counts of the outputs alone.

        ``synops`` is empty if the updates of a spike are not known.
        """
        recording = self.recording
        counts = {}
        for name in recording.outputs:
            spikes = recording.spikes[name]
            early = spikes[spikes["t"] < cut_us[spikes["sample"]]]
            shape = recording.counts[name].shape
            size = int(np.prod(shape[1:]))
            places = early["sample"].astype(np.int64) * size + places_of(early, shape[1:])
            counts[name] = np.bincount(places, minlength=len(recording) * size).reshape(shape)
        return Recording(
            rung=recording.rung,
            samples=recording.samples,
            labels=recording.labels,
            outputs=recording.outputs,
            counts=counts,
            synops=self._updates(cut_us),
            spikes={},
            aliases={},
            durations_us=np.minimum(cut_us, recording.durations_us),
            setup=recording.setup,
        )

    def _updates(self, cut_us: Array) -> NDArray[np.int64]:
        """(S,): the synaptic updates before ``cut_us`` (S,), or an empty array."""
        if not self._arrived:
            return np.zeros(0, np.int64)
        total = np.zeros(len(self.recording), np.int64)
        for sample, t_us, updates in self._arrived:
            early = t_us < cut_us[sample]
            # Sums of whole numbers below 2^53 are exact in float64.
            found = np.bincount(sample[early], weights=updates[early], minlength=len(total))
            total += found.astype(np.int64)
        return total

    @cached_property
    def _arrived(self) -> list[tuple[Array, Array, Array]]:
        """(samples, times of arrival, updates) of the spikes of each fan-out; empty if spikes were not kept.

        Successive spikes that arrive at one time are one row.
        """
        found = []
        if not all(self._kept(each.source) for each in self.fan_outs):
            return []
        for each in self.fan_outs:
            spikes = self.recording.spikes[each.source]
            places = places_of(spikes, each.updates.shape)
            t_us = spikes["t"] + each.delay_us.reshape(-1)[places]
            samples = spikes["sample"]
            first = np.flatnonzero((np.diff(t_us, prepend=-1) != 0) | (np.diff(samples, prepend=samples[:1]) != 0))
            updates = np.add.reduceat(each.updates.reshape(-1)[places], first) if len(first) else places
            found.append((samples[first], t_us[first], updates))
        return found

    def _kept(self, source: str) -> bool:
        """Whether every single spike of ``source`` was kept."""
        spikes = self.recording.spikes.get(source)
        if spikes is None or source == INPUT:
            return spikes is not None
        return source in self.recording.counts and len(spikes) == int(self.recording.counts[source].sum())

    def events_before(self, cut_us: Array) -> NDArray[np.int64]:
        """(S,): the input events of each sample before ``cut_us`` (S,)."""
        inputs = self.recording.spikes[INPUT]
        early = inputs["sample"][inputs["t"] < cut_us[inputs["sample"]]]
        return np.bincount(early, minlength=len(self.recording)).astype(np.int64)

    def after_ms(self, ms: float) -> NDArray[np.int64]:
        """(S,): the end of samples that are cut ``ms`` after their start, at most their own end."""
        return np.minimum(round(ms * 1000), self.recording.durations_us)

    def after_events(self, number: int) -> NDArray[np.int64]:
        """(S,): the end of samples that are cut after ``number`` input events, and any others of the same microsecond.

        Samples with fewer events are whole.
        """
        inputs = self.recording.spikes[INPUT]
        ends = self.recording.durations_us.copy()
        samples, first, count = np.unique(inputs["sample"], return_index=True, return_counts=True)
        enough = count >= number
        ends[samples[enough]] = inputs["t"][first[enough] + number - 1] + 1
        return ends


def cut_point(value: int | float, cuts: Sequence[Cut], whole: Sequence[Recording], names: Sequence[str]) -> Point:
    """The point of ``cuts``, the parts of a run, against their ``whole`` samples; ``names`` are their artifacts."""
    test = join([cut.recording for cut in cuts])
    events = sum(int(cut.events.sum()) for cut in cuts) / len(test)
    ms = float(test.durations_us.sum()) / 1000 / len(test)
    return replace(point(value, test, join(whole), names), events=rounded(events), ms=rounded(ms))


def point(value: int | float, test: Recording, reference: Recording | None, names: Sequence[str]) -> Point:
    """The figures of ``test``, and its difference from ``reference``; ``names`` are those of their artifacts."""
    right, labelled = metrics.right(test), metrics.labelled(test)
    difference = None if reference is None else metrics.spike_difference(reference, test)
    return Point(
        value=value,
        samples=len(test),
        labelled=labelled,
        right=right,
        accuracy=rounded(metrics.accuracy(test)),
        interval_95=_interval(right, labelled),
        silent=metrics.silent(test),
        spike_difference=rounded(difference.pooled) if difference else None,
        spike_difference_mean=rounded(difference.mean) if difference else None,
        agreement=None if reference is None else rounded(metrics.agreement(reference, test)),
        synops=rounded(metrics.synops_per_sample(test)) if len(test.synops) else None,
        events=None,
        ms=None,
        recordings=tuple(names),
    )


def mean_point(draws: Sequence[Point]) -> Point:
    """The point of several ``draws`` of a perturbation: means, and the range of their accuracies."""
    first = draws[0]
    right = round(sum(each.right for each in draws) / len(draws))
    accuracies = [each.accuracy for each in draws if each.accuracy is not None]
    return replace(
        first,
        right=right,
        accuracy=_mean([each.accuracy for each in draws]),
        interval_95=_interval(right, first.labelled),
        silent=None if first.silent is None else round(sum(each.silent or 0 for each in draws) / len(draws)),
        spike_difference=_mean([each.spike_difference for each in draws]),
        spike_difference_mean=_mean([each.spike_difference_mean for each in draws]),
        agreement=_mean([each.agreement for each in draws]),
        synops=_mean([each.synops for each in draws]),
        recordings=tuple(dict.fromkeys(name for each in draws for name in each.recordings)),
        draws=len(draws),
        range=(min(accuracies), max(accuracies)) if accuracies and len(draws) > 1 else None,
    )


def _interval(right: int, labelled: int) -> tuple[float, float] | None:
    interval = metrics.confidence_interval(right, labelled)
    return interval and (round(interval[0], DECIMALS), round(interval[1], DECIMALS))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return rounded(sum(known) / len(known)) if known and len(known) == len(values) else None
