"""The recipe: what the user wants, one TOML file, every key known and every value checked.

A recipe is read with all its errors at once, each with its path in the file. `Recipe.section` gives the part that
decides a stage, from which the stage's key is made: changing one section re-runs that stage and what follows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deploytool.errors import RecipeError, UsageError


class Section(BaseModel):
    """A part of a recipe: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=Section)


class DataSection(Section):
    """[data]: which events, and how they are cleaned before anything sees them."""

    set: str = Field(description="name of a data set; `deploytool show datasets` lists them")
    root: str | None = Field(None, description="folder of the data, for sets that are read from disk")
    denoise_ms: float | None = Field(
        None, gt=0, description="drop events with no event of a neighbouring pixel in the last so many ms"
    )
    validation: float = Field(0.1, gt=0, lt=0.5, description="share of training samples that choose the model")
    train_samples: int | None = Field(None, ge=1, description="only so many training samples, evenly over the classes")
    test_samples: int | None = Field(None, ge=1, description="only so many test samples, evenly over the classes")


class ConvLayer(Section):
    """Convolution with ``out`` features."""

    type: Literal["conv"]
    out: int = Field(ge=1)
    kernel: int = Field(ge=1)
    stride: int = Field(1, ge=1)
    padding: int = Field(0, ge=0)
    name: str | None = None


class LinearLayer(Section):
    """Fully connected layer with ``out`` values."""

    type: Literal["linear"]
    out: int = Field(ge=1)
    name: str | None = None


class SpikeLayer(Section):
    """Integrate-and-fire neurons, with the threshold, floor and reset of [constraints]."""

    type: Literal["spike"]
    name: str | None = None


class PoolLayer(Section):
    """Sum or average over windows of ``kernel`` x ``kernel``."""

    type: Literal["sumpool", "avgpool"]
    kernel: int = Field(ge=1)
    name: str | None = None


class FlattenLayer(Section):
    """(C, H, W) to a vector."""

    type: Literal["flatten"]
    name: str | None = None


LayerSection: TypeAlias = Annotated[
    ConvLayer | LinearLayer | SpikeLayer | PoolLayer | FlattenLayer, Field(discriminator="type")
]
_PREFIX: Final = {
    "conv": "conv", "linear": "fc", "spike": "spike", "sumpool": "pool", "avgpool": "pool", "flatten": "flatten",
}  # fmt: skip


Size: TypeAlias = Annotated[int, Field(ge=1, le=4096)]


