"""[constraints]: the chip's constraints on the network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field, field_validator

from deploytool.base.errors import RecipeError
from deploytool.base.nearest import did_you_mean
from deploytool.chip.chips import chip_named, chip_names
from deploytool.chip.integers import IntegerFormat
from deploytool.recipe.section import ConflictError, Section

UNQUANTISED: Final = 32
"""The value of `weight_bits` for weights that are not quantised."""


class ConstraintsSection(Section):
    """[constraints]: the chip's constraints on the network. Training keeps to it, and `map` checks it again.

    With quantised weights, thresholds are integers too, and membranes stay within the chip's 16 bits.
    """

    chip: str = Field(
        "speck2e",
        description="The chip that the network is trained for.",
        json_schema_extra={"enum": list(chip_names())},
    )
    weight_bits: int = Field(
        8, ge=2, le=32, description="Bits of a weight, sign included: 2 to 8, or 32 for weights that are not quantised."
    )
    threshold: float = Field(1.0, gt=0, description="Membrane potential at which a neuron fires.")
    floor: float | None = Field(
        -1.0,
        le=0,
        allow_inf_nan=True,
        description="Lowest membrane potential, in the unit of the threshold; `-inf` for no limit.",
    )
    reset: Literal["subtract", "zero"] = Field(
        "subtract", description="After a spike: subtract the threshold from the membrane, or set it to zero."
    )
    decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor that multiplies the membrane at each time step. Below 1 (LIF) it is for training only.",
    )
    fan_in: int | None = Field(
        None, ge=1, description="Largest number of nonzero weights per neuron; the largest weights are kept."
    )
    fan_in_epochs: int = Field(
        1, ge=1, description="Epoch from which `fan_in` applies; before it the limit decreases step by step."
    )
    max_weight_penalty: float = Field(
        0.0,
        ge=0,
        description="Factor in the loss on the sum of max(w - threshold, 0). One event through a weight above the "
        "threshold can leave the neuron above it, so that the next event fires it again.",
    )

    @property
    def integers(self) -> IntegerFormat | None:
        """The integers of the chip, with weights of ``weight_bits``; None if weights stay real numbers."""
        return None if self.weight_bits == UNQUANTISED else chip_named(self.chip).integers_of(self.weight_bits)

    @field_validator("chip")
    @classmethod
    def _known_chip(cls, chip: str) -> str:
        if chip not in chip_names():
            question = did_you_mean(chip, chip_names())
            raise ConflictError([RecipeError("", f"found {chip!r}", f"one of {', '.join(chip_names())}", question)])
        return chip

    @field_validator("floor")
    @classmethod
    def _no_floor(cls, floor: float | None) -> float | None:
        return None if floor == -math.inf else floor

    @field_validator("weight_bits")
    @classmethod
    def _bits(cls, bits: int) -> int:
        if 8 < bits < UNQUANTISED:
            raise ValueError(f"found {bits}; need 2 to 8, or 32 for weights that are not quantised")
        return bits

    def conflicts(self) -> Iterator[RecipeError]:
        if self.fan_in is None and self.fan_in_epochs > 1:
            yield RecipeError("fan_in_epochs", f"found {self.fan_in_epochs} without fan_in", "both, or neither")
