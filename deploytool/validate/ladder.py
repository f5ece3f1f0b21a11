"""The ladder from the trained network to silicon: rungs, differences between them, and the verdict.

The payload of report.json (`Verdict.report`), with shares, differences and intervals in %:

    units                  what every number is counted in
    rungs                  one per rung, in the order of RUNGS; "status" is "run" or "not run", and then all is null
    spike_difference       one per compared pair; layers that only one of the two recorded are in "not_compared"
    synops_per_sample      {rung: mean number of synaptic updates}, of the rungs that were run
    verdict                passed (true, false, or null: nothing asked, or not run), says, and every check
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.errors import InputError
from deploytool.ir.recording import RUNGS, Recording, RungName
from deploytool.ir.verdict import Check, Verdict
from deploytool.recipe import ValidateSection
from deploytool.validate import metrics
from deploytool.validate.activity import decision, energy, layer_activity

COMPARISONS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("board", "emulator"): "what the emulator does not know about silicon",
        ("board", "simulator"): "silicon and integers together",
        ("board", "quantised"): "silicon, and events instead of time steps",
        ("board", "torch"): "everything between the trained network and silicon",
        ("emulator", "simulator"): "the chip's integers instead of float32, both event by event",
        ("emulator", "quantised"): "events instead of time steps, in the same integers",
        ("emulator", "torch"): "everything between the trained network and the emulator",
        ("simulator", "torch"): "events instead of time steps, both in float32",
        ("quantised", "torch"): "the chip's integers instead of float32, both in time steps",
    }
)
"""(reference, test): what the difference is made of. The rung nearer to silicon is the reference."""

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accuracy": "% of labelled samples",
        "interval_95": "% (Wilson, estimate)",
        "pooled": "% of reference spikes",
        "mean": "% of reference spikes, mean over samples",
        "exact_counts": "% of counts",
        "agreement": "% of samples",
        "synops": "synaptic updates per sample (mean)",
        "spikes": "spikes per sample (mean)",
        "confusion": "samples",
        "rate_hz": "spikes per neuron and second",
        "v_lowest": "int16, before reset",
        "v_highest": "int16, before reset",
        "decision": "ms from the first input event (of the samples whose single spikes were kept)",
    }
)


@dataclass(frozen=True)
class Requirement:
    """What one key of [validate] asks: ``measure`` of the recordings of ``rungs``, against the key's value."""

    id: str
    says: str
    unit: str
    at_least: bool
    rungs: tuple[RungName, ...]
    measure: Callable[..., float | None]


def _accuracy_drop(trained: Recording, deployed: Recording) -> float | None:
    before, after = metrics.accuracy(trained), metrics.accuracy(deployed)
    return None if before is None or after is None else before - after


def _output_difference(reference: Recording, test: Recording) -> float | None:
    return metrics.spike_difference(reference, test).pooled


REQUIREMENTS: Final = (
    Requirement("min_accuracy", "Accuracy on the emulator", "%", True, ("emulator",), metrics.accuracy),
    Requirement(
        "max_accuracy_drop",
        "Accuracy lost from the trained network to the emulator",
        "points",
        False,
        ("torch", "emulator"),
        _accuracy_drop,
    ),
    Requirement(
        "max_spike_difference",
        "Pooled spike difference at the output between emulator and float32 simulator",
        "%",
        False,
        ("emulator", "simulator"),
        _output_difference,
    ),
    Requirement(
        "max_synops",
        "Synaptic updates per sample (mean) on the emulator",
        "updates",
        False,
        ("emulator",),
        metrics.synops_per_sample,
    ),
)
"""Every key of [validate], by its name there."""


