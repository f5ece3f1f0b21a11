"""The whole recipe, and what must agree between its sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field, model_validator

from deploytool.base.errors import DeployError, RecipeError
from deploytool.recipe.constraints import ConstraintsSection
from deploytool.recipe.data import SPEECH_SETS, DataSection
from deploytool.recipe.network import NetworkSection
from deploytool.recipe.section import Section
from deploytool.recipe.stages import MapSection, ReportSection, RunSection, ValidateSection
from deploytool.recipe.task import (
    TaskSection,
    problems_of_limits,
    problems_of_output,
    problems_of_training,
    runs_on_torch,
    with_loss_of_task,
)
from deploytool.recipe.train import TrainSection


class Recipe(Section):
    """Everything a pipeline needs to know."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Title of the report. Letters, digits, dots, underscores and hyphens.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="Seed of every random choice: the held-out samples, the first weights, the order of the batches, "
        "the augmentation. At the same number of threads, equal seeds give equal weights, bit for bit.",
    )
    data: DataSection = Field(description="The samples.")
    network: NetworkSection = Field(description="The input map and the layers.")
    constraints: ConstraintsSection = Field(ConstraintsSection(), description="The chip's constraints on the network.")
    task: TaskSection = Field(TaskSection(), description="What the output means: a class, or values.")
    train: TrainSection = Field(description="The training method and its settings.")
    map: MapSection = Field(MapSection(), description="How the network is mapped to its target.")
    run: RunSection = Field(RunSection(), description="The engines that run the program.")
    validation: ValidateSection = Field(
        ValidateSection(), alias="validate", description="The requirements for a positive verdict."
    )
    report: ReportSection = Field(ReportSection(), description="The contents of the report.")

    @model_validator(mode="before")
    @classmethod
    def _loss_of_values(cls, values: Any) -> Any:
        return with_loss_of_task(values)

    def conflicts(self) -> Iterator[DeployError]:
        yield from problems_between(RULES, dict(self))

    @property
    def of_training(self) -> dict[str, Any]:
        """The sections that decide the trained model, as plain JSON values; [task] only if it is not a class."""
        task = ("task",) if self.task != TaskSection() else ()
        return self.section("seed", "data", "network", "constraints", "train", *task)

    def section(self, *names: str) -> dict[str, Any]:
        """The named sections as plain JSON values."""
        return self.model_dump(mode="json", include=set(names), by_alias=True)


@dataclass(frozen=True)
class Rule:
    """What must agree between sections: ``problems`` takes those named in ``needs`` and gives what is wrong.

    The place of a problem begins with a section: "network.input". It may also be raised.
    """

    needs: tuple[str, ...]
    problems: Callable[..., Iterator[DeployError]]


def problems_between(rules: Sequence[Rule], sections: Mapping[str, Any]) -> Iterator[DeployError]:
    """What breaks one of ``rules``, as far as ``sections`` {name: section}, perhaps not all, can say."""
    for rule in rules:
        if sections.keys() >= set(rule.needs):
            try:
                yield from rule.problems(*(sections[name] for name in rule.needs))
            except DeployError as error:
                yield error


def _ends_in_spikes(run: RunSection, network: NetworkSection) -> Iterator[RecipeError]:
    if run.on and not network.ends_in_spikes:
        need = "a spike layer, because only spikes leave the chip, or run.on = [] to train only"
        yield RecipeError(
            "network.layers", "the last layer is not a spike layer", need, ways=({"network.spiking_output": True},)
        )


def _codes_events(run: RunSection, data: DataSection) -> Iterator[RecipeError]:
    if run.on and data.coding == "direct":
        need = "count or rate, because the program runs on events, or run.on = [] to train only"
        yield RecipeError("data.coding", "found 'direct'", need)


def _first_step_takes_an_image(data: DataSection, train: TrainSection) -> Iterator[RecipeError]:
    if train.ptl.input == "first" and data.coding != "direct" and data.set not in SPEECH_SETS:
        need = 'steps, or data.coding = "direct": only an image can be an analog current'
        yield RecipeError("train.ptl.input", "found first with events", need, ways=({"data.coding": "direct"},))


def _chip_is_used(run: RunSection, train: TrainSection, spec: MapSection) -> Iterator[RecipeError]:
    emulated = train.method == "events" or (train.method == "ptl" and train.ptl.forward == "emulator")
    clock = MapSection(slow_clock_hz=spec.slow_clock_hz)
    if run.on and not run.on_chip and not emulated and spec != clock:
        need = "quantised or emulator in run.on, or nothing but slow_clock_hz in [map]"
        yield RecipeError("map", f"given, but run.on = {list(run.on)} needs no chip", need)


def _augmentation_leaves_events(network: NetworkSection, train: TrainSection) -> Iterator[RecipeError]:
    side = min(network.input[1:])
    for key in ("shift", "cutout"):
        if side > 1 and (found := getattr(train.augment, key)) >= side:
            yield RecipeError(f"train.augment.{key}", f"found {found}", f"less than {side}, the side of the map")


def _neurons_between_weights(network: NetworkSection, train: TrainSection) -> Iterator[RecipeError]:
    if (direct := network.direct_layers()) and not (train.method == "trev" and train.trev.on):
        need = "a spike layer before it, or method trev with train.trev.on"
        yield RecipeError("network.layers", f"{direct[0]!r} is direct with method {train.method}", need)


RULES: Final = (
    Rule(("run", "network"), _ends_in_spikes),
    Rule(("run", "data"), _codes_events),
    Rule(("data", "train"), _first_step_takes_an_image),
    Rule(("run", "train", "map"), _chip_is_used),
    Rule(("network", "train"), _augmentation_leaves_events),
    Rule(("network", "train"), _neurons_between_weights),
    Rule(("task", "train"), problems_of_training),
    Rule(("run", "task"), runs_on_torch),
    Rule(("task", "network"), problems_of_output),
    Rule(("task", "validation"), problems_of_limits),
)
"""What must agree between the sections of every recipe."""
