"""[train]: how the weights are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from deploytool.base.errors import RecipeError
from deploytool.recipe.augment import ALSO_IN_TRAIN, AugmentSection, gathered
from deploytool.recipe.events import EventsSection
from deploytool.recipe.ptl import PtlSection, with_spikes_of_arm
from deploytool.recipe.section import Section
from deploytool.recipe.teacher import TeacherSection
from deploytool.recipe.trev import TrevSection

Transformation: TypeAlias = Literal["replicate", "spread", "trim", "soft"]
"""How spikes go from one number of time steps to another."""

ONLY_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "t_min": ("nmt", "mtt"),
    "t_max": ("nmt", "mtt"),
    "draws": ("nmt", "mtt"),
    "ttm": ("nmt", "mtt"),
    "input_ttm": ("nmt", "mtt"),
    "logits": ("sdt", "nmt", "mtt", "tit", "trev"),
    "reset_gradient": ("sdt", "nmt", "mtt", "tit", "events"),
    "stages": ("mtt",),
    "stage_layers": ("mtt",),
    "first_stage": ("mtt",),
    "tit": ("tit",),
    "base": ("sdt", "nmt", "mtt", "tit"),
    "trev": ("trev",),
    "ptl": ("ptl",),
    "events": ("events",),
    "teacher": ("events",),
    "label_smoothing": ("sdt", "nmt", "mtt", "tit", "trev", "events"),
    "clip_norm": ("sdt", "nmt", "mtt", "tit", "trev", "events"),
    "clip_relative": ("sdt", "nmt", "mtt", "tit", "trev", "events"),
    "norm_statistics": ("nmt", "mtt"),
}
"""{key of [train]: the methods that use it}. All others ignore it: it is neither judged nor part of what is asked."""


LATER_KEYS: Final = ("deterministic",)
"""Keys that recipes did not always have, see `Section.without_defaults`."""


def ignored_keys(train: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of a [train] that its method ignores, in their order."""
    method = train.get("method", "sdt")
    return tuple(key for key in train if method not in ONLY_FOR.get(key, (method,)))


class BaseSection(Section):
    """[train.base]: a training with batch norm, in real numbers, that comes before the method's own training.

    The scales of the batch norms then go into the weights; their biases are dropped. The method continues without them,
    or with `scales = "learnt"` learns one more scale per output feature, which goes into the weights at the end.
    """

    epochs: int = Field(ge=1, description="Number of passes over the training samples.")
    learning_rate: float = Field(gt=0, description="Learning rate of this stage.")
    time_steps: int | None = Field(None, ge=1, description="Time steps per sample; by default those of [train].")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="How the learning rate falls.")
    optimizer: Literal["adamw", "sgd", "lamb"] | None = Field(
        None, description="Optimizer; by default that of [train]."
    )
    weight_decay: float | None = Field(None, ge=0, description="Weight decay; by default that of [train].")
    scales: Literal["merged", "learnt"] = Field(
        "merged",
        description="Whether the method that follows trains the weights alone, or also a scale per output feature "
        "that starts at 1, as MTT's authors do with the scales of their batch norms.",
    )


