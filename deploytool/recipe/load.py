"""The whole recipe, and its reader, which reports all errors at once, each with its path in the file."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from deploytool.base.errors import RecipeError, UsageError
from deploytool.recipe.constraints import ConstraintsSection
from deploytool.recipe.data import DataSection
from deploytool.recipe.network import LAYER_TYPES, NetworkSection
from deploytool.recipe.section import S, Section
from deploytool.recipe.stages import MapSection, ReportSection, RunSection, ValidateSection
from deploytool.recipe.toml import override, read_toml
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
    train: TrainSection = Field(description="The training method and its settings.")
    map: MapSection = Field(MapSection(), description="How the network is mapped to its target.")
    run: RunSection = Field(RunSection(), description="The engines that run the program.")
    validation: ValidateSection = Field(
        ValidateSection(), alias="validate", description="The requirements for a positive verdict."
    )
    report: ReportSection = Field(ReportSection(), description="The contents of the report.")

    @model_validator(mode="after")
    def _ends_in_spikes(self) -> Recipe:
        if self.run.on and not self.network.ends_in_spikes:
            found = "network.layers: the last layer is not a spike layer"
            raise ValueError(
                f"{found}; need a spike layer, because only spikes leave the chip, or run.on = [] to train only"
            )
        return self

    @model_validator(mode="after")
    def _codes_events(self) -> Recipe:
        if self.run.on and self.data.coding == "direct":
            found = "data.coding: found 'direct'"
            raise ValueError(
                f"{found}; need count or rate, because the program runs on events, or run.on = [] to train only"
            )
        return self

    @model_validator(mode="after")
    def _chip_is_used(self) -> Recipe:
        emulated = self.train.method == "ptl" and self.train.ptl.forward == "emulator"
        clock = MapSection(slow_clock_hz=self.map.slow_clock_hz)
        if self.run.on and not self.run.on_chip and not emulated and self.map != clock:
            found = f"map: given, but run.on = {list(self.run.on)} needs no chip"
            raise ValueError(f"{found}; need quantised or emulator in run.on, or nothing but slow_clock_hz in [map]")
        return self

    @model_validator(mode="after")
    def _augmentation_leaves_events(self) -> Recipe:
        side = min(self.network.input[1:])
        for key in ("shift", "cutout"):
            if side > 1 and (found := getattr(self.train.augment, key)) >= side:
                raise ValueError(f"train.augment.{key}: found {found}; need less than {side}, the side of the map")
        return self

    def section(self, *names: str) -> dict[str, Any]:
        """The named sections as plain JSON values."""
        return self.model_dump(mode="json", include=set(names), by_alias=True)


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe in the TOML file ``path`` with ``overrides`` of the form ``section.key=value`` applied.

    Raises RecipeError with every problem in the file, each with its path.
    """
    values = read_toml(path)
    for text in overrides:
        override(values, text)
    return parse_recipe(values, str(path))


class _Network(Section):
    """The sections of a recipe that say what a network is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    network: NetworkSection = Field(description="Its layers.")
    constraints: ConstraintsSection = Field(ConstraintsSection(), description="Its neurons and the width of weights.")


def load_network(path: Path) -> tuple[NetworkSection, ConstraintsSection]:
    """[network] and [constraints] of the TOML file ``path``, which needs no other section. Raises as `load_recipe`.

    Other sections of a recipe are ignored, but an unknown key is an error there too.
    """
    values = read_toml(path)
    known = [field.alias or name for name, field in Recipe.model_fields.items()]
    if unknown := [key for key in values if key not in known]:
        need, todo = "a key of a recipe", f"Known keys: {', '.join(known)}."
        raise RecipeError.together(RecipeError(f"{path}: {key}", "unknown key", need, todo) for key in unknown)
    found = _parsed(_Network, values, str(path))
    return found.network, found.constraints


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that ``values`` describe. Raises RecipeError with every problem."""
    return _parsed(Recipe, values, where)


def _parsed(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    try:
        return kind.model_validate(values)
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
    place = ".".join(str(part) for part in item["loc"] if part not in LAYER_TYPES or part == "name")
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    where = f"{where}: {place}" if place else where
    match kind:
        case "extra_forbidden":
            return RecipeError(where, "unknown key", "a key of the section", _nearest(item["loc"]))
        case "missing":
            return RecipeError(where, "missing", "a value")
        case "model_type":
            return RecipeError(where, f"found {_short(item['input'])}", f"a section, [{place}]")
        case "value_error":
            found, _, need = message.partition("; need ")
            return RecipeError(where, found, need)
        case _:
            return RecipeError(
                where, f"found {_short(item['input'])}", _lower(message.removeprefix("Input should be "))
            )


def _short(value: object) -> str:
    """``value`` as Python writes it, shortened if it is long."""
    text = reprlib.repr(value) if isinstance(value, int) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


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