def judge(recordings: Sequence[Recording], spec: ValidateSection, against: Recording | None = None) -> Verdict:
    """What ``recordings`` of the same samples say about each other, and whether they meet ``spec``.

    A second recording of a rung is called "emulator 2", and so on; checks are on the first. Compared are the pairs
    of COMPARISONS and repeated runs with the first of their rung, or, with ``against``, all others with that one.
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
    report: dict[str, Any] = {
        "units": dict(UNITS),
        "rungs": [_rung(name, named.get(name)) for name in names],
        "spike_difference": _differences(named, pairs),
        "synops_per_sample": {
            name: _rounded(metrics.synops_per_sample(recording)) for name, recording in named.items()
        },
    }
    asked = [(requirement, getattr(spec, requirement.id)) for requirement in REQUIREMENTS]
    checks = tuple(_check(requirement, limit, named) for requirement, limit in asked if limit is not None)
    verdict = Verdict(checks, report)
    report["verdict"] = {
        "passed": verdict.passed,
        "says": _says(verdict),
        "checks": [dataclasses.asdict(check) for check in checks],
    }
    return verdict


def _named(recordings: Sequence[Recording]) -> dict[str, Recording]:
    """Recordings by rung, in the order of RUNGS; the second of a rung is "<rung> 2"."""
    named: dict[str, Recording] = {}
    for rung in RUNGS:
        of_rung = [recording for recording in recordings if recording.rung == rung]
        named |= {rung if i == 0 else f"{rung} {i + 1}": recording for i, recording in enumerate(of_rung)}
    return named


def _rung(name: str, recording: Recording | None) -> dict[str, Any]:
    if recording is None:
        nothing = dict.fromkeys(
            (
                "accuracy",
                "interval_95",
                "right",
                "labelled",
                "silent",
                "synops",
                "confusion",
                "decision",
                "energy",
                "perturbation",
            )
        )
        return {"name": name, "status": "not run", "samples": 0, "spikes": {}, "layers": [], **nothing}
    right, labelled = metrics.right(recording), metrics.labelled(recording)
    interval = metrics.confidence_interval(right, labelled)
    return {
        "name": name,
        "status": "run",
        "samples": len(recording),
        "accuracy": _rounded(metrics.accuracy(recording)),
        "interval_95": interval and [_rounded(end) for end in interval],
        "right": right,
        "labelled": labelled,
        "silent": metrics.silent(recording),
        "synops": _rounded(metrics.synops_per_sample(recording)),
        "spikes": {layer: _rounded(mean) for layer, mean in metrics.spikes_per_sample(recording).items()},
        "confusion": metrics.confusion(recording).tolist() if labelled else None,
        "layers": layer_activity(recording),
        "decision": decision(recording),
        "energy": energy(recording),
        "perturbation": recording.perturbation or None,
    }


def _differences(named: Mapping[str, Recording], pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One entry per pair (reference, test); raises all that cannot be compared at once."""
    differences, problems = [], []
    for reference, test in pairs:
        try:
            differences.append(_difference(named, reference, test))
        except InputError as error:
            problems.append(error)
    if problems:
        raise InputError.together(problems)
    return differences


def _difference(named: Mapping[str, Recording], reference: str, test: str) -> dict[str, Any]:
    wanted, found = named[reference], named[test]
    shared = [layer for layer in wanted.counts if layer in found.counts]
    return {
        "reference": reference,
        "test": test,
        "says": COMPARISONS.get((wanted.rung, found.rung), ""),
        "agreement": _rounded(metrics.agreement(wanted, found)),
        "output": _as_json(metrics.spike_difference(wanted, found)),
        "layers": [{"layer": name, **_as_json(metrics.spike_difference(wanted, found, name))} for name in shared],
        "not_compared": sorted(wanted.counts.keys() ^ found.counts.keys()),
    }


def _as_json(difference: metrics.SpikeDifference) -> dict[str, Any]:
    return {key: _rounded(value) for key, value in dataclasses.asdict(difference).items()}


def _check(requirement: Requirement, limit: float, named: Mapping[str, Recording]) -> Check:
    """The check of one requirement; not run when a rung is missing, or its recording cannot tell."""
    what = requirement.says
    if missing := [rung for rung in requirement.rungs if rung not in named]:
        value, passed, says = None, None, f"{what}: not run, no recording of {' and '.join(missing)}"
    elif (value := _rounded(requirement.measure(*(named[rung] for rung in requirement.rungs)))) is None:
        passed, says = None, f"{what}: not run, the recordings have no labels or no output spikes to tell it from"
    else:
        passed = value >= limit if requirement.at_least else value <= limit
        bound = "at least" if requirement.at_least else "at most"
        says = f"{what}: {_short(value)} {requirement.unit}, {bound} {_short(limit)} asked"
    return Check(requirement.id, value, limit, requirement.unit, passed, says)


def _short(value: float) -> str:
    """``value`` with two decimals at most, and none from a thousand on."""
    return f"{round(value, 2 if abs(value) < 1000 else 0):,.12g}".replace("-", "−")


def _says(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    total = len(verdict.checks)
    failed = sum(check.passed is False for check in verdict.checks)
    not_run = sum(check.passed is None for check in verdict.checks)
    if not total:
        return "No check was asked for."
    if not failed and not not_run:
        return "The one check holds." if total == 1 else f"All {total} checks hold."
    parts = [f"{failed} failed"] * bool(failed) + [f"{not_run} not run"] * bool(not_run)
    return f"Of {total} check{'s' * (total > 1)}, {' and '.join(parts)}."


def _rounded(value: float | None) -> float | None:
    """``value`` with four decimals: far below what any data set can tell apart."""
    return value if value is None or isinstance(value, int) else round(value, 4)
