"""Verdicts as JSON: verdict files, report.json and the command line's --json all use this form.

units                  the unit of every number
rungs                  one per rung, in ladder order; "status" is "run", or "not run" with null figures
spike_difference       one per compared pair; "not_compared" lists layers that only one of the two recorded
synops_per_sample      {rung: mean number of synaptic updates} for the rungs that were run
verdict                passed (true, false, or null: no checks, or some not run), says, and every check
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json
from deploytool.ir.verdict import TYPED, Check, Difference, Rung, Verdict

FILE: Final = "verdict.json"

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


@dataclass(frozen=True, config=TYPED)
class _Outcome:
    passed: bool | None
    says: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, config=TYPED)
class _Payload:
    """The stored form of a verdict. It also holds values derived from the rest, for scripts."""

    units: Mapping[str, str]
    rungs: tuple[Rung, ...]
    spike_difference: tuple[Difference, ...]
    synops_per_sample: Mapping[str, float | None]
    verdict: _Outcome


_PAYLOAD: Final = TypeAdapter(_Payload)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """``verdict`` as JSON values, with sorted keys."""
    payload = _Payload(
        units=UNITS,
        rungs=verdict.rungs,
        spike_difference=verdict.differences,
        synops_per_sample={name: rung.synops for name, rung in verdict.ran.items()},
        verdict=_Outcome(verdict.passed, verdict.sentence, verdict.checks),
    )
    plain: dict[str, Any] = _plain(payload)
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in sorted(f.name for f in dataclasses.fields(value))}
    if isinstance(value, Mapping):
        return {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def save_verdict(verdict: Verdict, folder: Path) -> None:
    """Writes ``verdict`` into ``folder``."""
    (folder / FILE).write_text(canonical_json(as_json(verdict)), encoding="utf-8")


def load_verdict(folder: Path) -> Verdict:
    """The verdict in ``folder``, written by ``save_verdict``.

    Raises ArtifactError with one sentence for each wrong field.
    """
    path = folder / FILE
    try:
        payload = _PAYLOAD.validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(str(path), f"not readable ({error.strerror})", "a verdict that deploytool wrote") from None
    except ValidationError as error:
        raise ArtifactError.together(_problem(path, item) for item in error.errors()) from None
    verdict = Verdict(payload.rungs, payload.spike_difference, payload.verdict.checks)
    if payload.verdict.passed is not verdict.passed:
        found, need = canonical_json(payload.verdict.passed).strip(), canonical_json(verdict.passed).strip()
        raise ArtifactError(f"{path}: verdict.passed", f"found {found}", f"{need}, which follows from its checks")
    return verdict


def _problem(path: Path, item: Any) -> ArtifactError:
    """An ArtifactError for one pydantic error, with the position of the field in the file."""
    place = ".".join(map(str, item["loc"]))
    need = "a verdict that deploytool wrote"
    return ArtifactError(f"{path}: {place}" if place else str(path), item["msg"][:1].lower() + item["msg"][1:], need)
