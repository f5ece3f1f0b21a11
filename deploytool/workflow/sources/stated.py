"""What the manifest of an artifact states of the request that made it, read as the sections of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from deploytool.base.errors import ArtifactError, DeployError
from deploytool.base.typed import in_sentences
from deploytool.recipe import Recipe
from deploytool.recipe.section import Section
from deploytool.store.artifact import Artifact
from deploytool.store.manifest import FILE

S = TypeVar("S", bound=Section)

NEED: Final = "what deploytool wrote"


def stated(artifact: Artifact, key: str) -> Any:
    """What the manifest of ``artifact`` states as ``key`` of its recipe. Raises ArtifactError if that is not there."""
    found = artifact.manifest.recipe.get(key)
    if found is None:
        raise ArtifactError(_place(artifact, key), "missing", NEED)
    return found


def section(artifact: Artifact, key: str, kind: type[S]) -> S:
    """The section ``key`` of the recipe of ``artifact``. Raises ArtifactError, naming the key, if it is none."""
    return as_section(stated(artifact, key), _place(artifact, key), kind)


def whole(artifact: Artifact, also: Mapping[str, Any]) -> Recipe:
    """The recipe of ``artifact`` with ``also``. Raises ArtifactError as `section` does."""
    return as_section({**artifact.manifest.recipe, **also}, f"{artifact.path / FILE}: recipe", Recipe)


def as_section(values: Any, where: str, kind: type[S]) -> S:
    """The section ``kind`` that ``values`` describe. Raises ArtifactError, with ``where``, if they describe none."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise in_sentences(error, where, NEED) from None
    except DeployError as error:
        raise ArtifactError.of_problems(f"{where}: {says}" for says in error.problems) from None


def _place(artifact: Artifact, key: str) -> str:
    return f"{artifact.path / FILE}: recipe.{key}"
