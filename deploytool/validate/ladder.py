"""The ladder from the trained network to silicon: its rungs, the differences between them, and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import InputError
from deploytool.base.numbers import DECIMALS, rounded
from deploytool.ir.recording import RUNGS, Recording
from deploytool.ir.verdict import Difference, LayerDifference, Rung, SpikeDifference, Verdict
from deploytool.recipe import ValidateSection
from deploytool.validate import metrics
from deploytool.validate.activity import decision, layer_figures
from deploytool.validate.energy import energy
from deploytool.validate.requirements import checks

COMPARISONS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("board", "emulator"): "differences between silicon and its emulator",
        ("board", "simulator"): "silicon and integers combined",
        ("board", "quantised"): "silicon, and events instead of time steps",
        ("board", "torch"): "everything between the trained network and silicon",
        ("emulator", "simulator"): "the chip's integers instead of float32, both event by event",
        ("emulator", "quantised"): "events instead of time steps, in the same integers",
        ("emulator", "torch"): "everything between the trained network and the emulator",
        ("simulator", "torch"): "events instead of time steps, both in float32",
        ("quantised", "torch"): "the chip's integers instead of float32, both in time steps",
    }
)
"""(reference, test): the cause of the difference. The rung nearer to silicon is the reference."""


def judge(recordings: Sequence[Recording], asked: ValidateSection, against: Recording | None = None) -> Verdict:
    """The verdict on ``recordings`` of the same samples: their differences, and whether they meet ``asked``.

    A second recording of a rung is called "emulator 2", and so on; checks are on the first. It compares the
    pairs of COMPARISONS, and repeated runs with the first of their rung; with ``against``, all others with that one.
    Raises InputError, one sentence per pair, when samples or shapes differ.
    """
    if not recordings:
        raise InputError("validate", "no recording", "at least one")
    named = _named([*recordings, *([against] if against is not None and against not in recordings else [])])
    if against is None:
        pairs = [pair for pair in COMPARISONS if set(pair) <= named.keys()]
        pairs += [(recording.rung, name) for name, recording in named.items() if name not in RUNGS]
    else:
        reference = next(name for name, recording in named.items() if recording is against)
        pairs = [(reference, name) for name in named if name != reference]
    names = [*RUNGS, *(name for name in named if name not in RUNGS)]
    return Verdict(
        rungs=tuple(_rung(name, named.get(name)) for name in names),
        differences=_differences(named, pairs),
        checks=checks(named, asked),
    )


def _named(recordings: Sequence[Recording]) -> dict[str, Recording]:
    """Recordings by rung, in the order of RUNGS; the second of a rung is "<rung> 2"."""
    named: dict[str, Recording] = {}
    for rung in RUNGS:
        of_rung = [recording for recording in recordings if recording.rung == rung]
        named |= {rung if i == 0 else f"{rung} {i + 1}": recording for i, recording in enumerate(of_rung)}
    return named


def _rung(name: str, recording: Recording | None) -> Rung:
    if recording is None:
        return Rung.not_run(name)
    right, labelled = metrics.right(recording), metrics.labelled(recording)
    interval = metrics.confidence_interval(right, labelled)
    return Rung(
        name,
        "run",
        samples=len(recording),
        accuracy=rounded(metrics.accuracy(recording)),
        interval_95=interval and (round(interval[0], DECIMALS), round(interval[1], DECIMALS)),
        right=right,
        labelled=labelled,
        silent=metrics.silent(recording),
        synops=rounded(metrics.synops_per_sample(recording)),
        spikes={layer: round(mean, DECIMALS) for layer, mean in metrics.spikes_per_sample(recording).items()},
        confusion=tuple(map(tuple, metrics.confusion(recording).tolist())) if labelled else None,
        layers=layer_figures(recording),
        decision=decision(recording),
        energy=energy(recording),
        perturbation=recording.setup.perturbation or None,
    )


def _differences(named: Mapping[str, Recording], pairs: Sequence[tuple[str, str]]) -> tuple[Difference, ...]:
    """One difference per pair (reference, test); raises one error for all pairs that cannot be compared."""
    differences, problems = [], []
    for reference, test in pairs:
        try:
            differences.append(_difference(named, reference, test))
        except InputError as error:
            problems.append(error)
    if problems:
        raise InputError.together(problems)
    return tuple(differences)


def _difference(named: Mapping[str, Recording], reference: str, test: str) -> Difference:
    wanted, found = named[reference], named[test]
    shared = [layer for layer in wanted.counts if layer in found.counts]
    by_layer = {layer: _rounded(metrics.spike_difference(wanted, found, layer)) for layer in shared}
    return Difference(
        reference=reference,
        test=test,
        says=COMPARISONS.get((wanted.rung, found.rung), ""),
        agreement=rounded(metrics.agreement(wanted, found)),
        output=_rounded(metrics.spike_difference(wanted, found)),
        layers=tuple(LayerDifference(layer=layer, **vars(difference)) for layer, difference in by_layer.items()),
        not_compared=tuple(sorted(wanted.counts.keys() ^ found.counts.keys())),
    )


def _rounded(difference: SpikeDifference) -> SpikeDifference:
    return dataclasses.replace(
        difference,
        pooled=rounded(difference.pooled),
        mean=rounded(difference.mean),
        exact_counts=rounded(difference.exact_counts),
    )
