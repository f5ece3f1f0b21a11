"""What the manifests of artifacts state of the request, as ``recipe``: the types of what is read from there.

The sections of a recipe are checked by those who use them, against the sections of `deploytool.recipe`. Keys that are
not named here are only shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Steps: TypeAlias = Annotated[int, Field(ge=1, le=10**6)]
Bits: TypeAlias = Annotated[int, Field(ge=1, le=32)]
Real: TypeAlias = Annotated[float, Field(ge=-1e30, le=1e30)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Binned: TypeAlias = Literal["time", "count"]
Options: TypeAlias = str | int | float | bool | list[str] | list[int] | None


class _Stated(BaseModel):
    """Keys of a request, and others."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class _Data(_Stated):
    set: str | None = None
    root: str | None = None
    files: str | None = None
    bins: Binned = "time"
    test_samples: Count | None = None
    denoise_ms: Real | None = None
    __pydantic_extra__: dict[str, Options]


class _Training(_Stated):
    time_steps: Steps


class _Constraints(_Stated):
    chip: Text


class _Model(_Stated):
    data: _Data | None = None
    network: dict[str, Any] | None = None
    train: _Training | None = None
    constraints: _Constraints | None = None
    task: dict[str, Any] | None = None
    seed: Count | None = None


class _Graph(_Stated):
    weight_bits: Bits | None = None
    entries: dict[str, str] | None = None
    originals: dict[str, str] | None = None


class _Map(_Stated):
    target: Text
    split: bool = True
    pins: dict[str, Count] = {}
    readout: dict[str, Any] | None = None
    slow_clock_hz: Annotated[int, Field(ge=1)] | None = None
    calibration_samples: Count | None = None


class _Program(_Stated):
    target: Text | None = None
    map: _Map | None = None
    weight_bits: Bits | None = None
    requantised_from: Bits | None = None
    calibration: _Data | None = None


class _Samples(_Stated):
    data: _Data | None = None


class _Perturbation(_Stated):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    order: Real = 0.0
    drop: Real = 0.0
    threshold: Real = 0.0
    weights: Real = 0.0
    seed: Count = 0
    repeat: Count = 0


class _Imported(_Stated):
    file: Text
    rung: Text
    layer: str | None
    time_unit: str | None
    renames: dict[str, str]
    watch: list[str]
    samples_of: str | None = None
    data: _Data | None = None


class _Recording(_Stated):
    on: Text | None = None
    rung: str | None = None
    data: _Data | None = None
    watch: list[str] | None = None
    rasters: Count | None = None
    extremes: bool = False
    time_steps: Steps | None = None
    bins: Binned = "time"
    perturbation: _Perturbation | None = None
    imported: _Imported | None = None


class _Compared(_Stated):
    scale: dict[str, Real] | None = None


class _Verdict(_Stated):
    validate_: Annotated[dict[str, Any] | None, Field(alias="validate")] = None
    compare: _Compared | None = None


SCHEMAS: Final[Mapping[str, type[_Stated]]] = MappingProxyType(
    {
        "model": _Model,
        "graph": _Graph,
        "program": _Program,
        "samples": _Samples,
        "recording": _Recording,
        "verdict": _Verdict,
    }
)
"""{kind of artifact: what its manifest states of the request}; the others state nothing that is read again."""


@cache
def schema_of(kind: str) -> TypeAdapter[Any]:
    """The schema of ``recipe`` in the manifest of an artifact of ``kind``, made when it is first used."""
    return TypeAdapter(SCHEMAS.get(kind, dict[str, Any]))