class NetworkSection(Section):
    """[network]: the input map (C, H, W) and the layers, each feeding the next."""

    input: tuple[Size, Size, Size]
    layers: tuple[LayerSection, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> NetworkSection:
        names = ["input", "output", *(name for name, _ in self.named_layers())]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two layers are named {twice[0]!r}; need names that differ, also from input and output")
        return self

    @model_validator(mode="after")
    def _weights_then_spikes(self) -> NetworkSection:
        if not isinstance(self.layers[-1], SpikeLayer):
            raise ValueError("the last layer is no spike layer; need one, because only spikes leave the chip")
        before, weighted = "the input", False
        for name, layer in self.named_layers():
            if weighted != isinstance(layer, SpikeLayer):
                need = "a spike layer after every conv or linear layer, and nowhere else"
                raise ValueError(f"{name!r} ({layer.type}) comes after {before}; need {need}")
            before, weighted = repr(name), isinstance(layer, ConvLayer | LinearLayer)
        return self

    def named_layers(self) -> list[tuple[str, LayerSection]]:
        """(name, layer) in order; a layer without a name is called by its kind and its number: conv1, spike1, fc1."""
        seen: dict[str, int] = {}
        named = []
        for layer in self.layers:
            prefix = _PREFIX[layer.type]
            seen[prefix] = seen.get(prefix, 0) + 1
            named.append((layer.name or f"{prefix}{seen[prefix]}", layer))
        return named


class ConstraintsSection(Section):
    """[constraints]: what the chip demands of the network, kept during training and checked again afterwards."""

    chip: str = "speck2e"
    weight_bits: int = Field(8, ge=2, le=8, description="bits of a weight, sign included")
    threshold: float = Field(1.0, gt=0)
    floor: float | None = Field(
        -1.0, le=0, allow_inf_nan=True, description="lower clamp of the membrane, in the unit of the threshold"
    )
    reset: Literal["subtract", "zero"] = "subtract"


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


class DvsSection(Section):
    """[map.dvs]: what the chip does with the events of its own sensor before the network; recorded events skip it."""

    origin: tuple[int, int] = Field(
        (0, 0), description="(y, x) of the crop's first pixel; the input map gives its size"
    )
    crop: Literal["pooled", "sensor"] = Field(
        "pooled", description="whether origin and crop count pixels after pooling (documentation) or of the sensor"
    )
    mirror: tuple[Literal["x", "y", "diagonal"], ...] = ()
    polarity: Literal["both", "on", "off"] = Field("both", description="which events pass; one input feature merges")
    live: bool = Field(False, description="let the sensor's own events in")


class ReadoutSection(Section):
    """[map.readout]: the chip's readout layer, which gives the class at its pins."""

    threshold: int = Field(1, ge=0, le=65535, description="spikes that a class needs")
    average: Literal[1, 16, 32] = Field(1, description="cycles of the slow clock in the moving average")


class MapSection(Section):
    """[map]: where the network goes."""

    target: str = Field("speck2e", description="a chip, or simulator")
    pins: dict[str, int] = Field(default_factory=dict, description="layer = core")
    split: bool = Field(True, description="split layers over several cores where the network fits only so")
    quantise: Literal["plain", "calibrated"] = Field(
        "plain", description="by the chip's rule, or with scale and rounding chosen on training samples"
    )
    calibration_samples: int = Field(16, ge=1, description="samples searched on; twice as many others decide")
    dvs: DvsSection = DvsSection()
    readout: ReadoutSection | None = Field(None, description="absent: the readout layer is off")


class RunSection(Section):
    """[run]: on what the program runs, beside the trained network itself."""

    on: tuple[Literal["quantised", "simulator", "emulator"], ...] = ("quantised", "simulator", "emulator")
    rasters: int = Field(4, ge=0, description="samples of which every single spike is kept for the report")


class ValidateSection(Section):
    """[validate]: what must hold for a positive verdict; a key that is absent asks nothing."""

    min_accuracy: float | None = Field(None, ge=0, le=100, description="% right on the emulator")
    max_accuracy_drop: float | None = Field(None, ge=0, le=100, description="points from torch to the emulator")
    max_spike_difference: float | None = Field(
        None, ge=0, description="% pooled at the output, emulator against the float event-driven simulator"
    )
    max_synops: float | None = Field(None, gt=0, description="mean synaptic operations per sample on the emulator")


class ReportSection(Section):
    """[report]: what report.html shows."""

    samples: int = Field(4, ge=0, description="samples shown as pictures")


class Recipe(Section):
    """Everything a pipeline needs to know."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    seed: int = Field(0, ge=0, lt=2**31)
    data: DataSection
    network: NetworkSection
    constraints: ConstraintsSection = ConstraintsSection()
    train: TrainSection
    map: MapSection = MapSection()
    run: RunSection = RunSection()
    validation: ValidateSection = Field(ValidateSection(), alias="validate")
    report: ReportSection = ReportSection()

    def section(self, *names: str) -> dict[str, Any]:
        """The named sections as plain JSON values."""
        return self.model_dump(mode="json", include=set(names), by_alias=True)


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe in the TOML file ``path`` with ``overrides`` of the form ``section.key=value`` applied.

    Raises RecipeError with every problem in the file, each with its path.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(str(path), f"cannot be read ({reason})", "a recipe in TOML") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(str(path), f"not TOML: {error}", "a recipe in TOML") from None
    for override in overrides:
        _override(values, override)
    return parse_recipe(values, str(path))


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that ``values`` spell out. Raises RecipeError with every problem."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError.together(_problem(where, item) for item in error.errors()) from None


def asked(kind: type[S], **values: Any) -> S:
    """The section ``kind`` of ``values`` from the command line. Raises UsageError with every problem."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError.together(_problem("command line", item) for item in error.errors()) from None


def _problem(where: str, item: Any) -> RecipeError:
    """One pydantic error as a sentence."""
    place = ".".join(str(part) for part in item["loc"] if part not in _PREFIX or part == "name")
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    where = f"{where}: {place}" if place else where
    match kind:
        case "extra_forbidden":
            return RecipeError(where, "unknown key", "a key that the section has", _nearest(item["loc"]))
        case "missing":
            return RecipeError(where, "missing", "a value")
        case "value_error":
            found, _, need = message.partition("; need ")
            return RecipeError(where, found, need)
        case _:
            return RecipeError(where, f"found {item['input']!r}", _lower(message.removeprefix("Input should be ")))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _nearest(loc: tuple[Any, ...]) -> str:
    """The keys of the section that holds ``loc``, as a hint."""
    model: Any = Recipe
    for part in loc[:-1]:
        fields = getattr(model, "model_fields", {})
        found = next((f for n, f in fields.items() if part in (n, f.alias)), None)
        if found is None:
            return ""
        model = found.annotation
    fields = getattr(model, "model_fields", None)
    if not fields:
        return ""
    return f"Known keys: {', '.join(field.alias or name for name, field in fields.items())}."


def _override(values: dict[str, Any], override: str) -> None:
    """Sets one ``section.key=value``; the value is TOML where it parses as TOML, and text otherwise."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {override}", "not of the form key=value", "for example --set train.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}", f"{key} is not a section", "for example --set train.epochs=3")
    values[keys[-1]] = value
