"""[train]: how the weights are trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from deploytool.recipe.augment import AugmentSection, gathered
from deploytool.recipe.ptl import PtlSection
from deploytool.recipe.section import Section
from deploytool.recipe.trev import TrevSection


class BaseSection(Section):
    """[train.base]: a training with batch norm, in real numbers, that comes before the method's own training.

    The scales of the batch norms then go into the weights; their biases are dropped. The method continues without them.
    """

    epochs: int = Field(ge=1, description="Number of passes over the training samples.")
    learning_rate: float = Field(gt=0, description="Learning rate of this stage.")
    time_steps: int | None = Field(None, ge=1, description="Time steps per sample; by default those of [train].")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="How the learning rate falls.")


class TrainSection(Section):
    """[train]: the method and its settings."""

    method: Literal["sdt", "nmt", "mtt", "tit", "ptl", "trev"] = Field("sdt", description="The training method.")
    loss: Literal["ce", "tet", "mse"] = Field(
        "ce",
        description="`ce`: cross-entropy of the output averaged over time. `tet`: the mean of the cross-entropy at "
        "every time step. `mse`: restore the input picture, for method `ptl` only.",
    )
    logit_scale: float = Field(0.3, gt=0, description="Factor from an output neuron's spike count to its logit.")
    tet_lambda: float = Field(0.0, ge=0, le=1, description="Weight of the regulariser in the `tet` loss.")
    tet_phi: float = Field(1.0, description="Target of the outputs in the regulariser of the `tet` loss.")
    time_steps: int = Field(
        ge=1, description="T, the number of time steps per sample at which the network is trained and evaluated."
    )
    t_min: int = Field(1, ge=1, description="Methods `nmt`, `mtt`: smallest number of time steps that is drawn.")
    t_max: int | None = Field(
        None,
        ge=1,
        description="Methods `nmt`, `mtt`: largest number of time steps that is drawn; by default `time_steps`.",
    )
    draws: int = Field(
        3,
        ge=1,
        description="Methods `nmt`, `mtt`: numbers of time steps drawn per batch. The gradients of all draws are "
        "summed.",
    )
    stages: Literal["layers", "marks"] = Field(
        "layers",
        description="Method `mtt`: a stage is `stage_layers` layers with weights, or begins at each layer with "
        "`stage = true`.",
    )
    stage_layers: int = Field(1, ge=1, description="Method `mtt`: layers with weights per stage.")
    first_stage: Literal["drawn", "fixed"] = Field(
        "drawn", description="Method `mtt`: draw the time steps of the first stage too, or always use `t_max` for it."
    )
    ttm: Literal["replicate", "spread"] = Field(
        "replicate",
        description="Methods `nmt`, `mtt`: to go from fewer to more time steps, repeat the spikes of a step or divide "
        "them among the steps.",
    )
    tit: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(
        (), description="Method `tit`: [time steps, epochs] of each stage."
    )
    base: BaseSection | None = Field(None, description="A first training with batch norm.")
    epochs: int = Field(ge=1, description="Number of passes over the training samples.")
    batch: int = Field(ge=1, description="Samples per step of the optimizer.")
    accumulate: int = Field(
        1, ge=1, description="Number of parts into which a batch is divided, to save memory. Gradients are summed."
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="AdamW, or SGD with momentum.")
    learning_rate: float = Field(gt=0, description="Learning rate, the highest of the schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of `sgd`.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay of the optimizer.")
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of a running mean of the weights. The mean is what is validated and kept. 0 turns "
        "it off.",
    )
    schedule: Literal["cosine", "constant", "steps"] = Field(
        "cosine", description="How the learning rate falls: along a cosine, not at all, or at `milestones`."
    )
    warmup_epochs: int = Field(0, ge=0, description="Epochs over which the learning rate rises to its full value.")
    milestones: tuple[PositiveInt, ...] = Field(
        (), description="Schedule `steps`: epochs after which the learning rate is multiplied by `milestone_factor`."
    )
    milestone_factor: float = Field(0.1, gt=0, lt=1, description="Schedule `steps`: the factor at each milestone.")
    patience: int | None = Field(
        None, ge=1, description="Stop after this number of epochs without a better validation result; by default never."
    )
    device: Literal["cpu", "cuda", "auto"] = Field(
        "cpu", description="`auto`: a GPU if there is one, otherwise the CPU."
    )
    precision: Literal["single", "mixed"] = Field(
        "single", description="`mixed`: convolutions and matrix products in bfloat16, on a GPU only."
    )
    surrogate: Literal["exponential", "periodic", "triangle"] = Field(
        "periodic", description="Shape of the surrogate gradient around the threshold."
    )
    spikes_per_step: Literal["many", "one"] = Field(
        "many", description="Whether a neuron may fire several times per time step. On the event-driven chip it can."
    )
    gain: float = Field(
        1.5, gt=0, description="Factor on the default initial weights. With 1, deep layers stay silent."
    )
    rate_penalty: float = Field(
        0.0, ge=0, description="Factor in the loss on the mean number of synaptic operations per sample, in millions."
    )
    augment: AugmentSection = Field(
        AugmentSection(),
        description="Random changes of the training samples. `shift` and `drop` may also be set in [train] itself.",
    )

    @model_validator(mode="before")
    @classmethod
    def _augment(cls, values: Any) -> Any:
        return gathered(values)

    trev: TrevSection = Field(TrevSection(), description="Settings of method `trev`.")
    ptl: PtlSection = Field(PtlSection(), description="Settings of method `ptl`.")

    @model_validator(mode="after")
    def _range(self) -> TrainSection:
        if self.t_min > self.longest:
            raise ValueError(f"t_min {self.t_min} is above t_max {self.longest}; need t_min <= t_max")
        return self

    @model_validator(mode="after")
    def _tit_matches_totals(self) -> TrainSection:
        if (self.method == "tit") != bool(self.tit):
            raise ValueError(f"method {self.method} with {len(self.tit)} stages of tit; need both, or neither")
        if self.tit and (self.tit[-1][0], sum(epochs for _, epochs in self.tit)) != (self.time_steps, self.epochs):
            found = f"tit ends at {self.tit[-1][0]} steps and has {sum(epochs for _, epochs in self.tit)} epochs"
            raise ValueError(
                f"{found}; need {self.time_steps} steps and {self.epochs} epochs, the values of time_steps and epochs"
            )
        return self

    @model_validator(mode="after")
    def _pictures(self) -> TrainSection:
        if self.loss == "mse" and self.method != "ptl":
            raise ValueError(
                f"loss mse with method {self.method}; need method ptl, the only one that restores pictures"
            )
        return self

    @model_validator(mode="after")
    def _base(self) -> TrainSection:
        if self.base is not None and self.method in ("ptl", "trev"):
            raise ValueError(f"[train.base] with method {self.method}; need sdt, nmt, mtt or tit")
        return self

    @model_validator(mode="after")
    def _sections_match_method(self) -> TrainSection:
        for method, section in (("ptl", self.ptl), ("trev", self.trev)):
            if self.method != method and section != type(section)():
                raise ValueError(
                    f"section [train.{method}] with method {self.method}; need method {method}, or no section"
                )
        return self

    @model_validator(mode="after")
    def _schedule(self) -> TrainSection:
        if (self.schedule == "steps") != bool(self.milestones):
            found = f"schedule {self.schedule} with {len(self.milestones)} milestones"
            raise ValueError(f"{found}; need both steps and milestones, or neither")
        epochs = min((epochs for _, epochs in self.tit), default=self.epochs)
        if list(self.milestones) != sorted({*self.milestones}) or any(m >= epochs for m in self.milestones):
            found = f"milestones {list(self.milestones)} of {epochs} epochs"
            raise ValueError(f"{found}; need epochs in ascending order, before the last")
        if self.warmup_epochs >= epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} of {epochs} epochs; need fewer than epochs")
        return self

    @property
    def longest(self) -> int:
        """The largest number of time steps that a stage may get. Training samples are divided into this many."""
        return (self.t_max if self.method not in ("sdt", "tit") else None) or self.time_steps
