"""A trained network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.api.result import Result, counted, frame
from deploytool.api.session import cache_in
from deploytool.api.words import speaks_python
from deploytool.base.errors import UsageError
from deploytool.base.numbers import figure
from deploytool.base.tensors import read_tensors
from deploytool.recipe import Recipe, load_recipe, parse_recipe
from deploytool.recipe.toml import override
from deploytool.store.file_names import HISTORY, WEIGHTS
from deploytool.workflow.sources.networks import recipe_of
from deploytool.workflow.stored.scores import validation_score

if TYPE_CHECKING:
    import pandas

    from deploytool.base.arrays import Array


@dataclass(frozen=True, eq=False, repr=False)
class Model(Result):
    """A trained network: its recipe, its weights and the history of its training. `load` makes it a Graph."""

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of its training, without the sections for later stages."""
        recipe = recipe_of(self.cache.store, self.artifact)
        assert recipe is not None
        return recipe

    @cached_property
    def weights(self) -> Mapping[str, Array]:
        """{layer: latent weights, before quantisation}, float32."""
        return read_tensors(self.artifact.path / WEIGHTS)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch: losses, and accuracies in %."""
        rows: list[dict[str, Any]] = self.artifact.stored_json(HISTORY)
        return rows

    @property
    def validation_accuracy(self) -> float | None:
        """The accuracy of the chosen epoch on the validation samples, in %; None if it has none."""
        return validation_score(self.history).get("validation_accuracy_percent")

    @property
    def validation_r2(self) -> float | None:
        """The R2 of the values that the chosen epoch reads from the validation samples; None if it learnt classes."""
        return validation_score(self.history).get("validation_r2")

    @property
    def validation_si_sdr_db(self) -> float | None:
        """The SI-SDR of the chosen epoch on the validation mixtures, in dB; None if it separates no voices."""
        return validation_score(self.history).get("validation_si_sdr_db")

    def to_dataframe(self) -> pandas.DataFrame:
        """The history as a table of pandas."""
        return frame(self.history)

    def _repr_html_(self) -> str:
        from deploytool.report.views.tables import model_view

        return model_view(repr(self), self.history)

    def _facts(self) -> Iterable[str]:
        yield self.recipe.data.set
        yield self.recipe.train.method
        yield counted(len(self.history), "epoch")
        if self.validation_accuracy is not None:
            yield f"{figure(self.validation_accuracy)} % in validation"
        if self.validation_r2 is not None:
            yield f"R2 {figure(self.validation_r2)} in validation"
        if self.validation_si_sdr_db is not None:
            yield f"SI-SDR {figure(self.validation_si_sdr_db)} dB in validation"


@speaks_python
def train(
    recipe: str | Path | Recipe | Mapping[str, Any],
    set: Sequence[str] = (),  # noqa: A002
    *,
    store: str | Path | None = None,
) -> Model:
    """The network of ``recipe``, trained under the constraints of its chip. Needs torch.

    ``recipe`` is a file, a Recipe, or a dictionary of what such a file says. ``set`` changes keys of it, as in
    ``["train.epochs=3"]``. The result is kept in the folder ``store``, where an interrupted training continues, as
    `deploytool train` does, or for this process only.

    Raises RecipeError with every problem of the recipe, FitError if its network cannot fit its chip.
    """
    from deploytool.workflow.train import train as train_recipe

    cache = cache_in(store)
    return Model(train_recipe(cache, recipe_from(recipe, set)), cache)


def recipe_from(recipe: object, changes: Sequence[str] = ()) -> Recipe:
    """``recipe`` with ``changes`` of the form ``section.key=value``. Raises RecipeError with every problem."""
    if isinstance(changes, str):
        raise UsageError("set", f"found {changes!r}", f"a list of changes: set=[{changes!r}]")
    if isinstance(recipe, str | Path):
        return load_recipe(Path(recipe), changes)
    if isinstance(recipe, Recipe):
        if not changes:
            return recipe
        recipe = recipe.model_dump(by_alias=True, exclude_unset=True)
    if not isinstance(recipe, Mapping):
        raise UsageError("recipe", f"a {type(recipe).__name__}", "a file, a Recipe, or a dictionary")
    values = _copied(recipe)
    for text in changes:
        override(values, text)
    return parse_recipe(values, "recipe")


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``values`` whose dictionaries may be changed."""
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}
