"""What takes longer than in an earlier answer of a benchmark, by more than the noise of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploytool.base.errors import ArtifactError, InputError, UsageError
from deploytool.base.json_text import read_json
from deploytool.bench.speed import commands
from deploytool.bench.speed.program import machine

Measures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Kind:
    """A kind of answers of ``bench CALL --json``: their ``measures``, in multiples of a ``unit`` of the same run.

    Only answers in which the keys ``same`` are equal are compared.
    """

    call: str
    unit: str
    measures: Callable[[Mapping[str, Any]], Measures]
    same: tuple[str, ...] = ()


OF_NETWORKS: Final = Kind(
    "NETWORK", "times the limit's", lambda answer: dict(answer["measures"]), ("program", "data", "arithmetic")
)
OF_COMMANDS: Final = Kind("commands", "times the loop's", lambda answer: commands.measures(answer["commands"]))


@dataclass(frozen=True)
class Earlier:
    """The ``answer`` of an earlier run of a benchmark, in the file ``path``."""

    path: Path
    kind: Kind
    answer: Mapping[str, Any]


def read_earlier(path: Path, kind: Kind) -> Earlier:
    """The answer in the file ``path``, before anything is measured.

    Raises InputError for a file that is no such answer, UsageError for one of another machine.
    """
    try:
        answer = read_json(path)
        for measure in kind.measures(answer).values():
            _require_measure(measure, kind.unit)
        processor = answer["machine"]["processor"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArtifactError) as error:
        need = f"what bench {kind.call} --json printed"
        raise InputError(f"--compare {path}", "no earlier answer", need) from error
    if processor != (need := machine()["processor"]):
        raise UsageError(f"--compare {path}", f"measured on {processor}", f"this machine, {need}")
    return Earlier(path, kind, answer)


def _require_measure(measure: Mapping[str, Any], unit: str) -> None:
    """Raises ValueError, TypeError or KeyError unless all that is compared are numbers of a possible size."""
    if not (0 < measure[unit] < math.inf and 0 < measure["ms"] < math.inf and 0 <= measure["noise in %"] < math.inf):
        raise ValueError("not a measure")


def slower(answer: Mapping[str, Any], before: Earlier) -> dict[str, Any]:
    """What of ``answer`` takes longer than ``before``, by more than the noise of both.

    Times are compared as multiples of a unit's time in the same run, which cancels changes of the machine's speed.
    Raises UsageError for one of another task.
    """
    kind = before.kind
    for name in kind.same:
        if (found := before.answer.get(name)) != answer[name]:
            raise UsageError(f"--compare {before.path}", f"{name} {found}", f"the same as now, {answer[name]}")
    now, then = kind.measures(answer), kind.measures(before.answer)
    rows = [_row(name, now[name], then[name], kind.unit) for name in now if name in then]
    return {"compared": rows, "slower": [row["what"] for row in rows if row["says"] == "slower"]}


def _row(name: str, now: Mapping[str, float], then: Mapping[str, float], unit: str) -> dict[str, Any]:
    ratio = now[unit] / then[unit]
    noise = (now["noise in %"] + then["noise in %"]) / 100
    return {
        "what": name,
        "ms before": then["ms"],
        "ms now": now["ms"],
        "times as long": round(ratio, 3),
        "noise": round(noise, 3),
        "says": "slower" if ratio > 1 + noise else "faster" if ratio < 1 / (1 + noise) else "the same",
    }
