"""What was measured with a shipped model, on what and with what. The file is rewritten together with the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json
from deploytool.ir.verdict import TYPED, Difference, Rung, Status, Verdict

FILE: Final = "figures.json"
VERSION: Final = 1


@dataclass(frozen=True, config=TYPED)
class RungFigures:
    """A rung of the ladder: ``right`` of ``samples`` test samples, which is ``accuracy`` in %.

    All figures are None for a rung that was not run. ``synops`` is the mean number of synaptic updates per sample.
    """

    rung: str
    status: Status
    time_steps: int | None
    samples: int
    right: int | None
    accuracy: float | None
    synops: float | None


@dataclass(frozen=True, config=TYPED)
class SpikeDifferences:
    """Difference of the output spikes of ``test`` from those of ``reference``, in % pooled over all samples."""

    reference: str
    test: str
    output: float | None


@dataclass(frozen=True, config=TYPED)
class Figures:
    """The figures of the model with the digest ``model``.

    ``training_samples`` were there to train and to choose the epoch; the figures are of test samples. ``measured_on``
    is the processor, ``measured_with`` {package: version}, ``date`` the day.
    """

    version: int
    model: str
    training_samples: int
    rungs: tuple[RungFigures, ...]
    spike_difference: tuple[SpikeDifferences, ...]
    measured_on: str
    measured_with: Mapping[str, str]
    date: str

    def rung(self, name: str) -> RungFigures:
        """The figures of the rung called ``name``."""
        return next(rung for rung in self.rungs if rung.rung == name)


@cache
def _figures() -> TypeAdapter[Figures]:
    """The reader and writer of the file, made when it is first used."""
    return TypeAdapter(Figures)


def figures_of(verdict: Verdict) -> dict[str, Any]:
    """The figures of ``verdict`` that ship: rungs and spike differences, as arguments of `Figures`."""
    return {
        "rungs": tuple(map(_rung, verdict.rungs)),
        "spike_difference": tuple(map(_difference, verdict.differences)),
    }


def _rung(rung: Rung) -> RungFigures:
    return RungFigures(rung.name, rung.status, rung.time_steps, rung.samples, rung.right, rung.accuracy, rung.synops)


def _difference(pair: Difference) -> SpikeDifferences:
    return SpikeDifferences(pair.reference, pair.test, pair.output.pooled)


def read_figures(folder: Path) -> Figures:
    """The figures of the shipped model in ``folder``. Raises ArtifactError for a file that does not hold any."""
    path = folder / FILE
    try:
        return _figures().validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        need, todo = "the figures of a shipped model", "Install deploytool again."
        raise ArtifactError(str(path), f"not readable ({error})", need, todo) from None


def write_figures(figures: Figures, folder: Path) -> None:
    """Writes ``figures`` to their file in ``folder``."""
    (folder / FILE).write_text(canonical_json(dataclasses.asdict(figures)), encoding="utf-8")
