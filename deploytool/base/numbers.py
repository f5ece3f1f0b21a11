"""Numbers as a person reads them, each with its unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final


def share(value: float | None) -> str:
    """``96.4 %``."""
    return _number(value, ".1f", "\u202f%")


def difference(value: float | None) -> str:
    """``1.03 %``."""
    return _number(value, ".2f", "\u202f%")


def whole(value: float | None) -> str:
    """``6,160``."""
    return _number(value, ",.0f")


def real(value: float | None) -> str:
    """Four significant digits."""
    return _number(value, ".4g")


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "undefined" if value is None else format(value, form).replace("-", "−") + unit


FILTERS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "share": share,
        "difference": difference,
        "whole": whole,
        "real": real,
    }
)
