"""[train]: how the weights are found."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from deploytool.recipe.augment import AugmentSection, gathered
from deploytool.recipe.ptl import PtlSection
from deploytool.recipe.section import Section
from deploytool.recipe.trev import TrevSection


class BaseSection(Section):
    """[train.base]: a training with batch norms, in real numbers, before the method's own.

    What the batch norms learnt goes into the weights, without a bias; the method goes on from there without them.
    """

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    time_steps: int | None = Field(None, ge=1, description="by default those of [train]")
    schedule: Literal["cosine", "constant"] = "cosine"


class TrainSection(Section):
    """[train]: how the weights are found. Methods and losses are described in deploytool/train/."""

    method: Literal["sdt", "nmt", "mtt", "tit", "ptl", "trev"] = "sdt"
    loss: Literal["ce", "tet", "mse"] = Field("ce", description="mse: the answer is to be the picture itself; ptl only")
    logit_scale: float = Field(0.3, gt=0, description="factor from an output neuron's spike count to its logit")
    tet_lambda: float = Field(0.0, ge=0, le=1, description="share of the regulariser in the TET loss")
    tet_phi: float = Field(1.0, description="value that the regulariser of the TET loss draws outputs to")
    time_steps: int = Field(ge=1, description="T: time steps per sample, at which the network is evaluated")
    t_min: int = Field(1, ge=1, description="nmt, mtt: fewest time steps of a stage")
    t_max: int | None = Field(None, ge=1, description="nmt, mtt: most time steps of a stage; by default time_steps")
    draws: int = Field(3, ge=1, description="nmt, mtt: configurations drawn per batch, gradients summed")
    stages: Literal["layers", "marks"] = Field(
        "layers", description="mtt: a stage is stage_layers layers with weights, or begins at a layer with stage = true"
    )
    stage_layers: int = Field(1, ge=1, description="mtt: layers with weights per stage")
    first_stage: Literal["drawn", "fixed"] = Field(
        "drawn", description="mtt: whether time steps are drawn for the first stage too, or it always has t_max"
    )
    ttm: Literal["replicate", "spread"] = Field(
        "replicate", description="nmt, mtt: from few to many steps, repeat the spikes of a step, or divide them"
    )
    tit: tuple[tuple[PositiveInt, PositiveInt], ...] = Field((), description="tit: [time steps, epochs] of each stage")
    base: BaseSection | None = None
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    accumulate: int = Field(1, ge=1, description="parts in which a batch goes through the network, to save memory")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0)
    average: float = Field(
        0.0, ge=0, lt=1, description="decay per step of the mean of the weights that is kept; 0: none"
    )
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    warmup_epochs: int = Field(0, ge=0, description="epochs in which the learning rate rises to its full value")
    milestones: tuple[PositiveInt, ...] = Field((), description="steps: the rate is multiplied after these epochs")
    milestone_factor: float = Field(0.1, gt=0, lt=1, description="steps: by so much")
    patience: int | None = Field(None, ge=1, description="stop after so many epochs without a better validation")
    device: Literal["cpu", "cuda", "auto"] = Field("cpu", description="auto: a GPU where there is one")
    precision: Literal["single", "mixed"] = Field("single", description="mixed: sums in bfloat16, on a GPU only")
    surrogate: Literal["exponential", "periodic", "triangle"] = "periodic"
    spikes_per_step: Literal["many", "one"] = Field(
        "many", description="a neuron may fire several times per step, as it does per step on an event-driven chip"
    )
    gain: float = Field(1.5, gt=0, description="factor on the default initial weights; at 1 deep layers stay silent")
    rate_penalty: float = Field(0.0, ge=0, description="weight of the mean SynOps per sample (in millions) in the loss")
    augment: AugmentSection = Field(
        AugmentSection(), description="how samples are changed anew in every epoch; shift and drop may stand here"
    )

    @model_validator(mode="before")
    @classmethod
    def _augment(cls, values: Any) -> Any:
        return gathered(values)

    trev: TrevSection = TrevSection()
    ptl: PtlSection = PtlSection()

    @model_validator(mode="after")
    def _range(self) -> TrainSection:
        if self.t_min > self.longest:
            raise ValueError(f"t_min {self.t_min} is above t_max {self.longest}; need t_min <= t_max")
        return self

    @model_validator(mode="after")
    def _inherits_time(self) -> TrainSection:
        if (self.method == "tit") != bool(self.tit):
            raise ValueError(f"method {self.method} and {len(self.tit)} stages of tit; need both, or neither")
        if self.tit and (self.tit[-1][0], sum(epochs for _, epochs in self.tit)) != (self.time_steps, self.epochs):
            found = f"tit ends at {self.tit[-1][0]} steps and has {sum(epochs for _, epochs in self.tit)} epochs"
            raise ValueError(f"{found}; need time_steps {self.time_steps} and epochs {self.epochs}, or others of these")
        return self

    @model_validator(mode="after")
    def _pictures(self) -> TrainSection:
        if self.loss == "mse" and self.method != "ptl":
            raise ValueError(f"loss mse and method {self.method}; need method ptl, the only one that restores pictures")
        return self

    @model_validator(mode="after")
    def _base(self) -> TrainSection:
        if self.base is not None and self.method in ("ptl", "trev"):
            raise ValueError(f"a base before method {self.method}; need sdt, nmt, mtt or tit")
        return self

    @model_validator(mode="after")
    def _own_sections(self) -> TrainSection:
        for method, section in (("ptl", self.ptl), ("trev", self.trev)):
            if self.method != method and section != type(section)():
                raise ValueError(f"a section {method} and method {self.method}; need method {method}, or no section")
        return self

    @model_validator(mode="after")
    def _schedule(self) -> TrainSection:
        if (self.schedule == "steps") != bool(self.milestones):
            found = f"schedule {self.schedule} and {len(self.milestones)} milestones"
            raise ValueError(f"{found}; need both steps and milestones, or neither")
        epochs = min((epochs for _, epochs in self.tit), default=self.epochs)
        if list(self.milestones) != sorted({*self.milestones}) or any(m >= epochs for m in self.milestones):
            found = f"milestones {list(self.milestones)} of {epochs} epochs"
            raise ValueError(f"{found}; need epochs in ascending order, before the last")
        if self.warmup_epochs >= epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} of {epochs} epochs; need fewer")
        return self

    @property
    def longest(self) -> int:
        """Most time steps any stage may get: into so many bins training samples are cut."""
        return (self.t_max if self.method not in ("sdt", "tit") else None) or self.time_steps
