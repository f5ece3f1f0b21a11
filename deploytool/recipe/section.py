"""The base of every section of a recipe: frozen, every key known, every value checked."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=Section)

Size: TypeAlias = Annotated[int, Field(ge=1, le=4096)]
"""Features, rows or columns of a map."""
