"""[constraints] and [train]: what the chip demands of the network, and how its weights are found."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from deploytool.recipe.section import Section

UNQUANTISED: Final = 32
"""Weight bits that mean: real numbers."""


class ConstraintsSection(Section):
    """[constraints]: what the chip demands of the network, kept during training and checked again afterwards."""

    chip: str = "speck2e"
    weight_bits: int = Field(8, ge=2, le=32, description="bits of a weight, sign included: 2 to 8, or 32, unquantised")
    threshold: float = Field(1.0, gt=0)
    floor: float | None = Field(
        -1.0, le=0, allow_inf_nan=True, description="lower clamp of the membrane, in the unit of the threshold"
    )
    reset: Literal["subtract", "zero"] = "subtract"
    decay: float = Field(
        1.0, gt=0, le=1, description="factor on the membrane per time step; below 1 (LIF) only for training"
    )

    @property
    def chip_bits(self) -> int:
        """Bits of a weight on the chip."""
        return min(self.weight_bits, 8)

    @field_validator("weight_bits")
    @classmethod
    def _bits(cls, bits: int) -> int:
        if 8 < bits < UNQUANTISED:
            raise ValueError(f"found {bits}; need 2 to 8, or 32 for weights that are not quantised")
        return bits


class TrainSection(Section):
    """[train]: how the weights are found. Methods and losses are described in deploytool/train/."""

    method: Literal["sdt", "nmt", "mtt"] = "sdt"
    loss: Literal["ce", "tet"] = "ce"
    logit_scale: float = Field(0.3, gt=0, description="factor from an output neuron's spike count to its logit")
    tet_lambda: float = Field(0.0, ge=0, le=1, description="share of the regulariser in the TET loss")
    tet_phi: float = Field(1.0, description="value that the regulariser of the TET loss draws outputs to")
    time_steps: int = Field(ge=1, description="T: time steps per sample, at which the network is evaluated")
    t_min: int = Field(1, ge=1, description="nmt, mtt: fewest time steps of a stage")
    t_max: int | None = Field(None, ge=1, description="nmt, mtt: most time steps of a stage; by default time_steps")
    draws: int = Field(3, ge=1, description="nmt, mtt: configurations drawn per batch, gradients summed")
    stage_layers: int = Field(1, ge=1, description="mtt: spike layers per stage")
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0)
    average: float = Field(
        0.0, ge=0, lt=1, description="decay per step of the mean of the weights that is kept; 0: none"
    )
    schedule: Literal["cosine", "constant"] = "cosine"
    surrogate: Literal["exponential", "periodic", "triangle"] = "periodic"
    spikes_per_step: Literal["many", "one"] = Field(
        "many", description="a neuron may fire several times per step, as it does per step on an event-driven chip"
    )
    gain: float = Field(1.5, gt=0, description="factor on the default initial weights; at 1 deep layers stay silent")
    rate_penalty: float = Field(0.0, ge=0, description="weight of the mean SynOps per sample (in millions) in the loss")
    shift: int = Field(0, ge=0, description="augmentation: move samples by up to so many pixels")
    drop: float = Field(0.0, ge=0, lt=1, description="augmentation: leave out up to this share of a sample's events")

    @model_validator(mode="after")
    def _range(self) -> TrainSection:
        if self.t_min > self.longest:
            raise ValueError(f"t_min {self.t_min} is above t_max {self.longest}; need t_min <= t_max")
        return self

    @property
    def longest(self) -> int:
        """Most time steps any stage may get: into so many bins training samples are cut."""
        return (self.t_max if self.method != "sdt" else None) or self.time_steps
