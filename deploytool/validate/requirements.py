"""The requirements on a deployment: one record per key of [validate].

Every requirement is on one run, or on a pair of runs. By default that is the run or the pair that its record names.
Where a person names the pairs, with ``--against``, it is every run or every pair that it can be asked of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploytool.base.numbers import figure_and_limit, rounded
from deploytool.ir.recording import RUNGS, RungName
from deploytool.ir.verdict import Check, CoreLoad, Difference, LayerDifference, Rung
from deploytool.recipe import ValidateSection


@dataclass(frozen=True)
class Pair:
    """Two runs and the difference between their spikes."""

    reference: Rung
    test: Rung
    difference: Difference


@dataclass(frozen=True)
class OfRun:
    """What one key of [validate] asks of a run: a limit on ``measure``, which is None if not known.

    ``title`` says what is measured, on "{test}"; ``lacks`` why it may not be known. ``rung`` is the run that is asked
    by default, and ``on`` are the rungs that can be asked. ``where`` adds to the value where it was found.
    """

    id: str
    title: str
    unit: str
    measure: Callable[[Rung], float | None]
    lacks: str
    at_least: bool = False
    rung: RungName = "emulator"
    on: tuple[RungName, ...] = RUNGS
    where: Callable[[Rung], str] = lambda _: ""


@dataclass(frozen=True)
class OfPair:
    """What one key of [validate] asks of a pair of runs, as `OfRun`; ``rungs`` is the pair that is asked by default."""

    id: str
    title: str
    unit: str
    measure: Callable[[Pair], float | None]
    lacks: str
    at_least: bool = False
    rungs: tuple[RungName, RungName] = ("emulator", "simulator")
    where: Callable[[Pair], str] = lambda _: ""


def _accuracy_drop(pair: Pair) -> float | None:
    before, after = pair.reference.accuracy, pair.test.accuracy
    return None if before is None or after is None else before - after


def _worst_layer(pair: Pair) -> LayerDifference | None:
    """The layer with the largest difference; None if a layer cannot be compared, because none may go unchecked."""
    layers = pair.difference.layers
    if pair.difference.not_compared or not layers or any(layer.pooled is None for layer in layers):
        return None
    return max(layers, key=lambda layer: layer.pooled or 0)


def _worst_pooled(pair: Pair) -> float | None:
    return worst.pooled if (worst := _worst_layer(pair)) else None


def _worst_name(pair: Pair) -> str:
    return worst.layer if (worst := _worst_layer(pair)) else ""


def _decided(run: Rung) -> str:
    return f"{run.decision.samples:,} of {run.samples:,} samples decide" if run.decision else ""


def _median_ms(run: Rung) -> float | None:
    return run.decision.median_ms if run.decision else None


def _p95_ms(run: Rung) -> float | None:
    return run.decision.p95_ms if run.decision else None


def _busiest(run: Rung) -> CoreLoad | None:
    return max(run.load, key=lambda load: load.busiest_ms_synops_per_s, default=None)


def _busiest_synops(run: Rung) -> float | None:
    return busiest.busiest_ms_synops_per_s if (busiest := _busiest(run)) else None


def _busiest_place(run: Rung) -> str:
    busiest = _busiest(run)
    if busiest is None:
        return ""
    return busiest.part if busiest.core is None else f"core {busiest.core}, {busiest.part}"


def _cores(run: Rung) -> int | None:
    return len({load.core for load in run.load if load.core is not None}) or None


_NO_LABELS: Final = "no sample has a label"
_ON_CHIP: Final[tuple[RungName, ...]] = ("emulator", "board")
_EVENT_DRIVEN: Final[tuple[RungName, ...]] = ("simulator", *_ON_CHIP)
_NO_SPIKES: Final = "the reference has no spikes at the output"

REQUIREMENTS: Final[tuple[OfRun | OfPair, ...]] = (
    OfRun("min_accuracy", "Accuracy on the {test}", "%", lambda run: run.accuracy, _NO_LABELS, at_least=True),
    OfPair(
        "max_accuracy_drop",
        "Accuracy lost from {reference} to {test}",
        "points",
        _accuracy_drop,
        _NO_LABELS,
        rungs=("torch", "emulator"),
    ),
    OfPair(
        "max_spike_difference",
        "Pooled spike difference at the output between {reference} and {test}",
        "%",
        lambda pair: pair.difference.output.pooled,
        _NO_SPIKES,
    ),
    OfPair(
        "max_mean_spike_difference",
        "Mean spike difference at the output between {reference} and {test}",
        "%",
        lambda pair: pair.difference.output.mean,
        _NO_SPIKES,
    ),
    OfPair(
        "max_layer_spike_difference",
        "Largest pooled spike difference of a layer between {reference} and {test}",
        "%",
        _worst_pooled,
        "a layer is not recorded by both, or the reference has no spikes in it",
        where=_worst_name,
    ),
    OfPair(
        "min_agreement",
        "Samples with the same prediction on {reference} and {test}",
        "%",
        lambda pair: pair.difference.agreement,
        "the output is not recorded by both",
        at_least=True,
        rungs=("torch", "emulator"),
    ),
    OfRun(
        "max_synops",
        "Synaptic updates per sample (mean) on the {test}",
        "updates",
        lambda run: run.synops,
        "synaptic updates are not recorded",
    ),
    OfRun(
        "max_core_synops_per_s",
        "Synaptic updates per second of the busiest core in its busiest millisecond on the {test}",
        "updates/s",
        _busiest_synops,
        "the run did not record the load of cores",
        on=_EVENT_DRIVEN,
        where=_busiest_place,
    ),
    OfRun(
        "max_energy_uj",
        "Estimated energy per sample on the {test}",
        "uJ",
        lambda run: run.energy_uj,
        "durations or synaptic updates are not recorded",
        on=_ON_CHIP,
    ),
    OfRun(
        "max_decision_ms",
        "Median time to the decision on the {test}",
        "ms",
        _median_ms,
        "no sample has a decision",
        on=_EVENT_DRIVEN,
        where=_decided,
    ),
    OfRun(
        "max_decision_p95_ms",
        "95th percentile of the time to the decision on the {test}",
        "ms",
        _p95_ms,
        "no sample has a decision",
        on=_EVENT_DRIVEN,
        where=_decided,
    ),
    OfRun("max_cores", "Cores used on the {test}", "cores", _cores, "the run did not record its cores", on=_ON_CHIP),
)
"""Every limit of [validate], by its name there."""


def checks(
    runs: Mapping[str, Rung], differences: Sequence[Difference], asked: ValidateSection, every: bool
) -> tuple[Check, ...]:
    """The checks of what ``asked`` requires of ``runs`` {name: run} and their ``differences``.

    With ``every``, a limit on one run applies to every run, and a limit on a pair to every pair of ``differences``.
    Without, each applies to the run or the pair of the ladder that its requirement names.
    """
    pairs = [Pair(runs[found.reference], runs[found.test], found) for found in differences]
    made = [_was_run(rung, runs.get(rung)) for rung in asked.require]
    for requirement in REQUIREMENTS:
        limit = getattr(asked, requirement.id)
        if limit is None:
            continue
        if isinstance(requirement, OfRun):
            found = _of_runs(requirement, runs, every)
        else:
            found = _of_pairs(requirement, runs, pairs, every)
        made += [_check(requirement, limit, each) for each in found]
    return tuple(made)


@dataclass(frozen=True)
class _Found:
    """A ``value`` of ``test``, or between it and ``reference``; ``missing`` are those of them that did not run."""

    value: float | None
    test: str
    reference: str | None = None
    where: str = ""
    missing: tuple[str, ...] = ()


def _of_runs(asked: OfRun, runs: Mapping[str, Rung], every: bool) -> Iterator[_Found]:
    names = [name for name, run in runs.items() if run.rung in asked.on] if every else []
    for name in names or [asked.rung]:
        run = runs.get(name)
        yield _Found(asked.measure(run), name, where=asked.where(run)) if run else _Found(None, name, missing=(name,))


def _of_pairs(asked: OfPair, runs: Mapping[str, Rung], pairs: Sequence[Pair], every: bool) -> Iterator[_Found]:
    if not every:
        reference, test = asked.rungs
        if missing := tuple(rung for rung in asked.rungs if rung not in runs):
            yield _Found(None, test, reference, missing=missing)
            return
        pair = next(pair for pair in pairs if {pair.reference.name, pair.test.name} == set(asked.rungs))
        pairs = [replace(pair, reference=runs[reference], test=runs[test])]
    for pair in pairs:
        yield _Found(asked.measure(pair), pair.test.name, pair.reference.name, asked.where(pair))


def _check(asked: OfRun | OfPair, limit: float, found: _Found) -> Check:
    """The check of one requirement; not run when a run is missing, or its recording lacks the data."""
    title = asked.title.format(test=found.test, reference=found.reference)
    value, passed = rounded(found.value), None
    if found.missing:
        sentence = f"{title}: not run, no recording of {' and '.join(found.missing)}"
    elif value is None:
        sentence = f"{title}: not run, because {asked.lacks}"
    else:
        passed = value >= limit if asked.at_least else value <= limit
        bound, (shown, needed) = "at least" if asked.at_least else "at most", figure_and_limit(value, limit)
        where = f" ({found.where})" if found.where else ""
        sentence = f"{title}: {shown} {asked.unit}{where}, {bound} {needed} required"
    return Check(asked.id, value, limit, asked.unit, passed, sentence, found.reference, found.test)


def _was_run(rung: RungName, run: Rung | None) -> Check:
    """The check of a rung that must run: it fails without a recording of samples."""
    samples = run.samples if run else 0
    sentence = f"A run on the {rung} is required: " + (f"{samples:,} samples" if samples else "not run")
    return Check("require", samples, 1, "samples", samples > 0, sentence, test=rung)
