"""Verdicts as JSON: in their files, in report.json, and on the command line with --json. One form, made here.

units                  what every number is counted in
rungs                  one per rung, in the order of the ladder; "status" is "run", or "not run" with null figures
spike_difference       one per compared pair; layers that only one of the two recorded are in "not_compared"
synops_per_sample      {rung: mean number of synaptic updates}, of the rungs that were run
verdict                passed (true, false, or null: nothing asked for, or not run), says, and every check
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
    """A verdict as it is stored: also what can be told from the rest of it, for scripts."""

    units: Mapping[str, str]
    rungs: tuple[Rung, ...]
    spike_difference: tuple[Difference, ...]
    synops_per_sample: Mapping[str, float | None]
    verdict: _Outcome


_PAYLOAD: Final = TypeAdapter(_Payload)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """``verdict`` in values that JSON has, the keys of every object sorted."""
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
    """The verdict that ``save_verdict`` wrote into ``folder``.

    Raises ArtifactError, with one sentence for each field that is wrong.
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
        raise ArtifactError(f"{path}: verdict.passed", f"found {found}", f"{need}, as its checks say")
    return verdict


def _problem(path: Path, item: Any) -> ArtifactError:
    """One of pydantic's errors as ours, with the field's place in the file."""
    place = ".".join(map(str, item["loc"]))
    need = "a verdict that deploytool wrote"
    return ArtifactError(f"{path}: {place}" if place else str(path), item["msg"][:1].lower() + item["msg"][1:], need)
