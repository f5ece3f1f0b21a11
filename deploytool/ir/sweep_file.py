"""Sweeps as JSON: sweep files and the command line's --json have this form; and as rows of a table.

units      the unit of every number
data       what ran: the data set, and its number of ``samples``
curves     one per network and quantity, with its points in ascending order of ``value``
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from deploytool.base.cells import escaped
from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json, parse_json, read_bytes
from deploytool.base.typed import typed
from deploytool.ir.sweep import Curve, Curves, Point, Sweep
from deploytool.ir.verdict import TYPED

FILE: Final = "sweep.json"
VERSION: Final = 1
_NEED: Final = "a sweep that deploytool wrote"

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accuracy": "% of labelled samples",
        "interval_95": "% (Wilson, estimate)",
        "range": "% (lowest and highest accuracy of a draw)",
        "spike_difference": "% of the reference's output spikes, pooled over samples",
        "spike_difference_mean": "% of the reference's output spikes, mean over samples",
        "agreement": "% of samples",
        "synops": "synaptic updates per sample (mean)",
        "events": "input events per sample that were used (mean)",
        "ms": "ms per sample that were used (mean)",
    }
)


@dataclass(frozen=True, config=TYPED)
class _Payload:
    """The stored form of a sweep."""

    version: int
    units: Mapping[str, str]
    data: str
    samples: int
    curves: Curves


@cache
def _payload() -> TypeAdapter[_Payload]:
    """The reader and writer of the file, made when it is first used."""
    return TypeAdapter(_Payload)


def as_json(sweep: Sweep) -> dict[str, Any]:
    """``sweep`` as JSON values."""
    payload = _Payload(VERSION, UNITS, sweep.data, sweep.samples, sweep.curves)
    values: dict[str, Any] = _payload().dump_python(payload, mode="json")
    return values


def save_sweep(sweep: Sweep, folder: Path) -> None:
    """Writes ``sweep`` into ``folder``."""
    (folder / FILE).write_text(canonical_json(as_json(sweep)), encoding="utf-8")


def load_sweep(folder: Path) -> Sweep:
    """The sweep in ``folder``. Raises ArtifactError for a file that is damaged or of a newer version."""
    path = folder / FILE
    values = parse_json(read_bytes(path, _NEED), str(path), _NEED)
    version = values.get("version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > VERSION:
        need = f"version {VERSION} or older"
        raise ArtifactError(str(path), f"format version {version}", need, "Update deploytool.")
    payload = typed(values, str(path), _payload(), _NEED)
    return Sweep(payload.data, payload.samples, payload.curves)


COLUMNS: Final = (
    "model",
    "source",
    "on",
    "quantity",
    "unit",
    *(field.name for field in dataclasses.fields(Point) if field.name not in ("interval_95", "range", "recordings")),
    "accuracy_low",
    "accuracy_high",
    "reference",
    "recordings",
)
"""The columns of the CSV: those of a curve, the figures of a point, the 95 % interval of its accuracy."""


def as_csv(sweep: Sweep) -> str:
    """``sweep`` as CSV text with a row for each point; a figure that is not known is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for curve in sweep.curves:
        for point in curve.points:
            writer.writerow(_row(curve, point))
    return text.getvalue()


def _row(curve: Curve, point: Point) -> dict[str, Any]:
    low, high = point.interval_95 or (None, None)
    known = {
        "unit": curve.of.unit,
        "accuracy_low": low,
        "accuracy_high": high,
        "recordings": escaped(" ".join(point.recordings)),
        "model": escaped(curve.model),
        "source": escaped(curve.source),
        "reference": escaped(curve.reference),
    }
    return {
        name: known[name] if name in known else getattr(point if hasattr(point, name) else curve, name)
        for name in COLUMNS
    }
