"""The base of every section of a recipe: frozen, every key known, every value checked."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deploytool.base.errors import DeployError

NUMBER_MAX: Final = 1e30
"""The largest number in a recipe; torch computes in float32, whose limit is 3.4e38."""


class ConflictError(ValueError):
    """Problems of values that do not go together, each an error whose place begins with a key of the section."""

    def __init__(self, problems: Iterable[DeployError]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(map(str, self.problems)))


class Section(BaseModel):
    """A part of a recipe: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @field_validator("*")
    @classmethod
    def _in_float32(cls, value: Any) -> Any:
        if isinstance(value, int | float) and NUMBER_MAX < abs(value) < math.inf:
            raise ValueError(
                f"found {reprlib.repr(value)}; need a number that float32 can hold, at most {NUMBER_MAX:g}"
            )
        return value

    def conflicts(self) -> Iterator[DeployError]:
        """Values that are right alone and do not go together; where each is begins with a key of this section."""
        yield from ()

    @model_validator(mode="after")
    def _without_conflicts(self) -> Self:
        if found := list(self.conflicts()):
            raise ConflictError(found)
        return self

    def without_defaults(self, values: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
        """``values`` of this section, without those of ``keys`` that have their default.

        ``keys`` are those that recipes did not always have. They are not stated at their default, so that the keys of
        what is already stored stay the same.
        """
        defaults = {key: type(self).model_fields[key].default for key in keys}
        unchanged = {key for key, default in defaults.items() if getattr(self, key) == default}
        return {name: value for name, value in values.items() if name not in unchanged}


S = TypeVar("S", bound=Section)

Size: TypeAlias = Annotated[int, Field(ge=1, le=4096)]
"""Features, rows or columns of a map."""

Offset: TypeAlias = Annotated[int, Field(ge=0, le=4096)]
"""A row or a column of a map."""
