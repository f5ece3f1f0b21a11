"""The verdict on the page: the banner, the ladder, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from deploytool.ir.recording import EVENT_DRIVEN, RUNGS, Recording
from deploytool.ir.score import score_of
from deploytool.ir.verdict import Rung, Verdict
from deploytool.report.runs import tied

RUNG_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "torch": "the trained network, in time steps",
        "quantised": "the chip's integers, in time steps",
        "simulator": "float32, event by event",
        "emulator": "the chip's integers, core by core, event by event",
        "board": "silicon",
    }
)

CONFUSION_MAX: Final = 20
"""With more classes than this, no confusion matrix is drawn."""

WORST_MAX: Final = 12
"""The maximum number of confusions listed where no matrix is drawn."""


def outcome(verdict: Verdict) -> tuple[str, str]:
    """(class, word) of the banner."""
    match verdict.passed, bool(verdict.checks):
        case True, _:
            return "good", "Passed"
        case False, _:
            return "bad", "Failed"
        case _, True:
            return "bad", "Incomplete"
        case _:
            return "open", "No verdict"


def headline(verdict: Verdict) -> list[str]:
    """A summary of at most three sentences."""
    sentences, ran = [], verdict.ran
    if deployed := next((ran[name] for name in reversed(EVENT_DRIVEN) if name in ran), None):
        score, trained = score_of(deployed), ran.get("torch")
        sentence = f"The {deployed.name} {score.says}"
        if trained and score_of(trained).text is not None and score.text is not None:
            sentence += f", the trained network {score_of(trained).short}"
        sentences.append(sentence + "." if score.says else "No sample has a label, so accuracy is not known.")
    if "board" not in ran:
        sentences.append("No board was run: nothing in this report was measured on silicon.")
    return sentences


def ladder(verdict: Verdict) -> list[tuple[Rung, str]]:
    """The rungs, each with its title."""
    return [(rung, RUNG_TITLES.get(rung.name, "another run of this rung")) for rung in verdict.rungs]


def ties(runs: Mapping[str, Recording]) -> dict[str, int]:
    """{run: number of samples in which classes are tied}."""
    return {name: int(tied(recording).sum()) for name, recording in runs.items()}


def energies(verdict: Verdict) -> list[str]:
    """How the energy of each run was estimated, one sentence per run that has an estimate."""
    return [f"{name}: {run.energy}" for name, run in verdict.ran.items() if run.energy_uj is not None]


def confusion(verdict: Verdict) -> dict[str, Any] | None:
    """The confusion matrix of the labelled rung that is nearest to silicon, with each row's total; None without one."""
    for rung in from_silicon(verdict):
        if matrix := rung.confusion:
            rows = [(row, sum(row)) for row in matrix] if len(matrix) <= CONFUSION_MAX else []
            return {"rung": rung.name, "classes": len(matrix), "rows": rows, "worst": _confused(matrix)}
    return None


def class_name(names: Sequence[str], number: int | str) -> str:
    """What the class with ``number`` is called: its name, or else its number; a text as it is."""
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else str(number)


def _confused(matrix: Sequence[Sequence[int]]) -> list[tuple[int, int | str, int]]:
    """(label, prediction, samples) of the most frequent errors, the most frequent first."""
    cells = [
        (label, "no spike" if predicted == len(matrix) else predicted, number)
        for label, row in enumerate(matrix)
        for predicted, number in enumerate(row)
        if number and predicted != label
    ]
    return sorted(cells, key=lambda cell: -cell[2])[:WORST_MAX]


def from_silicon(verdict: Verdict) -> list[Rung]:
    """The rungs that were run, the one nearest to silicon first and repeated runs last."""
    order: dict[str, int] = {name: place for place, name in enumerate(reversed(RUNGS))}
    return sorted(verdict.ran.values(), key=lambda rung: order.get(rung.name, len(order)))
