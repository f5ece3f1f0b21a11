"""[task]: what the output of the network means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from deploytool.base.errors import RecipeError
from deploytool.ir.decoder import Reads
from deploytool.recipe.augment import AugmentSection
from deploytool.recipe.network import NetworkSection
from deploytool.recipe.section import Section
from deploytool.recipe.stages import RunSection, ValidateSection
from deploytool.recipe.train import TrainSection

ON_TORCH: Final = (
    "Speech is no stream of events, and the chip has only square kernels without dilation and gives only spikes: the "
    "network stays on torch."
)
"""Why no chip and no simulator of chips runs a network that separates voices."""
METHODS: Final = ("sdt", "nmt", "mtt", "tit")
"""The training methods that can learn a decoder."""
LOSSES: Final = ("mse", "tet")
CHANGE_VALUES: Final = ("flip", "flip_vertical", "flip_time", "rotate", "scale", "shear")
"""The augmentations of a sample that change what it says of space and time."""
LOSS_OF: Final[Mapping[str, str]] = {"regress": "mse", "separate": "si_sdr"}
"""{kind of task: its loss if none is stated}."""
OF_CLASSES: Final = ("min_accuracy", "max_accuracy_drop", "min_agreement", "max_decision_ms", "max_decision_p95_ms")
OF_VALUES: Final = ("max_rmse", "min_r2", "max_rmse_rise")
OF_SPEECH: Final = ("min_si_sdr_db", "min_si_sdr_improvement_db")
LIMITS_OF: Final = {"classify": OF_CLASSES, "regress": OF_VALUES, "separate": OF_SPEECH}
"""The limits of [validate] that only one kind of task has."""
FILTER_MS: Final = 2.5
"""The length of a filter of the encoder of speech, if none is stated."""


class TaskSection(Section):
    """[task]: what the output of the network means: a class, values that are read window by window, or voices."""

    kind: Literal["classify", "regress", "separate"] = Field(
        "classify",
        description="`classify`: the output neuron with the most spikes is the class. `regress`: values are read from "
        "the output by a decoder, `weights @ output + offset`, which is learnt in training. `separate`: the output is "
        "a mask for each of two speakers, between an encoder and a decoder of speech, which are learnt in training.",
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
        "state of the network is kept from window to window. Kind `separate`: length of a filter of the encoder, 2.5 "
        "by default. Successive filters overlap by half.",
    )

    def conflicts(self) -> Iterator[RecipeError]:
        for key in ("decode", "window_ms"):
            if key == "window_ms" and self.kind == "separate":
                continue
            if self.kind != "regress" and getattr(self, key) != type(self).model_fields[key].default:
                yield RecipeError(key, f"given with kind {self.kind}", "kind regress")

    @property
    def window_us(self) -> int | None:
        """The length of a window in microseconds, None for the whole sample."""
        return None if self.window_ms is None else round(self.window_ms * 1000)

    def filter_length(self, rate_hz: int) -> int:
        """The samples in a filter of the encoder of speech at ``rate_hz``. Raises RecipeError unless it is even."""
        length = round((self.window_ms or FILTER_MS) / 1000 * rate_hz)
        if length < 2 or length % 2:
            found = f"{self.window_ms or FILTER_MS:g}, {length} samples at {rate_hz} Hz"
            raise RecipeError("task.window_ms", f"found {found}", "an even number of samples, at least 2")
        return length


def with_loss_of_task(values: Any) -> Any:
    """The ``values`` of a recipe, with the loss of its task where no loss is stated."""
    task, train = (values.get(name) for name in ("task", "train")) if isinstance(values, Mapping) else (None, None)
    loss = LOSS_OF.get(str(task.get("kind"))) if isinstance(task, Mapping) else None
    if loss is None or not isinstance(train, Mapping):
        return values
    return {**values, "train": {"loss": loss, **train}}


def problems_of_training(task: TaskSection, train: TrainSection) -> Iterator[RecipeError]:
    """What of a training does not go with the ``task``."""
    if train.loss == "si_sdr" and task.kind != "separate":
        yield RecipeError("train.loss", f"found si_sdr with task.kind {task.kind!r}", "task.kind 'separate'")
        return
    if task.kind == "separate":
        yield from _problems_of_separation(train)
        return
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


def _problems_of_separation(train: TrainSection) -> Iterator[RecipeError]:
    """What of a training does not go with separating voices."""
    if train.method != "ptl":
        yield RecipeError("train.method", f"found {train.method!r}", "ptl, the only one that separates voices")
    if train.loss != "si_sdr":
        yield RecipeError("train.loss", f"found {train.loss!r}", "si_sdr for task.kind 'separate'")
    if train.augment != AugmentSection():
        yield RecipeError("train.augment", "given", "none for mixtures of voices")
    if train.ptl.ann is not None:
        need = "none for mixtures of voices, whose encoder is learnt with the network"
        yield RecipeError("train.ptl.ann", f"found {train.ptl.ann!r}", need)
    for key, value in (("forward", "counts"), ("input", "first")):
        if (found := getattr(train.ptl, key)) != value:
            need = f"{value} for voices, whose code is no events but a current"
            yield RecipeError(f"train.ptl.{key}", f"found {found}", need, ways=({f"train.ptl.{key}": value},))


def runs_on_torch(run: RunSection, task: TaskSection) -> Iterator[RecipeError]:
    """A run of a network that separates voices on anything but torch."""
    if task.kind == "separate" and run.on:
        yield RecipeError("run.on", f"found {list(run.on)} with task.kind 'separate'", "[]", ON_TORCH)


def problems_of_output(task: TaskSection, network: NetworkSection) -> Iterator[RecipeError]:
    """What of the last layer does not go with the ``task``."""
    if task.kind == "separate" and network.ends_in_spikes:
        need = "a layer that never fires, whose potentials are the masks, for task.kind 'separate'"
        yield RecipeError("network.layers", "the last layer is a spike layer", need)
    if task.kind == "regress" and task.decode == "rate" and not network.ends_in_spikes:
        yield RecipeError("network.layers", "the last layer is not a spike layer", "one for task.decode 'rate'")
    if task.kind == "regress" and task.decode == "potential" and network.ends_in_spikes:
        need = "a layer that never fires for task.decode 'potential'"
        yield RecipeError("network.layers", "the last layer is a spike layer", need)


def problems_of_limits(task: TaskSection, limits: ValidateSection) -> Iterator[RecipeError]:
    """The limits that another kind of task than ``task`` has."""
    for kind, keys in LIMITS_OF.items():
        for key in keys:
            if kind != task.kind and getattr(limits, key) is not None:
                found = f"given with task.kind {task.kind!r}"
                yield RecipeError(f"validate.{key}", found, f"task.kind {kind!r}, or no such limit")
