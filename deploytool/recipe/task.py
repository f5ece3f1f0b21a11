"""[task]: what the output of the network means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from deploytool.base.errors import RecipeError
from deploytool.ir.decoder import Reads
from deploytool.recipe.network import NetworkSection
from deploytool.recipe.section import Section
from deploytool.recipe.stages import ValidateSection
from deploytool.recipe.train import TrainSection

METHODS: Final = ("sdt", "nmt", "mtt", "tit")
"""The training methods that can learn a decoder."""
LOSSES: Final = ("mse", "tet")
CHANGE_VALUES: Final = ("flip", "flip_vertical", "flip_time", "rotate", "scale", "shear")
"""The augmentations of a sample that change what it says of space and time."""
OF_CLASSES: Final = ("min_accuracy", "max_accuracy_drop", "min_agreement", "max_decision_ms", "max_decision_p95_ms")
OF_VALUES: Final = ("max_rmse", "min_r2", "max_rmse_rise")
"""The limits of [validate] that only one kind of task has."""


class TaskSection(Section):
    """[task]: what the output of the network means: a class, or values that are read window by window."""

    kind: Literal["classify", "regress"] = Field(
        "classify",
        description="`classify`: the output neuron with the most spikes is the class. `regress`: values are read from "
        "the output by a decoder, `weights @ output + offset`, which is learnt in training.",
    )
    decode: Reads = Field(
        "rate",
        description="What the decoder reads: `rate`, the spikes of each output neuron in a window; or `potential`, V "
        "of each neuron of a last layer that never fires, at the end of the window. A chip gives only spikes.",
    )
    window_ms: float | None = Field(
        None,
        ge=0.001,
        le=1e6,
        description="Length of a window, for which one set of values is read; by default a sample is one window. The "
        "state of the network is kept from window to window.",
    )

    def conflicts(self) -> Iterator[RecipeError]:
        for key in ("decode", "window_ms"):
            if self.kind == "classify" and getattr(self, key) != type(self).model_fields[key].default:
                yield RecipeError(key, "given with kind classify", "kind regress")

    @property
    def window_us(self) -> int | None:
        """The length of a window in microseconds, None for the whole sample."""
        return None if self.window_ms is None else round(self.window_ms * 1000)


def with_loss_of_task(values: Any) -> Any:
    """The ``values`` of a recipe, with the loss "mse" where values are learnt and no loss is stated."""
    task, train = (values.get(name) for name in ("task", "train")) if isinstance(values, Mapping) else (None, None)
    if not isinstance(task, Mapping) or task.get("kind") != "regress" or not isinstance(train, Mapping):
        return values
    return {**values, "train": {"loss": "mse", **train}}


def problems_of_training(task: TaskSection, train: TrainSection) -> Iterator[RecipeError]:
    """What of a training does not go with the ``task``."""
    if task.kind == "classify":
        if train.loss == "mse" and train.method != "ptl":
            need = "method ptl, the only one that restores pictures, or task.kind 'regress'"
            yield RecipeError("train.loss", f"found mse with method {train.method}", need)
        return
    if train.method not in METHODS:
        found = f"found {train.method!r}, which learns no decoder"
        yield RecipeError("train.method", found, f"{', '.join(METHODS)} for values")
    if train.loss not in LOSSES:
        found = f"found {train.loss!r}, a loss of classes"
        yield RecipeError("train.loss", found, f"{' or '.join(LOSSES)} for values")
    if train.logits != "sum":
        need = "sum for values, which a decoder reads from the number of spikes in a window"
        yield RecipeError("train.logits", f"found {train.logits!r}", need)
    for key in CHANGE_VALUES:
        if getattr(train.augment, key):
            need = "0 for values, which the changed sample would not have"
            yield RecipeError(f"train.augment.{key}", "above 0", need)


def problems_of_output(task: TaskSection, network: NetworkSection) -> Iterator[RecipeError]:
    """What of the last layer does not go with the ``task``."""
    if task.kind == "regress" and task.decode == "rate" and not network.ends_in_spikes:
        yield RecipeError("network.layers", "the last layer is not a spike layer", "one for task.decode 'rate'")
    if task.kind == "regress" and task.decode == "potential" and network.ends_in_spikes:
        need = "a layer that never fires for task.decode 'potential'"
        yield RecipeError("network.layers", "the last layer is a spike layer", need)


def problems_of_limits(task: TaskSection, limits: ValidateSection) -> Iterator[RecipeError]:
    """The limits that another kind of task than ``task`` has."""
    others, kind = (OF_CLASSES, "classify") if task.kind == "regress" else (OF_VALUES, "regress")
    for key in others:
        if getattr(limits, key) is not None:
            found = f"given with task.kind {task.kind!r}"
            yield RecipeError(f"validate.{key}", found, f"task.kind {kind!r}, or no such limit")
