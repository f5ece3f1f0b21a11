"""What a soak shows: every fault that was found, and whether the long-lived process stayed as large as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

RSS_SHARE_MAX: Final = 0.05
"""The share by which resident memory may grow in the judged part, where freed memory leaves pages in use."""

KEPT_MAX: Final[Mapping[str, float]] = MappingProxyType({"malloc_bytes": 1024, "python_blocks": 20})
"""By how much memory that is not freed may grow per repetition: less than any array or value that a run makes."""

WARM_UP: Final = 0.25
"""The share of the repetitions, from the first, that load libraries and fill caches and are not judged."""

REPETITIONS_MIN: Final = 40
"""With fewer repetitions memory is not judged."""

COUNTED_MAX: Final = 2
"""The number of descriptors, threads or children by which the judged part may exceed the smallest of it."""


def slope(values: Sequence[float]) -> float:
    """The median of the slopes of all pairs of ``values``, per step (Theil and Sen), of at most 400 of them."""
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), 400)).astype(int))
    chosen = np.asarray(values, np.float64)[places]
    first, second = np.triu_indices(len(places), 1)
    return float(np.median((chosen[second] - chosen[first]) / (places[second] - places[first])))


def memory(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``rows``, the measures of the long-lived process, say of its memory; ``status`` is the judgement."""
    judged = rows[int(len(rows) * WARM_UP) :]
    found: dict[str, Any] = {"repetitions": len(rows), "judged": len(judged)}
    if len(rows) < REPETITIONS_MIN:
        return {**found, "status": "not judged", "problems": []}
    problems = []
    resident = [row["rss_bytes"] for row in judged]
    grown = slope(resident) * len(resident)
    if grown > RSS_SHARE_MAX * resident[0]:
        problems.append(f"resident memory grows by {grown:,.0f} bytes; at most {RSS_SHARE_MAX:.0%}")
    for name, most in KEPT_MAX.items():
        known = [row for row in judged if name in row]
        apart = known[1]["repetition"] - known[0]["repetition"]
        found[f"{name}_per_repetition"] = each = round(slope([row[name] for row in known]) / apart, 1)
        if each > most:
            problems.append(f"{name} grow by {each:,} per repetition; at most {most:,.0f}")
    for name in ("descriptors", "threads", "children"):
        counts = [row[name] for row in judged]
        if counts[-1] > min(counts) + COUNTED_MAX:
            problems.append(f"{name}: {counts[-1]} at the end, {min(counts)} before")
    sizes = {"rss_first": resident[0], "rss_last": resident[-1], "rss_max": max(resident)}
    grows = {"rss_percent_grown": round(100 * grown / resident[0], 2)}
    return {**found, **sizes, **grows, "status": "grows" if problems else "flat", "problems": problems}


def summary(
    commands: Sequence[Mapping[str, Any]],
    rounds: Sequence[Mapping[str, Any]],
    repetitions: Sequence[Mapping[str, Any]],
    also: Sequence[str],
) -> dict[str, Any]:
    """The judgement of a soak: its ``faults``, those of ``also`` among them, and figures."""
    flat = memory(repetitions)
    faults = [f"round {row['round']} ({row['fault']}): {text}" for row in commands for text in row["problems"]]
    faults += [f"round {row['round']} ({row['fault']}): {text}" for row in rounds for text in row["problems"]]
    faults += [f"repetition {row['repetition']}: {text}" for row in repetitions for text in row["wrong"]]
    faults += [f"long-lived process: {text}" for text in flat["problems"]]
    return {
        "faults": [*faults, *also],
        "rounds": dict(Counter(row["fault"] for row in rounds)),
        "commands": len(commands),
        "exit_codes": {str(code): number for code, number in sorted(Counter(row["code"] for row in commands).items())},
        "damaged_artifacts_named": sum(row["named"] for row in rounds),
        "leftovers_at_the_end": rounds[-1]["leftovers"] if rounds else 0,
        "store_bytes": {"first": rounds[0]["store_bytes"], "last": rounds[-1]["store_bytes"]} if rounds else {},
        "temporary_bytes": rounds[-1]["temporary_bytes"] if rounds else 0,
        "memory": flat,
    }
