"""Numbers as a person reads them: the same figure has the same rounding in a table, in a sentence and on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

DECIMALS: Final = 4
"""Decimals of stored figures, finer than any data set can resolve."""


def rounded(value: float | None) -> float | None:
    """``value`` as it is stored, if known."""
    return None if value is None else round(value, DECIMALS)


def figure(value: float) -> str:
    """A measured number: ``1.03``; ``6,160`` without decimals from 1,000 on, ``0.0042`` below 0.01."""
    if value and abs(value) < 0.01:
        return _signed(value, ".2g")
    return _signed(value, ",.2f" if abs(round(value, 2)) < 1000 else ",.0f")


def figure_and_limit(value: float, limit: float) -> tuple[str, str]:
    """``value`` as a `figure`, a count as a whole number, and the ``limit`` as its author wrote it.

    The value has more decimals only where rounding would put it on the other side of the limit.
    """
    shown = whole(value) if isinstance(value, int) else figure(value)
    if _side(float(shown.replace("−", "-").replace(",", "")), limit) != _side(value, limit):
        shown = _signed(value, f",.{DECIMALS}f")
    return shown, _signed(limit, ",.12g")


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def percent(value: float | None) -> str:
    """``96.40 %``."""
    return "undefined" if value is None else f"{figure(value)}\u202f%"


def whole(value: float | None) -> str:
    """``6,160``."""
    return "undefined" if value is None else _signed(value, ",.0f")


def real(value: float | None) -> str:
    """Four significant digits."""
    return "undefined" if value is None else _signed(value, ".4g")


def _signed(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


FILTERS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "figure": figure,
        "percent": percent,
        "whole": whole,
        "real": real,
    }
)
"""The functions by their names in the page's template."""
