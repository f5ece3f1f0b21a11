"""The output of `show` on a terminal: a list of artifacts, and the history of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]

EPOCH: Final = (
    "stage",
    "epoch",
    "loss",
    "accuracy",
    "r2",
    "validation_loss",
    "validation_accuracy",
    "validation_r2",
    "validation_rmse",
    "chosen",
)
"""What is shown of an epoch, where it is known."""


STARRED: Final = "* not the usual run or program; --verbose says what differs"


def listing(rows: Sequence[Row], columns: int, verbose: bool) -> tuple[Sequence[Row], str]:
    """(``rows`` of artifacts for a terminal with this number of ``columns``, one line each; what a star means).

    What sets an artifact apart from the usual is a column of its own if there is room, and else a star. Without stars,
    their meaning is "".
    """
    if verbose:
        return [_line(row) | {"special": row["special"], "made from": row["made_from"]} for row in rows], ""
    lines = [_line(row) | {"made": (row["created"] or "")[5:16].replace("T", " ") or None} for row in rows]
    special = [row["special"] or "" for row in rows]
    if not any(special):
        return lines, ""
    used = sum(2 + max(len(name), *(len(str(line[name] or "-")) for line in lines)) for name in lines[0])
    if used + max(map(len, special)) <= columns:
        return [line | {"special": text} for line, text in zip(lines, special, strict=True)], ""
    starred = [f"{line['result'] or '-'}{'*' * bool(text)}" for line, text in zip(lines, special, strict=True)]
    return [line | {"result": result} for line, result in zip(lines, starred, strict=True)], STARRED


def _line(row: Row) -> dict[str, Any]:
    return {
        "made": (row["created"] or "").partition(".")[0].replace("T", " ") or None,
        "artifact": row["artifact"],
        "on": row["on"],
        "T": row["time_steps"],
        "result": row["result"],
    }


def shipped(models: Sequence[Row]) -> dict[str, Any]:
    """The shipped models for a terminal: their figures, and how to learn the rest."""
    shown = ("model", "trained_percent", "emulator_percent", "samples", "kilobytes")
    return {
        "models": [{name: model[name] for name in shown} for model in models],
        "more": f"deploytool show {models[0]['model']}",
    }


def epochs(history: Sequence[Row]) -> list[dict[str, Any]]:
    """The epochs of a training, as far as a person reads them; a star marks the one that was chosen."""
    shown = [name for name in EPOCH if any(name in row for row in history)]
    return [{name: _cell(name, row.get(name)) for name in shown} for row in history]


def _cell(name: str, value: float | None) -> Any:
    if name == "chosen":
        return "*" if value else ""
    return int(value) if value is not None and name in ("stage", "epoch") else value
