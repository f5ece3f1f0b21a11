"""What an artifact is, in one line of a list: a function per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from deploytool.base.numbers import figure
from deploytool.ir.program import SIMULATOR
from deploytool.ir.program_file import load_program
from deploytool.ir.streams_file import load_streams
from deploytool.store.artifact import Artifact, Store
from deploytool.store.file_names import CALIBRATION, HISTORY, NETWORK, SELFTEST
from deploytool.store.manifest import Kind
from deploytool.workflow.sources.recordings import load
from deploytool.workflow.sources.stated import stated
from deploytool.workflow.stored.scores import result, validation_score


@dataclass(frozen=True)
class Summary:
    """One line about an artifact.

    ``on`` is the target or the rung, ``time_steps`` the T of a clock-driven run or of training, ``accuracy_percent``
    that of a recording, or in validation that of a model. ``result`` is the figure that matters most for the kind, and
    ``special`` what sets it apart from the usual one.
    """

    on: str | None = None
    time_steps: int | None = None
    accuracy_percent: float | None = None
    result: str | None = None
    special: str | None = None


def summary(store: Store, artifact: Artifact) -> Summary:
    """The summary of ``artifact``, which is in ``store``."""
    return SUMMARIES[artifact.kind](store, artifact)


def _model(_: Store, artifact: Artifact) -> Summary:
    score = validation_score(artifact.stored_json(HISTORY))
    accuracy, r2 = score.get("validation_accuracy_percent"), score.get("validation_r2")
    result = _percent(accuracy) if r2 is None else f"R2 {figure(r2)}"
    if (si_sdr_db := score.get("validation_si_sdr_db")) is not None:
        result = f"SI-SDR {figure(si_sdr_db)} dB"
    return Summary(stated(artifact, "constraints")["chip"], stated(artifact, "train")["time_steps"], accuracy, result)


def _graph(_: Store, artifact: Artifact) -> Summary:
    from deploytool.convert.nir import read_nir

    return Summary(result=f"{len(read_nir(artifact.path / NETWORK).nodes)} nodes")


def _program(_: Store, artifact: Artifact) -> Summary:
    program = load_program(artifact.path)
    if program.chip == SIMULATOR:
        return Summary(program.chip, result=f"{len(program.layers)} layers")
    special = "calibrated" if CALIBRATION in artifact.manifest.files else None
    return Summary(program.chip, result=f"{len(program.core_of)} cores", special=special)


def _samples(_: Store, artifact: Artifact) -> Summary:
    data = stated(artifact, "data")
    special = data.get("set") if "training_samples_of" not in data else f"{data.get('set')}, for calibration"
    return Summary(result=f"{len(load_streams(artifact.path))} samples", special=special)


def _recording(store: Store, artifact: Artifact) -> Summary:
    from deploytool.validate.names import differences

    recording = load(store, artifact)
    usual = replace(recording.setup, perturbation="", arithmetic=None, imported="")
    special = ", ".join(differences(recording.rung, recording.setup, usual)) or None
    found, says = result(recording)
    return Summary(recording.rung, recording.setup.time_steps, found, says, special)


def _verdict(_: Store, artifact: Artifact) -> Summary:
    from deploytool.ir.verdict_file import load_verdict

    verdict = load_verdict(artifact.path)
    if not verdict.checks:
        return Summary()
    return Summary(result={True: "passed", False: "failed", None: "not run"}[verdict.passed])


def _sweep(_: Store, artifact: Artifact) -> Summary:
    from deploytool.ir.sweep_file import load_sweep

    curves = load_sweep(artifact.path).curves
    return Summary(result=f"{len(curves)} curve{'s' * (len(curves) != 1)}")


def _selftest(_: Store, artifact: Artifact) -> Summary:
    found = artifact.stored_json(SELFTEST)
    return Summary(found["device"], result="passed" if found["passed"] else "failed")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{figure(value)} %"


SUMMARIES: Final[Mapping[Kind, Callable[[Store, Artifact], Summary]]] = MappingProxyType(
    {
        "model": _model,
        "graph": _graph,
        "program": _program,
        "samples": _samples,
        "recording": _recording,
        "verdict": _verdict,
        "sweep": _sweep,
        "selftest": _selftest,
        "report": lambda _store, _artifact: Summary(),
    }
)
