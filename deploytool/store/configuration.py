"""The schema of a chip's stored configuration, as far as what reads it relies on it.

``deploytool/map/configuration.schema.json`` describes the fields, and which values a chip takes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Int8: TypeAlias = Annotated[int, Field(ge=-128, le=127)]
Int16: TypeAlias = Annotated[int, Field(ge=-(2**15), lt=2**15)]
Small: TypeAlias = Annotated[int, Field(ge=0, lt=2**16)]
Name: TypeAlias = Annotated[str, Field(min_length=1)]


class _Fields(BaseModel):
    """Fields of the configuration. Those that it does not name here are whatever the chip takes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Pair(_Fields):
    x: Small
    y: Small


class _Flags(_Fields):
    x: bool
    y: bool


class _Map(_Fields):
    feature_count: Small
    size: _Pair


class _Dimensions(_Fields):
    input_shape: _Map
    output_shape: _Map
    kernel_size: Small
    stride: _Pair
    padding: _Pair


class _Destination(_Fields):
    enable: bool
    layer: Small
    pooling: Small
    feature_shift: Small


class _FromSensor(_Fields):
    enable: bool
    layer: Small


class _Core(_Fields):
    name: Name
    dimensions: _Dimensions
    destinations: list[_Destination]
    weights: list[list[list[list[Int8]]]]
    biases: list[Int16]
    leak_enable: bool
    neurons_initial_value: list[list[list[Int16]]]
    return_to_zero: bool
    threshold_high: Int16
    threshold_low: Int16
    monitor_enable: bool
    input_congestion_balancer_enable: bool | None = None
    output_decimator_enable: bool | None = None
    output_decimator_interval: Small | None = None

    @field_validator("weights", "neurons_initial_value")
    @classmethod
    def _is_array(cls, values: list[Any]) -> list[Any]:
        lists: list[Any] = [values]
        while lists and isinstance(lists[0], list):
            if len(lengths := {len(each) for each in lists}) != 1 or 0 in lengths:
                raise ValueError("lists of different lengths, or of none; need an array")
            lists = [item for each in lists for item in each] if isinstance(lists[0][0], list) else []
        return values


class _Sensor(_Fields):
    destinations: list[_FromSensor]
    merge: bool
    on_channel: bool
    off_channel: bool
    mirror: _Flags
    mirror_diagonal: bool
    origin: _Pair
    cut: _Pair
    pooling: _Pair
    pass_sensor_events: bool
    monitor_enable: bool


class _NoReadout(_Fields):
    enable: Literal[False]


class _Readout(_Fields):
    enable: Literal[True]
    readout_configuration_sel: Small
    output_mode_sel: Small
    threshold: Small
    low_pass_filter_disable: bool
    low_pass_filter32_not16: bool
    readout_pin_monitor_enable: bool


class Configuration(_Fields):
    """The configuration of a chip."""

    chip: Name
    slow_clock_hz: int | None
    cnn_layers: list[_Core | None]
    dvs_layer: _Sensor
    readout: Annotated[_NoReadout | _Readout, Field(discriminator="enable")]
    unknown: list[str]
