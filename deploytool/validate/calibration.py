"""How well a changed emulator predicts measured spike counts, against the emulator as it is.

Counts are (S, N): samples, neurons of all recorded layers. The figure is the pooled spike difference

    100 * sum |measured - predicted| / sum measured

A change that is random is drawn several times. Its prediction is the median of the draws for each neuron, which has the
smallest expected distance, and what it leaves unexplained even when it is true is the distance of a draw from the
median of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array

Judged: TypeAlias = Literal["explains", "helps", "cannot be told apart", "does not help"]

RESAMPLES: Final = 2000
INTERVAL: Final = (0.5, 99.5)
"""Percentiles of the bootstrap: a 99 % interval, because many assumptions are tried."""
FEW: Final = 6
"""Below this number of samples, an interval from resampling them is rough."""
DEVIATIONS: Final = 3
"""A random change leaves at most its mean distance and this number of standard deviations."""
DISPERSION_MAX: Final = 3.0
LIKELY: Final = 3.841
"""The 95 % point of the chi-squared distribution with one degree of freedom."""


@dataclass(frozen=True)
class DropRate:
    """The most likely share of lost input events and its 95 % interval, in %.

    ``dispersion`` is how much more the samples scatter than the random loss of events alone, as a ratio of variances.
    """

    percent: float
    low: float
    high: float
    dispersion: float

    @property
    def certain(self) -> bool:
        """Whether events were lost, and little but their loss moves the counts in its direction."""
        return self.low > 0 and self.dispersion <= DISPERSION_MAX


@dataclass(frozen=True)
class Score:
    """How well an assumption predicts, in % pooled.

    ``difference`` is the spike difference with it, ``expected`` the largest that would be left if it were true.
    ``gain`` is how much it lowers the difference, with its 99 % ``interval`` over the samples (None for one sample);
    ``better`` and ``worse`` are the numbers of samples in which the difference is smaller and larger with it.
    """

    id: str
    says: str
    difference: float
    expected: float
    gain: float
    interval: tuple[float, float] | None
    better: int
    worse: int
    verdict: Judged

    def with_rate(self, rate: DropRate) -> Score:
        """The score of the loss of events at ``rate``.

        A small loss moves the mean of many counts, but the median of few: the likelihood shows it, the gain does not.
        """
        explains = rate.certain and self.difference <= self.expected
        return replace(self, verdict="explains") if explains else self


def difference(measured: Array, predicted: Array) -> float:
    """The pooled spike difference in %; 0 without spikes in both, 100 without measured spikes alone."""
    total, distance = float(measured.sum()), float(np.abs(measured - predicted).sum())
    return 100 * distance / total if total else 100.0 * bool(distance)


def score(measured: Array, plain: Array, draws: Array, name: str, says: str) -> Score:
    """The score of the assumption called ``name`` that predicts ``draws``; ``plain`` are the emulator's counts."""
    predicted = np.median(draws, axis=0)
    now, then = (np.abs(measured - each).sum(axis=1) for each in (plain, predicted))
    total = measured.sum(axis=1)
    scale = 100 / max(float(total.sum()), 1)
    gain = float((now - then).sum()) * scale
    interval = _interval(now - then, total)
    found = Score(
        name,
        says,
        difference=float(then.sum()) * scale,
        expected=_expected(draws, total),
        gain=gain,
        interval=interval,
        better=int((then < now).sum()),
        worse=int((then > now).sum()),
        verdict="cannot be told apart",
    )
    low, high = interval or (gain, gain)
    if low > 0:
        return replace(found, verdict="explains" if found.difference <= found.expected else "helps")
    return replace(found, verdict="does not help") if high < 0 else found


def ranked(measured: Array, scores: Sequence[Score], predicted: Mapping[str, Array]) -> tuple[Score, ...]:
    """``scores``, the smallest difference first.

    An assumption that explains the difference, but clearly less well than the best, only helps. ``predicted`` {id: (S,
    N)} are the medians.
    """
    first, *others = sorted(scores, key=lambda each: (each.verdict != "explains", each.difference))
    total, best = measured.sum(axis=1), np.abs(measured - predicted[first.id]).sum(axis=1)
    found = [first]
    for each in others:
        further = np.abs(measured - predicted[each.id]).sum(axis=1) - best
        interval = _interval(further, total)
        low = interval[0] if interval else float(further.sum())
        found.append(replace(each, verdict="helps") if each.verdict == "explains" and low > 0 else each)
    return tuple(found)


