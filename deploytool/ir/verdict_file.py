"""Verdicts as JSON: verdict files, report.json and the command line's --json all use this form.

version                the format version; older files are upgraded step by step when they are read
units                  the unit of every number
rungs                  one per rung, in ladder order, then the variants: other runs of a rung, each with the name that
                       says what differs; "status" is "run", or "not run" with null figures
spike_difference       one per compared pair; "not_compared" lists layers that only one of the two recorded
synops_per_sample      {rung: mean number of synaptic updates} for the rungs that were run
verdict                passed (true, false, or null: no checks, or some not run), says, and every check
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json, parse_json, read_bytes
from deploytool.base.typed import typed
from deploytool.ir.verdict import OF_VALUES, TYPED, Check, Difference, Rung, Verdict

FILE: Final = "verdict.json"
VERSION: Final = 2
_NEED: Final = "a verdict that deploytool wrote"

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accuracy": "% of labelled samples",
        "interval_95": "% (Wilson, estimate)",
        "pooled": "% of reference spikes",
        "mean": "% of reference spikes, mean over samples",
        "exact_counts": "% of counts",
        "agreement": "% of samples",
        "regression": "unit of the values, as stated; r2 without unit",
        "synops": "synaptic updates per sample (mean)",
        "spikes": "spikes per sample (mean)",
        "confusion": "samples",
        "rate_hz": "spikes per neuron and second",
        "v_lowest": "int16, before reset",
        "v_highest": "int16, before reset",
        "decision": "ms from the first input event to the output spike after which the answer never changes",
        "energy_uj": "uJ per sample on RAM + LOGIC (estimate)",
        "power_mw": "mW on RAM + LOGIC (estimate)",
        "load": "synaptic updates per second: mean, in the busiest bin of 1 ms, in the busiest ten in a row",
    }
)


@dataclass(frozen=True, config=TYPED)
class _Outcome:
    passed: bool | None
    says: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, config=TYPED)
class _Payload:
    """The stored form of a verdict. It also holds values derived from the rest, for scripts."""

    version: int
    units: Mapping[str, str]
    rungs: tuple[Rung, ...]
    spike_difference: tuple[Difference, ...]
    synops_per_sample: Mapping[str, float | None]
    verdict: _Outcome
    class_names: tuple[str, ...] | None = dataclasses.field(default=None, metadata=OF_VALUES)


@cache
def _payload() -> TypeAdapter[_Payload]:
    """The reader and writer of the file, made when it is first used."""
    return TypeAdapter(_Payload)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """``verdict`` as JSON values, with sorted keys."""
    payload = _Payload(
        version=VERSION,
        units=UNITS,
        rungs=verdict.rungs,
        spike_difference=verdict.differences,
        synops_per_sample={name: rung.synops for name, rung in verdict.ran.items()},
        verdict=_Outcome(verdict.passed, verdict.sentence, verdict.checks),
        class_names=verdict.class_names,
    )
    plain: dict[str, Any] = _plain(payload)
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        listed = sorted(dataclasses.fields(value), key=lambda field: field.name)
        named = {field.name: getattr(value, field.name) for field in listed}
        left_out = {field.name for field in listed if field.metadata == OF_VALUES and named[field.name] is None}
        return {name: _plain(item) for name, item in named.items() if name not in left_out}
    if isinstance(value, Mapping):
        return {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def save_verdict(verdict: Verdict, folder: Path) -> None:
    """Writes ``verdict`` into ``folder``."""
    (folder / FILE).write_text(canonical_json(as_json(verdict)), encoding="utf-8")


def load_verdict(folder: Path) -> Verdict:
    """The verdict in ``folder``, written by ``save_verdict`` of this or an older version.

    Raises ArtifactError for a file of a newer version, and with one sentence for each wrong field.
    """
    path = folder / FILE
    payload = typed(_upgraded(path), str(path), _payload(), _NEED)
    verdict = Verdict(payload.rungs, payload.spike_difference, payload.verdict.checks, payload.class_names)
    if payload.verdict.passed is not verdict.passed:
        found, need = canonical_json(payload.verdict.passed).strip(), canonical_json(verdict.passed).strip()
        raise ArtifactError(f"{path}: verdict.passed", f"found {found}", f"{need}, which follows from its checks")
    return verdict


def _upgraded(path: Path) -> Any:
    """The JSON value in ``path`` in the form of this version, not yet validated."""
    values = parse_json(read_bytes(path, _NEED), str(path), _NEED)
    version = values.get("version", 1) if isinstance(values, dict) else VERSION
    if type(version) is not int or version < 1:
        raise ArtifactError(f"{path}: version", f"found {canonical_json(version).strip()}", _NEED)
    if version > VERSION:
        found, need = f"a verdict of format version {version}", f"version {VERSION} or older"
        raise ArtifactError(str(path), found, need, "Update deploytool, or validate the recordings again.")
    for older in range(version, VERSION):
        values = {**UPGRADES[older](values), "version": VERSION}
    return values


def runs_with_setup(old: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to 2: a run states its rung and setup, a check the runs that it is about."""
    setup = dict.fromkeys(("recording", "arithmetic", "weight_bits", "time_steps", "bins"))
    new = dict(old)
    if "rungs" in old:
        new["rungs"] = _each(old["rungs"], lambda run: {"rung": _rung_of(run.get("name")), **setup, **run})
    if isinstance(outcome := old.get("verdict"), dict) and "checks" in outcome:
        runs = dict.fromkeys(("reference", "test"))
        new["verdict"] = {**outcome, "checks": _each(outcome["checks"], lambda check: {**runs, **check})}
    return new


def _each(items: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """``items`` with every mapping in it changed; what else it may be is left to validation."""
    return [change(item) if isinstance(item, dict) else item for item in items] if isinstance(items, list) else items


def _rung_of(name: Any) -> Any:
    """The rung of a run of version 1, which calls the second run of a rung "<rung> 2"."""
    return name.partition(" ")[0] if isinstance(name, str) else name


UPGRADES: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = MappingProxyType({1: runs_with_setup})
"""{version: function that upgrades its JSON to the next version}."""
