"""What takes longer than in an earlier answer of a benchmark, by more than the noise of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploytool.base.errors import ArtifactError, InputError, UsageError
from deploytool.base.json_text import read_json
from deploytool.bench.speed import commands

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


def slower(answer: Mapping[str, Any], path: Path, kind: Kind) -> dict[str, Any]:
    """What of ``answer`` takes longer than in the earlier one at ``path``, by more than the noise of both.

    Times are compared as multiples of a unit's time in the same run, which cancels changes of the machine's speed.
    Raises InputError for a file that is no such answer, UsageError for one of another machine or another task.
    """
    try:
        before = read_json(path)
        earlier = kind.measures(before)
        processor = before["machine"]["processor"]
    except (OSError, ValueError, KeyError, TypeError, ArtifactError) as error:
        need = f"what bench {kind.call} --json printed"
        raise InputError(f"--compare {path}", "no earlier answer", need) from error
    for name in kind.same:
        if before.get(name) != answer[name]:
            raise UsageError(f"--compare {path}", f"{name} {before.get(name)}", f"the same as now, {answer[name]}")
    if processor != (need := answer["machine"]["processor"]):
        raise UsageError(f"--compare {path}", f"measured on {processor}", f"this machine, {need}")
    now = kind.measures(answer)
    rows = [_row(name, now[name], earlier[name], kind.unit) for name in now if name in earlier]
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
