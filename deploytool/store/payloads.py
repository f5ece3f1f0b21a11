"""What the JSON files of artifacts hold: a schema for each, against which every reader checks the file first.

Recordings, samples, programs, verdicts and sweeps have readers of their own in `deploytool.ir`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from deploytool.ir.score import SCORES
from deploytool.store.configuration import Configuration
from deploytool.store.file_names import (
    CALIBRATION,
    CLASSES,
    CONFIGURATION,
    DECODER,
    HISTORY,
    NETWORK,
    PAGE,
    QUANTISATION,
    SELFTEST,
    SELFTEST_PAGE,
    SPLITS,
    WEIGHTS,
)
from deploytool.store.manifest import Kind

NUMBER_MAX: Final = 1e30
Real: TypeAlias = Annotated[float, Field(ge=-NUMBER_MAX, le=NUMBER_MAX)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class _Row(BaseModel):
    """A JSON object, with these keys and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Epoch(BaseModel):
    """An epoch of a training: the losses, and any other figures, such as scores of training and of validation."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, Real]

    epoch: Annotated[int, Field(ge=1)]
    loss: Real
    validation_loss: Real


class _Quantised(_Row):
    """The effect of quantisation on a layer: `deploytool.map.quantise.LayerQuantisation`."""

    layer: str
    scale: Annotated[float, Field(gt=0, le=NUMBER_MAX)]
    threshold: int
    floor: int
    levels: Count
    levels_before: Count
    zeros: Share
    zeros_before: Share
    relative_error: Real
    weight_max: Real
    outlier: Real | None = None
    vanished: Share = 0.0
    silenced: list[Count] = []
    scale_set_by: str = ""
    warnings: list[str]


class _Split(_Row):
    """The layers that a layer was split into: `deploytool.map.split.Split`."""

    layer: str
    into: list[str]
    why: str


class _Gain(_Row):
    plain: Real | None
    calibrated: Real | None


class _CalibratedLayer(_Row):
    """The calibration of a layer: `deploytool.map.calibrate.LayerCalibration`."""

    layer: str
    kept: bool
    found: bool
    threshold: int
    threshold_plain: int
    cut: Count
    moved: Count
    alone: _Gain
    alone_held_out: _Gain
    network: _Gain
    network_held_out: _Gain


class _Calibration(_Row):
    """What `deploytool.map.calibrate.Calibrated` states."""

    says: str
    kept: bool
    samples: Count
    held_out: Count
    output: _Gain
    output_held_out: _Gain
    layers: list[_CalibratedLayer]


class _Decoder(_Row):
    """The decoder of values: `deploytool.ir.decoder.Decoder`."""

    values: list[str]
    weights: list[list[Real]]
    offset: list[Real]
    unit: str
    reads: Literal["rate", "potential"]
    window_us: Annotated[int, Field(ge=1)] | None


class _Case(_Row):
    id: str
    core: Count
    tests: str
    passed: bool
    says: str
    spikes: Count


class _Question(_Row):
    id: str
    core: Count
    asks: str
    assumed: str
    found: str | None
    as_assumed: bool | None


class _Speed(_Row):
    core: Count
    events: Count
    synops: Count
    seconds: Real
    events_per_s: Real
    synops_per_s: Real


class _SelfTest(_Row):
    """What `deploytool.ir.self_test.as_json` gives."""

    version: Literal[1]
    device: str
    chip: str
    selftest: str
    passed: bool
    cases: list[_Case]
    questions: list[_Question]
    speeds: list[_Speed]
    spread_percent: Real | None


def _history(rows: list[_Epoch]) -> list[_Epoch]:
    """``rows``, which have one score in common, or none, as where pictures are restored."""
    scored = [{name for name in SCORES if f"validation_{name}" in (row.__pydantic_extra__ or {})} for row in rows]
    if any(scored) and not set.intersection(*scored):
        raise ValueError(f"epochs with different scores; need one of {', '.join(SCORES)} in all of them, or none")
    return rows


def _adapter(schema: Any) -> Callable[[], TypeAdapter[Any]]:
    """The reader of ``schema``, made when it is first used."""
    return cache(lambda: TypeAdapter(schema))


SCHEMAS: Final[Mapping[str, Callable[[], TypeAdapter[Any]]]] = MappingProxyType(
    {
        HISTORY: _adapter(Annotated[list[_Epoch], AfterValidator(_history)]),
        DECODER: _adapter(_Decoder | None),
        CONFIGURATION: _adapter(Configuration),
        QUANTISATION: _adapter(list[_Quantised]),
        SPLITS: _adapter(list[_Split]),
        CALIBRATION: _adapter(_Calibration),
        SELFTEST: _adapter(_SelfTest),
        CLASSES: _adapter(Annotated[list[str], Field(min_length=1)]),
    }
)
"""{file: its schema}."""


def required_files(kind: Kind) -> tuple[str, ...]:
    """The files that every artifact of ``kind`` has."""
    return _required()[kind]


@cache
def _required() -> Mapping[Kind, tuple[str, ...]]:
    from deploytool.ir import program_file, recording_file, streams_file, sweep_file, verdict_file

    return {
        "model": (WEIGHTS, HISTORY),
        "graph": (NETWORK,),
        "program": (program_file.FILE, program_file.ARRAYS_FILE),
        "samples": (streams_file.COLUMNS_FILE, streams_file.EVENTS_FILE),
        "recording": (recording_file.FILE,),
        "verdict": (verdict_file.FILE,),
        "sweep": (sweep_file.FILE,),
        "selftest": (SELFTEST, SELFTEST_PAGE),
        "report": (PAGE,),
    }
