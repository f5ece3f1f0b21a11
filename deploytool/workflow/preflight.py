"""Checks before the first step of training: what later stages cannot do with any weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from deploytool.base.errors import FitError, RecipeError
from deploytool.base.machine import launched_processes
from deploytool.chip.chips import chip_named
from deploytool.recipe import BatchNormLayer, DvsSection, Recipe
from deploytool.train.methods.table import method_of
from deploytool.workflow.map import extras_of
from deploytool.workflow.networks import recipe_geometry

if TYPE_CHECKING:
    from deploytool.map.compile import CheckReport


def refuse_impossible(recipe: Recipe) -> None:
    """Raises RecipeError for what the training method cannot do and for a bias that no clock adds, FitError for a
    network that cannot fit its chip.

    Without a chip, on the simulator alone, any network fits.
    """
    if problems := list(untrainable(recipe)):
        raise RecipeError.together(problems)
    if not recipe.run.on_chip:
        return
    from deploytool.map.compile import check as check_fit

    graph = recipe_geometry(recipe)
    found = check_fit(graph, chip_named(recipe.constraints.chip), recipe.map.pins, recipe.map.split)
    if not found.fits:
        raise FitError.together([*(issue.error(FitError) for issue in found.issues), *_ways(found)])
    require_configurable(recipe)


def require_configurable(recipe: Recipe) -> None:
    """Raises as `map` would because of [map.dvs] and [map.readout] of ``recipe``, whose network fits its chip.

    Trained weights do not matter: the network is mapped with equal weights.
    """
    if recipe.map.readout is None and recipe.map.dvs == DvsSection():
        return
    from deploytool.convert.model import blank_weights, to_graph
    from deploytool.map.compile import compile_graph
    from deploytool.map.emit import configuration

    chip = chip_named(recipe.constraints.chip)
    blank = blank_weights(recipe.network)
    below = recipe.constraints.threshold / 2
    weights = {name: np.full_like(array, below) if array.ndim > 1 else array for name, array in blank.items()}
    limits = recipe.constraints.model_copy(update={"fan_in": None, "fan_in_epochs": 1})
    graph = to_graph(weights, recipe.network, limits)
    spec = recipe.map
    program = compile_graph(graph, chip, pins=spec.pins, split=spec.split, extras=extras_of(spec)).program
    configuration(program, chip, recipe.map.dvs, recipe.map.readout)


def untrainable(recipe: Recipe) -> Iterator[RecipeError]:
    """Everything in ``recipe`` that its training method cannot do, a bias without a clock, balancers in time steps."""
    method = method_of(recipe.train)
    yield from method.restrictions(recipe.network, recipe.constraints, recipe.train)
    if (count := launched_processes()) > 1 and not method.several_processes:
        found = f"found {recipe.train.method!r} in {count} processes of torchrun"
        yield RecipeError("train.method", found, "one process")
    if recipe.run.on and recipe.map.slow_clock_hz is None:
        yield from _bias(recipe)
    if recipe.map.balance and "quantised" in recipe.run.on:
        found = "found 'quantised', whose time steps do not model the congestion balancers of map.balance"
        yield RecipeError("run.on", found, "['simulator', 'emulator'], or no map.balance")


def _ways(found: CheckReport) -> list[FitError]:
    """The changes that would make the network fit, in one sentence; empty if none was found."""
    ways = [way.says for way in found.suggestions]
    return [FitError("network.layers", f"do not fit {found.chip}", " | ".join(ways))] if ways else []


def _bias(recipe: Recipe) -> Iterator[RecipeError]:
    """One error if batch norms would leave a bias in a network without a slow clock."""
    trained = method_of(recipe.train).trained_network(recipe.network, recipe.train)
    if norms := [name for name, layer in trained.named_layers() if isinstance(layer, BatchNormLayer)]:
        yield RecipeError(
            "network.layers",
            f"{norms[0]!r} is a batchnorm layer, which leaves a bias when it is folded into the weights",
            "no bias, because the chip adds one only at ticks of its slow clock, which events do not drive",
            "Add [train.base], which trains with batch norm and then removes the bias; or give the frequency of that "
            "clock, map.slow_clock_hz; or remove the layer; or set run.on = [] to train only.",
        )
