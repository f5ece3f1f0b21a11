"""The known name that a wrong one is close to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

CUTOFF: Final = 0.6
"""Similarity, from 0 to 1, from which a name is close (difflib's default)."""


def nearest(found: object, known: Iterable[str]) -> str | None:
    """The one of ``known`` that is closest to ``found``, upper and lower case alike; None if none is close.

    Initials stand for a name: lr for learning_rate.
    """
    if not isinstance(found, str):
        return None
    by_lower = {name.lower().replace("_", "-"): name for name in known}
    by_initials = {
        "".join(word[:1] for word in name.split("-")): full for name, full in by_lower.items() if "-" in name
    }
    if found.lower() in by_initials:
        return by_initials[found.lower()]
    close = difflib.get_close_matches(found.lower().replace("_", "-"), by_lower, n=1, cutoff=CUTOFF)
    return by_lower[close[0]] if close else None


def did_you_mean(found: object, known: Iterable[str]) -> str:
    """The question after a wrong name: "Did you mean conv?"; empty if no known name is close."""
    name = nearest(found, known)
    return f"Did you mean {name}?" if name else ""
