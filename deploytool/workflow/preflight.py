"""What is refused before the first step of training: what a later stage could not do, whatever is learnt."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deploytool.base.errors import FitError, RecipeError
from deploytool.chip.chips import chip_named
from deploytool.recipe import BatchNormLayer, Recipe
from deploytool.workflow.networks import recipe_geometry

if TYPE_CHECKING:
    from deploytool.map.compile import CheckReport


def refuse_impossible(recipe: Recipe) -> None:
    """Raises RecipeError for a bias that no event adds, FitError for a network that cannot fit its chip.

    Without a chip, on the simulator alone, any network fits.
    """
    if recipe.train.method == "ptl" and (count := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise RecipeError("train.method", f"found 'ptl' in {count} processes of torchrun", "one process")
    if not recipe.run.on:
        return
    _refuse_bias(recipe)
    if not recipe.run.on_chip:
        return
    from deploytool.map.compile import check as check_fit

    graph = recipe_geometry(recipe)
    found = check_fit(graph, chip_named(recipe.constraints.chip), recipe.map.pins, recipe.map.split)
    if not found.fits:
        raise FitError.together([*(issue.error() for issue in found.issues), *_ways(found)])


def _ways(found: CheckReport) -> list[FitError]:
    """What would make the network fit, in one sentence; none where nothing was found."""
    ways = [way.says for way in found.suggestions]
    return [FitError("network.layers", f"do not fit {found.chip}", " | ".join(ways))] if ways else []


def _refuse_bias(recipe: Recipe) -> None:
    """Raises RecipeError for batch norms whose bias would be left in a network that events are to drive."""
    norms = [name for name, layer in recipe.network.named_layers() if isinstance(layer, BatchNormLayer)]
    if norms and recipe.train.base is None and recipe.train.method != "ptl":
        raise RecipeError(
            "network.layers",
            f"{norms[0]!r} is a batchnorm layer, which folded leaves a bias, and nothing adds it",
            "none in the end: on the chip a bias is a leak on the slow clock, which events do not run",
            "Add [train.base], which trains with batch norms and then removes their bias, or leave them out; "
            "or only train, with run.on = [].",
        )
