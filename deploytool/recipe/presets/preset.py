"""Presets, and the section of a recipe that names one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from deploytool.base.arrays import Shape
from deploytool.recipe.section import Section, Size

Layer: TypeAlias = dict[str, Any]
"""A layer as in a recipe: {"type": "conv", "out": 8, ...}."""


class PresetSection(Section):
    """[network] with a preset: the input map, and the options that the preset has."""

    preset: str = Field(description="Name of the network. `deploytool show presets` lists them.")
    input: tuple[Size, Size, Size] = Field(description="Input map [C, H, W]: features, rows, columns.")
    classes: int = Field(1, ge=1, description="Number of output values. Required for networks that classify.")
    norm: bool = Field(False, description="Batch norm between weights and neurons.")
    pool: Literal["avg", "sum", "stride"] = Field(
        "avg", description="Pool by average or by sum, or use a stride in the convolution before it instead."
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="Sizes of the fully connected layers before the last."
    )
    stem: Literal["cifar", "imagenet"] = Field(
        "cifar", description="First layer: a 3x3 convolution, or 7x7 with stride 2 and pooling over 2x2."
    )
    width: float = Field(1.0, gt=0, description="Factor on the number of features of every stage.")
    spiking_output: bool = Field(
        False,
        description="Let the last layer fire. A chip needs this, because only spikes leave it. Otherwise the last "
        "layer gives its potential.",
    )


Build: TypeAlias = Callable[[Shape, PresetSection], list[Layer]]


@dataclass(frozen=True)
class Preset:
    """A network by name: its ``title``, and the function that makes its layers.

    ``source`` describes it for an input (C, H, W) with ``options``, its complete options; ``parameters`` is the number
    of weights that the source states or has, if known. ``needs`` are the keys of other sections without which it is
    not the network of its source.
    """

    title: str
    build: Build
    input: Shape
    options: Mapping[str, Any]
    source: str
    parameters: int | None = None
    needs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
