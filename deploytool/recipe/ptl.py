"""[train.ptl]: progressive tandem learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from deploytool.base.errors import RecipeError
from deploytool.recipe.section import Section


@dataclass(frozen=True)
class Arm:
    """A set of choices with a name: ``fixed`` {key of [train.ptl]: the values it allows, of which it sets the first},
    the same of `train.spikes_per_step`, and values that it only ``suggests``."""

    spikes_per_step: Literal["many", "one"]
    fixed: Mapping[str, tuple[str, ...]]
    suggests: Mapping[str, int] = field(default_factory=dict)

    @property
    def sets(self) -> dict[str, str | int]:
        """The keys of [train.ptl] with their values in this arm, unless a recipe states them."""
        return {key: allowed[0] for key, allowed in self.fixed.items()} | dict(self.suggests)


ARMS: Final[Mapping[str, Arm]] = MappingProxyType(
    {
        "chip": Arm("many", {"input": ("steps",), "bias": ("initial", "none")}),
        "paper": Arm(
            "one",
            {
                "input": ("first",),
                "bias": ("current",),
                "start": ("zero",),
                "thresholds": ("layer",),
                "forward": ("counts",),
                "last_stage": ("full",),
            },
            {"stage_milestone": 50},
        ),
    }
)
"""{name: arm}: what the chip can do, and Wu et al., TPAMI 44(11), 2022, sections 3 and 4."""


class PtlSection(Section):
    """[train.ptl]: progressive tandem learning, which turns a network with ReLUs into a spiking one layer by layer."""

    arm: Literal["chip", "paper"] | None = Field(
        None,
        description="A name for a set of choices, from which no other key may differ. `chip`: what the chip can do, "
        '`input = "steps"`, `bias` "initial" or "none", and `train.spikes_per_step = "many"`. `paper`: those of the '
        'paper, `input = "first"`, `bias = "current"`, `start = "zero"`, `thresholds = "layer"`, `forward = "counts"`, '
        '`last_stage = "full"` and `train.spikes_per_step = "one"`, with a `stage_milestone` of 50 unless another is '
        "given; no chip can run that. Without an arm, every key is chosen alone.",
    )
    ann: str | None = Field(
        None,
        description="The network with ReLUs: `file.onnx` or `package.module:function`. By default it is trained first.",
    )
    percentile: float = Field(
        99.0, gt=0, le=100, description="Percentile of a layer's activations that maps to one spike per time step."
    )
    thresholds: Literal["layer", "channel"] = Field(
        "layer",
        description="`layer`: the percentile is taken over all activations of a layer. `channel`: over those of each "
        "feature alone, which scales the weights of each feature on its own.",
    )
    output_spikes: int | None = Field(
        None,
        ge=1,
        description="Number of spikes of an output neuron that represents this percentile; by default `time_steps`.",
    )
    threshold_samples: int = Field(256, ge=1, description="Training samples on which the percentile is measured.")
    coupling: Literal["progressive", "whole"] = Field(
        "progressive",
        description="`progressive`: one layer per stage becomes spiking. `whole`: all layers at once, in a single "
        "stage; this is tandem learning end to end (Wu et al., 2021), to compare with.",
    )
    stage_epochs: int | None = Field(
        None, ge=1, description="Largest number of epochs per stage; by default `train.epochs`."
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="T_p: a stage ends after this number of epochs without a lower validation loss; by default "
        "`train.patience`, or 6.",
    )
    last_stage: Literal["early", "full"] = Field(
        "early", description="`early`: the patience ends the last stage too. `full`: it trains all its epochs."
    )
    stage_learning_rate: float = Field(
        1e-3, ge=0, description="Learning rate of the stages; 0 converts without further training."
    )
    stage_milestone: int | None = Field(
        None,
        ge=1,
        description="Number of epochs, of all stages together, after which the learning rate of the stages is a tenth; "
        "by default never.",
    )
    input: Literal["steps", "first"] = Field(
        "steps",
        description="`steps`: the input arrives over the time steps, as events do. `first`: an image arrives as one "
        'analog current in the first time step, with `data.coding = "direct"`, for training only.',
    )
    bias: Literal["initial", "current", "none"] = Field(
        "initial",
        description="`initial`: a bias becomes the membrane potential at the start. `current`: it is added over the "
        "time steps, b / `time_steps` in each, for training only. `none`: no biases.",
    )
    start: Literal["zero", "half"] = Field(
        "zero", description="Membrane potential at the start, before the bias is added: 0, or half the threshold."
    )
    forward: Literal["counts", "emulator"] = Field(
        "counts",
        description="How the spikes of a converted layer are counted in training: a clock-driven run, or the chip's "
        "emulator on the events.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_its_arm(cls, values: Any) -> Any:
        arm = _arm_of(values)
        return values if arm is None else {**arm.sets, **values}

    def conflicts(self) -> Iterator[RecipeError]:
        for key, allowed in (ARMS[self.arm].fixed if self.arm else {}).items():
            if (found := getattr(self, key)) not in allowed:
                yield self._differs(key, found, allowed)
        if self.forward == "emulator":
            for key, value in (("input", "first"), ("bias", "current")):
                if getattr(self, key) == value:
                    need = "counts: the emulator runs on events and has no time steps"
                    yield RecipeError("forward", f'found emulator with {key} = "{value}"', need)

    def problems_of_spikes(self, per_step: str) -> Iterator[RecipeError]:
        """What is wrong with `train.spikes_per_step`."""
        if self.arm and per_step != (needed := ARMS[self.arm].spikes_per_step):
            yield self._differs("spikes_per_step", per_step, (needed,))
        elif self.input == "first" and per_step != "one":
            found = f'found {per_step} with ptl.input = "first"'
            need = "one: otherwise all spikes of a sample come in the first time step"
            yield RecipeError("spikes_per_step", found, need, ways=({"spikes_per_step": "one"},))

    def _differs(self, key: str, found: str, allowed: tuple[str, ...]) -> RecipeError:
        need = f"{' or '.join(allowed)}, or no arm"
        return RecipeError(key, f'found {found} with ptl.arm = "{self.arm}"', need, ways=({key: allowed[0]},))


def with_spikes_of_arm(train: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of [train] with the spikes per step of its PTL arm, if they do not state any."""
    ptl = train.get("ptl")
    arm = ARMS.get(ptl.arm or "") if isinstance(ptl, PtlSection) else _arm_of(ptl)
    return train if arm is None else {"spikes_per_step": arm.spikes_per_step, **train}


def _arm_of(ptl: Any) -> Arm | None:
    """The arm that the values of [train.ptl] name; None if they name none."""
    name = ptl.get("arm") if isinstance(ptl, Mapping) else None
    return ARMS.get(name) if isinstance(name, str) else None
