"""How good answers are, as plain values: of a training, of a recording, and of the runs of a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deploytool.base.numbers import figure, rounded
from deploytool.ir.recording import Recording
from deploytool.ir.score import SCORES

if TYPE_CHECKING:
    from deploytool.ir.verdict import Verdict


def chosen_epoch(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The epoch that was chosen, or else the best one; empty if not known."""
    best = max(history, key=_score, default={})
    return next((epoch for epoch in history if "chosen" in epoch), best)


def _score(epoch: Mapping[str, Any]) -> float:
    return float(next((epoch[f"validation_{name}"] for name in SCORES if f"validation_{name}" in epoch), 0))


def validation_score(history: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """{"validation_accuracy_percent": ...} of the chosen epoch, {"validation_r2": ...} of one that learnt values, or
    {"validation_si_sdr_db": ...} of one that learnt to separate voices."""
    chosen = chosen_epoch(history)
    if "validation_r2" in chosen:
        return {"validation_r2": rounded(chosen["validation_r2"])}
    if "validation_si_sdr" in chosen:
        return {"validation_si_sdr_db": rounded(chosen["validation_si_sdr"])}
    return {"validation_accuracy_percent": rounded(chosen.get("validation_accuracy"))}


def answers(recording: Recording) -> dict[str, Any]:
    """{"accuracy_percent": ...} of a ``recording``, the errors of the values that it reads, or how well every network
    separates its voices."""
    from deploytool.validate.metrics import accuracy
    from deploytool.validate.regression import regression
    from deploytool.validate.speech import si_sdr_of

    if means := si_sdr_of(recording):
        return {"separation": [{"network": name, "si_sdr_db": found} for name, found in means.items()]}
    if not recording.reads_values:
        return {"accuracy_percent": rounded(accuracy(recording))}
    found = regression(recording)
    return {"regression": None if found is None else asdict(found)}


def decisions(recording: Recording) -> dict[str, Any]:
    """{"decision": the time to the decision} of a ``recording`` whose output is classes."""
    from deploytool.validate.activity import DECISION, decision

    if recording.reads_values or recording.speech is not None:
        return {}
    return {"decision": {**asdict(decision(recording)), "is": DECISION}}


def errors_of(verdict: Verdict) -> dict[str, Any]:
    """{"errors": a row for each value of each run} of a ``verdict`` on values; empty for one on classes."""
    rows = [
        {"rung": run.name, "value": each.value, "rmse": each.rmse, "mae": each.mae, "r2": each.r2}
        for run in verdict.ran.values()
        if run.regression
        for each in run.regression.values
    ]
    return {"errors": rows} if rows else {}


def separations_of(verdict: Verdict) -> dict[str, Any]:
    """{"separation": a row for each network of each run, "not_measured": sentences} of a ``verdict`` on voices."""
    found = [(run.name, run.separation) for run in verdict.ran.values() if run.separation]
    rows = [{"rung": name, **asdict(each)} for name, voices in found for each in voices.networks]
    lacks = list(dict.fromkeys(says for _, voices in found for says in voices.not_measured))
    return {"separation": rows, "not_measured": lacks} if rows else {}


def result(recording: Recording) -> tuple[float | None, str | None]:
    """(accuracy in %, None for values and voices; the accuracy, R2 or SI-SDR in words) of a ``recording``."""
    from deploytool.validate.metrics import accuracy
    from deploytool.validate.regression import regression
    from deploytool.validate.speech import si_sdr_of

    if recording.speech is not None and (means := si_sdr_of(recording)):
        return None, f"SI-SDR {figure(means[next(iter(recording.speech.estimates))])} dB"

    if recording.reads_values:
        found = regression(recording)
        return None, None if found is None or found.r2 is None else f"R2 {figure(found.r2)}"
    known = rounded(accuracy(recording))
    return known, None if known is None else f"{figure(known)} %"
