"""[constraints]: what the chip demands of the network."""

from __future__ import annotations

import math
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from deploytool.recipe.section import Section

UNQUANTISED: Final = 32
"""Weight bits that mean: real numbers."""


class ConstraintsSection(Section):
    """[constraints]: what the chip demands of the network, kept during training and checked again afterwards.

    With quantised weights thresholds are integers too, and a membrane stays within the chip's 16 bits.
    """

    chip: str = "speck2e"
    weight_bits: int = Field(8, ge=2, le=32, description="bits of a weight, sign included: 2 to 8, or 32, unquantised")
    threshold: float = Field(1.0, gt=0)
    floor: float | None = Field(
        -1.0,
        le=0,
        allow_inf_nan=True,
        description="lower clamp of the membrane, in the unit of the threshold; -inf for none",
    )
    reset: Literal["subtract", "zero"] = "subtract"
    decay: float = Field(
        1.0, gt=0, le=1, description="factor on the membrane per time step; below 1 (LIF) only for training"
    )
    fan_in: int | None = Field(
        None, ge=1, description="at most so many weights of a neuron are not 0; the largest stay"
    )
    fan_in_epochs: int = Field(1, ge=1, description="from this epoch on; before it the limit comes down step by step")
    max_weight_penalty: float = Field(
        0.0, ge=0, description="weight in the loss of the sum of max(w - threshold, 0): above it one event fires twice"
    )

    @property
    def chip_bits(self) -> int:
        """Bits of a weight on the chip."""
        return min(self.weight_bits, 8)

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

    @model_validator(mode="after")
    def _for_something(self) -> ConstraintsSection:
        if self.fan_in is None and self.fan_in_epochs > 1:
            raise ValueError(f"fan_in_epochs is {self.fan_in_epochs} without fan_in; need both, or neither")
        return self