def conclusion(now: float, scores: Sequence[Score], samples: int) -> str:
    """What the ranked ``scores`` say about the difference ``now``, in sentences."""
    if now == 0:
        return "The emulator as it is has exactly these counts. No change helps."
    few = f" {samples} samples are few: take the interval as rough." if samples < FEW else ""
    explaining = [each for each in scores if each.verdict == "explains"]
    helping = [each for each in scores if each.verdict == "helps"]
    if explaining:
        best, *equal = explaining
        also = f" It cannot be told apart from: {', '.join(each.id for each in equal)}." if equal else ""
        return f"{best.says} This explains the difference: {now:.2f} % now, {best.difference:.2f} % with it.{also}{few}"
    none = f"None of the {len(scores)} assumptions explains the difference of {now:.2f} %."
    if helping:
        best = min(helping, key=lambda each: each.difference)
        return f"{none} The best is {best.id!r}, which leaves {best.difference:.2f} %.{few}"
    return f"{none} None of them clearly helps.{few}"


def drop_rate(measured: Array, plain: Array, drawn: Mapping[float, Array]) -> DropRate | None:
    """The share of input events that were lost, by maximum likelihood; None if losses have no effect on the counts.

    ``drawn`` {share: draws} are predictions at rising shares. The counts of sample k are projected on the direction in
    which losses move them, s = <D, r - plain> / <D, D>, with D the mean shift at the largest share. At share p, s is
    taken as normal with the mean and the variance of the draws. If samples scatter more, the interval is widened by
    the ratio (quasi-likelihood).
    """
    shares = np.array([0.0, *drawn])
    direction = np.mean(drawn[float(shares[-1])], axis=0) - plain
    size = (direction**2).sum(axis=1)
    if not (known := size > 0).any():
        return None

    def projected(counts: Array) -> NDArray[np.float64]:
        found: NDArray[np.float64] = ((counts - plain) * direction).sum(axis=1)[known] / size[known]
        return found

    seen = projected(measured)
    each = np.array([[projected(draw) for draw in draws] for draws in drawn.values()])
    means = np.vstack([np.zeros(len(seen)), each.mean(axis=1)])
    spread = each.std(axis=1, ddof=1)
    spread = np.maximum(np.vstack([spread[:1], spread]), 1 / np.sqrt(size[known]))
    fine = shares[-1] * np.linspace(0, 1, 801) ** 2
    mean, deviation = (np.array([np.interp(fine, shares, column) for column in table.T]) for table in (means, spread))
    chi2 = (((seen[:, None] - mean) / deviation) ** 2).sum(axis=0)
    deviance = chi2 + 2 * np.log(deviation).sum(axis=0)
    best = int(deviance.argmin())
    dispersion = max(1.0, float(chi2[best]) / (len(seen) - 1)) if len(seen) > 1 else 1.0
    deviance = chi2 / dispersion + 2 * np.log(deviation).sum(axis=0)
    best = int(deviance.argmin())
    likely = fine[deviance <= deviance[best] + LIKELY]
    return DropRate(100 * float(fine[best]), 100 * float(likely[0]), 100 * float(likely[-1]), dispersion)


def _interval(gains: Array, total: Array) -> tuple[float, float] | None:
    """The 99 % interval of 100 * sum gains / sum total, from resampled samples; None for one sample."""
    if len(gains) < 2:
        return None
    chosen = np.random.default_rng(0).integers(0, len(gains), (RESAMPLES, len(gains)))
    shares = 100 * gains[chosen].sum(axis=1) / np.maximum(total[chosen].sum(axis=1), 1)
    low, high = np.percentile(shares, INTERVAL)
    return float(low), float(high)


def _expected(draws: Array, total: Array) -> float:
    """The largest difference in % that draws of the same assumption have; 0 if there is nothing random in it."""
    if len(draws) < 2:
        return 0.0
    left = [
        np.abs(draw - np.median(np.delete(draws, number, axis=0), axis=0)).sum() for number, draw in enumerate(draws)
    ]
    return 100 * float(np.mean(left) + DEVIATIONS * np.std(left, ddof=1)) / max(float(total.sum()), 1)