class TrainSection(Section):
    """[train]: the method and its settings."""

    method: Literal["sdt", "nmt", "mtt", "tit", "ptl", "trev", "events"] = Field(
        "sdt", description="The training method."
    )
    loss: Literal["ce", "tet", "tet-prefix", "deep", "mse", "si_sdr"] = Field(
        "ce",
        description="`ce`: cross-entropy of the output of all time steps. `tet`: the mean of the cross-entropies of "
        "every single time step, for a last layer that never fires. `tet-prefix`: the mean of the cross-entropies of "
        "the outputs up to every time step, for a last layer of spikes. `deep`: the sum of those of every single time "
        "step, weighted by t / T, and once more that of the last. `mse`: the mean squared error of values, the "
        'default with `task.kind = "regress"`, where `tet` is that of every time step; or of the restored input '
        "picture, with method `ptl`. `si_sdr`: minus the SI-SDR of separated voices in their best order, the default "
        'with `task.kind = "separate"`.',
    )
    logits: Literal["sum", "mean"] = Field(
        "sum",
        description="Methods `sdt`, `nmt`, `mtt`, `tit`, `trev`: whether a logit is the sum of an output over the time "
        "steps, which for spikes is their number, or the mean per time step, as in the papers.",
    )
    logit_scale: float = Field(0.3, gt=0, description="Factor from that sum or mean to the logit. The papers have 1.")
    tet_lambda: float = Field(
        0.0, ge=0, le=1, description="Weight of the regulariser in the losses `tet` and `tet-prefix`."
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Methods `sdt`, `nmt`, `mtt`, `tit`, `trev`, `events`: share of the target of a cross-entropy "
        "that is spread evenly over all classes.",
    )
    tet_phi: float = Field(1.0, description="Target of the outputs per time step in that regulariser.")
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
    ttm: Transformation = Field(
        "replicate",
        description="Methods `nmt`, `mtt`: how spikes go from one number of time steps to another. `replicate`: to "
        "more, repeat the spikes of a step; to fewer, add up steps. `spread`: the same, but divide the spikes of a "
        "step among its repetitions. `trim`: repeat them; to fewer, keep the first steps and drop the others. `soft`: "
        "share the spikes of a step among the steps that overlap it, in proportion.",
    )
    input_ttm: Transformation | None = Field(
        None,
        description="Methods `nmt`, `mtt`: the same for the events of a sample, on their way into the first stage; by "
        "default `ttm`.",
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
    optimizer: Literal["adamw", "sgd", "lamb"] = Field(
        "adamw",
        description="AdamW, SGD with momentum, or LAMB: Adam with steps in proportion to the size of each layer's "
        "weights, for large batches.",
    )
    learning_rate: float = Field(gt=0, description="Learning rate, the highest of the schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of `sgd`.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay of the optimizer.")
    clip_norm: float | None = Field(
        None,
        gt=0,
        description="Methods `sdt`, `nmt`, `mtt`, `tit`, `trev`, `events`: shorten the gradient of all weights "
        "together to this length; by default never.",
    )
    clip_relative: float | None = Field(
        None,
        gt=0,
        description="Methods `sdt`, `nmt`, `mtt`, `tit`, `trev`, `events`: shorten the gradient of each output "
        "feature to this share of the length of its weights (adaptive gradient clipping); by default never.",
    )
    norm_statistics: Literal["measured", "running"] = Field(
        "measured",
        description="Methods `nmt`, `mtt`: whether the statistics of batch norms for validation are measured again "
        "after every epoch, or are running means over all drawn time steps.",
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of a running mean of the weights. The mean is what is validated and kept. 0 turns "
        "it off.",
    )
    schedule: Literal["cosine", "constant", "steps"] = Field(
        "cosine",
        description="How the learning rate falls, step by step of the optimizer: along a cosine, not at all, or at "
        "`milestones`. Every stage of method `tit` has a schedule of its own.",
    )
    warmup_epochs: float = Field(
        0.0,
        ge=0,
        description="Epochs, or a part of one, over which the learning rate rises to its full value, step by step.",
    )
    warmup_steps: int | None = Field(
        None, ge=0, description="The same as a number of steps of the optimizer, instead of `warmup_epochs`."
    )
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
    deterministic: Literal["here", "everywhere"] = Field(
        "here",
        description="Where the same recipe and seed give the same weights, bit for bit: on the same kind of processor "
        "with the same number of threads, or on every x86-64 processor with any number of threads. `everywhere` uses "
        "the instructions that all of them have, and one thread for PyTorch's own sums; it needs the CPU, one process, "
        "and PyTorch not yet loaded.",
    )
    surrogate: Literal["exponential", "periodic", "triangle"] = Field(
        "periodic", description="Shape of the surrogate gradient around the threshold."
    )
    spikes_per_step: Literal["many", "one"] = Field(
        "many", description="Whether a neuron may fire several times per time step. On the event-driven chip it can."
    )
    reset_gradient: Literal["full", "detached"] = Field(
        "full",
        description="Methods `sdt`, `nmt`, `mtt`, `tit`, `events`: whether gradients flow through the reset of a "
        "neuron that fires, as in TET and MTT, or take the reset for a constant.",
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

    trev: TrevSection = Field(TrevSection(), description="Settings of method `trev`.")
    ptl: PtlSection = Field(PtlSection(), description="Settings of method `ptl`.")
    events: EventsSection = Field(EventsSection(), description="Settings of method `events`.")

    teacher: TeacherSection | None = Field(
        None, description="Method `events`: a larger network, trained first, whose answers are learnt too."
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema, with the augmentations that may be set here."""
        schema = handler.resolve_ref_schema(handler(core))
        augment = AugmentSection.model_json_schema()["properties"]
        schema["properties"] |= {key: augment[key] for key in ALSO_IN_TRAIN}
        return schema

    @model_validator(mode="before")
    @classmethod
    def _of_its_method(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        unused = ignored_keys(values)
        return gathered(with_spikes_of_arm({key: value for key, value in values.items() if key not in unused}))

    def conflicts(self) -> Iterator[RecipeError]:
        if self.t_min > self.longest:
            yield RecipeError("t_min", f"found {self.t_min}, above t_max {self.longest}", "t_min <= t_max")
        yield from self._tit_conflicts()
        yield from self._deterministic_conflicts()
        yield from self._schedule_conflicts()
        yield from self.ptl.problems_of_spikes(self.spikes_per_step)

    @model_serializer(mode="wrap")
    def _stated(self, serialise: SerializerFunctionWrapHandler) -> Mapping[str, Any]:
        """All keys, without those of `LATER_KEYS` that have their default."""
        return self.without_defaults(serialise(self), LATER_KEYS)

    def _deterministic_conflicts(self) -> Iterator[RecipeError]:
        if self.deterministic == "here":
            return
        for key, need in (("device", "cpu"), ("precision", "single")):
            if (found := getattr(self, key)) != need:
                yield RecipeError(key, f"found {found!r} with deterministic = 'everywhere'", repr(need))

    def _tit_conflicts(self) -> Iterator[RecipeError]:
        if self.method != "tit":
            return
        if not self.tit:
            yield RecipeError("tit", "missing with method tit", "[time steps, epochs] of each stage")
        elif (self.tit[-1][0], total := sum(epochs for _, epochs in self.tit)) != (self.time_steps, self.epochs):
            need = f"{self.time_steps} steps and {self.epochs} epochs, the values of time_steps and epochs"
            yield RecipeError("tit", f"ends at {self.tit[-1][0]} steps and has {total} epochs", need)

    def _schedule_conflicts(self) -> Iterator[RecipeError]:
        if (self.schedule == "steps") != bool(self.milestones):
            found = f"{len(self.milestones)} milestones with schedule {self.schedule}"
            yield RecipeError("milestones", found, "both steps and milestones, or neither")
        epochs = min((epochs for _, epochs in self.tit), default=self.epochs)
        if list(self.milestones) != sorted({*self.milestones}) or any(m >= epochs for m in self.milestones):
            found = f"found {list(self.milestones)} of {epochs} epochs"
            yield RecipeError("milestones", found, "epochs in ascending order, before the last")
        if self.warmup_epochs >= epochs:
            yield RecipeError("warmup_epochs", f"found {self.warmup_epochs:g} of {epochs} epochs", "fewer than epochs")
        if self.warmup_epochs and self.warmup_steps is not None:
            yield RecipeError("warmup_steps", "found both warmup_epochs and warmup_steps", "only one")

    @property
    def longest(self) -> int:
        """The largest number of time steps that a stage may get. Training samples are divided into this many."""
        return self.t_max or self.time_steps
