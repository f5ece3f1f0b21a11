"""The score of a run: the figure that says first how good its answers are, for each kind of task.

Whoever shows a run asks `score_of`, and needs not know the kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.numbers import figure, percent, whole

if TYPE_CHECKING:
    from deploytool.ir.verdict import Rung, Separation

R2: Final = "R²"

SCORES: Final = ("accuracy", "r2", "si_sdr")
"""The figures of an epoch of training by which the best is chosen, one for each kind of task."""


@dataclass(frozen=True)
class Score:
    """The figure called ``title`` as ``text``, None if it is not known because the run ``lacks`` something.

    ``note`` says what it is of. ``says`` is a clause about the run, such as "classifies 97.20 % of 360 samples
    correctly", ``short`` the figure within a sentence. ``columns`` are the figures in a row of a table.
    """

    title: str
    text: str | None
    note: str
    lacks: str
    says: str
    short: str
    columns: Mapping[str, Any]


def score_of(run: Rung) -> Score:
    """The score of ``run``: the R2 of values if it reads any, the SI-SDR of voices, or else the accuracy."""
    if (voices := run.separation) is not None:
        return _of_voices(voices)
    if (found := run.regression) is None:
        right = f"{whole(run.right)} of {whole(run.labelled)} right" if run.labelled else ""
        return Score(
            title="Accuracy",
            text=percent(run.accuracy) if run.labelled else None,
            note=right,
            lacks="output not recorded" if run.silent is None else "no labels",
            says=f"classifies {percent(run.accuracy)} of {run.labelled or 0:,} samples correctly" if right else "",
            short=percent(run.accuracy),
            columns={"accuracy_percent": run.accuracy},
        )
    unit = f" {found.unit}" if found.unit else ""
    error, r2 = f"{figure(found.rmse)}{unit}", "undefined" if found.r2 is None else figure(found.r2)
    return Score(
        title=R2,
        text=r2,
        note=f"RMSE {error}, {whole(found.windows)} windows",
        lacks="",
        says=f"reads {', '.join(value.value for value in found.values)} with a root mean square error of {error} in "
        f"{found.windows:,} windows (R² {r2})",
        short=error,
        columns={"r2": found.r2, "rmse": found.rmse, "mae": found.mae},
    )


def _of_voices(voices: Separation) -> Score:
    ran = voices.ran
    found, above = f"{figure(ran.si_sdr_db)} dB", f"{figure(ran.si_sdr_improvement_db)} dB above the mixture"
    return Score(
        title="SI-SDR",
        text=found,
        note=f"{above}, {whole(voices.mixtures)} mixtures of {voices.says}",
        lacks="",
        says=f"separates {voices.mixtures:,} mixtures of {voices.says} with an SI-SDR of {found}, {above}",
        short=found,
        columns={
            "si_sdr_db": ran.si_sdr_db,
            "si_sdr_improvement_db": ran.si_sdr_improvement_db,
            "sdr_db": ran.sdr_db,
            "pesq": ran.pesq,
        },
    )
