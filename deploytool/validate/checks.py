"""The checks of a verdict: what is required of the runs and their differences, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deploytool.base.numbers import figure_and_limit, rounded
from deploytool.ir.recording import RungName
from deploytool.ir.verdict import Check, Difference, Rung
from deploytool.recipe import ValidateSection
from deploytool.validate.requirements import REQUIREMENTS, OfPair, OfRun, Pair


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
    """A ``value`` of ``test``, or between it and ``reference``; ``missing`` are those of them that did not run.

    ``unit`` is that of the value if the requirement leaves it open.
    """

    value: float | None
    test: str
    reference: str | None = None
    where: str = ""
    missing: tuple[str, ...] = ()
    unit: str = ""


def _of_runs(asked: OfRun, runs: Mapping[str, Rung], every: bool) -> Iterator[_Found]:
    names = [name for name, run in runs.items() if run.rung in asked.on] if every else []
    for name in names or [asked.rung]:
        run = runs.get(name)
        if run is None:
            yield _Found(None, name, missing=(name,))
        else:
            unit = run.regression.unit if run.regression and asked.of_values else ""
            yield _Found(asked.measure(run), name, where=asked.where(run), unit=unit)


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
        bound, where = "at least" if asked.at_least else "at most", f" ({found.where})" if found.where else ""
        shown, needed = _stated(asked, value, limit)
        unit = f" {found.unit or asked.unit}".rstrip()
        sentence = f"{title}: {shown}{unit}{where}, {bound} {needed} required"
    return Check(asked.id, value, limit, found.unit or asked.unit, passed, sentence, found.reference, found.test)


def _stated(asked: OfRun | OfPair, value: float, limit: float) -> tuple[str, str]:
    """``value`` and ``limit`` in a sentence."""
    if not asked.in_millions:
        return figure_and_limit(value, limit)
    shown, needed = figure_and_limit(value / 1e6, limit / 1e6)
    return f"{shown} M", f"{needed} M"


def _was_run(rung: RungName, run: Rung | None) -> Check:
    """The check of a rung that must run: it fails without a recording of samples."""
    samples = run.samples if run else 0
    sentence = f"A run on the {rung} is required: " + (f"{samples:,} samples" if samples else "not run")
    return Check("require", samples, 1, "samples", samples > 0, sentence, test=rung)
