"""The samples that a report shows: those that are wrong or differ, each with the reasons why it was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.recording import Recording
from deploytool.report.runs import on_ladder, tied
from deploytool.report.values import sample_distances, sample_errors


@dataclass(frozen=True)
class Choice:
    """A sample by its number, and why it is shown."""

    index: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Reason:
    """A reason to show samples: ``says(index)``, and the samples (N,) it applies to, the most telling first."""

    says: str
    samples: NDArray[np.int64]


def choose(runs: Mapping[str, Recording], limit: int) -> tuple[Choice, ...]:
    """At most ``limit`` samples: one for each of `reasons`, and then more of the first ones.

    Each is listed with every reason that applies to it.
    """
    found = reasons(runs, limit)
    chosen: list[int] = []
    for reason in found:
        if not set(reason.samples.tolist()) & set(chosen):
            chosen += reason.samples[:1].tolist()
    chosen += [index for reason in found for index in reason.samples.tolist() if index not in chosen]
    shown = list(dict.fromkeys(chosen))[:limit]
    return tuple(Choice(index, tuple(reason.says for reason in found if index in reason.samples)) for index in shown)


def reasons(runs: Mapping[str, Recording], limit: int) -> list[Reason]:
    """Every reason with the samples it applies to; "differ" and "typical" name at most ``limit``."""
    ordered = on_ladder(runs)
    if not ordered or not len(next(iter(ordered.values()))):
        return []
    names = list(ordered)
    before, after = names[0], names[-1]
    first, last = ordered[before], ordered[after]
    labels, known = last.labels, last.labels >= 0
    if last.reads_values:
        return _of_values(ordered, limit)
    predictions = np.stack([recording.predictions for recording in ordered.values()])
    right = predictions == labels
    distance = _distance(first, last)
    found = []

    def add(says: str, applies: NDArray[np.bool_]) -> None:
        samples = np.flatnonzero(applies)
        found.append(Reason(says, samples[np.argsort(-distance[samples], kind="stable")]))

    if len(ordered) > 1:
        add(f"{before} is right and {after} is wrong", known & right[0] & ~right[-1])
        add(f"{after} is right and {before} is wrong", known & ~right[0] & right[-1])
        add("the runs predict different classes", (predictions != predictions[0]).any(axis=0))
        add("every run is wrong", known & ~right.any(axis=0))
    else:
        add(f"{after} is wrong", known & ~right[0])
    add(f"no output spike on {after}", last.predictions < 0)
    add(f"classes are tied on {after}", tied(last))
    if distance.max() > 0:
        most = np.argsort(-distance, kind="stable")[:limit]
        found.append(Reason(f"among the {len(most)} largest spike differences at the output", most[distance[most] > 0]))
    median = np.sort(distance)[len(distance) // 2]
    typical = np.argsort(np.abs(distance - median), kind="stable")[:limit]
    found.append(Reason("a typical sample: its spike difference at the output is near the median", typical))
    return found


def _of_values(ordered: dict[str, Recording], limit: int) -> list[Reason]:
    """The reasons to show samples whose values are read: the largest error and difference, and a typical error."""
    before, after = next(iter(ordered)), next(reversed(ordered))
    errors, distance = sample_errors(ordered[after]), sample_distances(ordered[before], ordered[after])
    found = []
    for says, sizes in ((f"largest errors on {after}", errors), (f"largest differences from {before}", distance)):
        most = np.argsort(-sizes, kind="stable")[:limit]
        if sizes.max() > 0:
            found.append(Reason(f"among the {len(most)} {says}", most[sizes[most] > 0]))
    typical = np.argsort(np.abs(errors - np.median(errors)), kind="stable")[:limit]
    found.append(Reason("a typical sample: its error is near the median", typical))
    return found


def _distance(reference: Recording, test: Recording) -> NDArray[np.float64]:
    """(S,): sum of |reference - test| at the outputs in % of the reference's spikes, of at least one spike."""
    if not reference.outputs or not test.outputs:
        return np.zeros(len(test))
    wanted, found = reference.output_counts, test.output_counts
    ratio: NDArray[np.float64] = 100 * np.abs(wanted - found).sum(axis=1) / np.maximum(wanted.sum(axis=1), 1)
    return ratio
