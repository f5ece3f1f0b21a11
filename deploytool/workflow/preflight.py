"""Checks before the first step of training: what later stages cannot do with any weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from deploytool.base.errors import DeployError, FitError, RecipeError
from deploytool.base.machine import launched_processes
from deploytool.base.progress import Tell, silent
from deploytool.chip.chips import chip_named
from deploytool.recipe import (
    BatchNormLayer,
    ConstraintsSection,
    ConvLayer,
    DataSection,
    DvsSection,
    LinearLayer,
    MapSection,
    NetworkSection,
    Recipe,
    Rule,
    RunSection,
    TaskSection,
    TrainSection,
    load_recipe,
)
from deploytool.recipe.nodes import output_count
from deploytool.recipe.recipe import problems_between
from deploytool.train.everywhere import problems as problems_everywhere
from deploytool.train.footprint import too_large
from deploytool.train.methods.table import method_of
from deploytool.workflow.map import extras_of
from deploytool.workflow.sources.answers import problems_of_masks, require_kind
from deploytool.workflow.sources.networks import recipe_geometry

if TYPE_CHECKING:
    from deploytool.map.compile import CheckReport


def refuse_impossible(recipe: Recipe) -> None:
    """Raises RecipeError for what the training method cannot do and for a bias that no clock adds, FitError for a
    network that cannot fit its chip.

    Without a chip, on the simulator alone, any network fits.
    """
    if problems := list(untrainable(recipe)):
        kinds = {type(problem) for problem in problems}
        raise (kinds.pop() if len(kinds) == 1 else RecipeError).together(problems)
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


def untrainable(recipe: Recipe) -> Iterator[DeployError]:
    """What training ``recipe`` would refuse, as far as that is known before reading samples."""
    yield from problems_between(TRAINABLE, dict(recipe))


def load_trainable(path: Path, overrides: Sequence[str] = (), tell: Tell = silent) -> Recipe:
    """The recipe in ``path`` with ``overrides``, which training accepts and whose data are there, or to be downloaded.

    Raises as `load_recipe`, with all problems.
    """
    return load_recipe(path, overrides, (*TRAINABLE, Rule(("data",), _data_there)), tell)


def _ways(found: CheckReport) -> list[FitError]:
    """The changes that would make the network fit, in one sentence; empty if none was found."""
    ways = [way.says for way in found.suggestions]
    return [FitError("network.layers", f"do not fit {found.chip}", " | ".join(ways))] if ways else []


def _data_keys(data: DataSection) -> Iterator[RecipeError]:
    from deploytool.data.sets.table import key_problems

    yield from key_problems(data)


def _data_there(data: DataSection) -> Iterator[DeployError]:
    from deploytool.data.sets.table import key_problems, require_there

    if not data.download and not list(key_problems(data)):
        require_there(data)
    yield from ()


def _shapes(network: NetworkSection) -> Iterator[RecipeError]:
    output_count(network)
    yield from ()


def _data_answers(data: DataSection, task: TaskSection) -> Iterator[RecipeError]:
    from deploytool.data.sets.table import key_problems, promised

    if not list(key_problems(data)):
        require_kind(task, promised(data))
    yield from ()


def _data_fits(
    data: DataSection, network: NetworkSection, train: TrainSection, task: TaskSection
) -> Iterator[RecipeError]:
    """What is wrong between the samples and the two ends of the network."""
    from deploytool.data.sets.table import key_problems, promised

    if list(key_problems(data)):
        return
    promise = promised(data)
    if promise.kind == "separate":
        if task.kind == "separate":
            yield from problems_of_masks(task, promise, network)
        return
    weighted = [at for at, layer in enumerate(network.layers) if isinstance(layer, ConvLayer | LinearLayer)]
    if train.loss != "mse":
        try:
            promise.require_outputs(output_count(network), f"network.layers.{weighted[-1]}.out" if weighted else "")
        except RecipeError as error:
            yield error
    promise.require(network.input)


def _method(network: NetworkSection, constraints: ConstraintsSection, train: TrainSection) -> Iterator[RecipeError]:
    """What the training method cannot do."""
    method = method_of(train)
    yield from method.restrictions(network, constraints, train)
    if (count := launched_processes()) > 1 and not method.several_processes:
        yield RecipeError("train.method", f"found {train.method!r} in {count} processes of torchrun", "one process")


def _deployable(run: RunSection, train: TrainSection) -> Iterator[DeployError]:
    """Why what is trained cannot run on events, if it must."""
    if run.on and (error := method_of(train).undeployable(train)) is not None:
        yield from (type(error).of_problems([problem]) for problem in error.problems)


def _balance(run: RunSection, spec: MapSection) -> Iterator[RecipeError]:
    if spec.balance and "quantised" in run.on:
        found = "found 'quantised', whose time steps do not model the congestion balancers of map.balance"
        need, others = "['simulator', 'emulator'], or no map.balance", [rung for rung in run.on if rung != "quantised"]
        yield RecipeError("run.on", found, need, ways=({"run.on": others},))


def _bias(run: RunSection, spec: MapSection, network: NetworkSection, train: TrainSection) -> Iterator[RecipeError]:
    """One error if batch norms would leave a bias in a network without a slow clock."""
    if not run.on or spec.slow_clock_hz is not None:
        return
    trained = method_of(train).trained_network(network, train)
    if norms := [name for name, layer in trained.named_layers() if isinstance(layer, BatchNormLayer)]:
        yield RecipeError(
            "network.layers",
            f"{norms[0]!r} is a batchnorm layer, which leaves a bias when it is folded into the weights",
            "no bias, because the chip adds one only at ticks of its slow clock, which events do not drive",
            "Add [train.base], which trains with batch norm and then removes the bias; or give the frequency of that "
            "clock, map.slow_clock_hz; or remove the layer; or set run.on = [] to train only.",
            ways=({"network.norm": False},),
        )


def _memory(network: NetworkSection, train: TrainSection, data: DataSection) -> Iterator[RecipeError]:
    """What takes more memory than is allowed, already for one sample."""
    yield from too_large(network, train, data)


TRAINABLE: Final = (
    Rule(("data",), _data_keys),
    Rule(("network",), _shapes),
    Rule(("data", "network", "train", "task"), _data_fits),
    Rule(("data", "task"), _data_answers),
    Rule(("network", "train", "data"), _memory),
    Rule(("network", "constraints", "train"), _method),
    Rule(("train",), problems_everywhere),
    Rule(("run", "train"), _deployable),
    Rule(("run", "map"), _balance),
    Rule(("run", "map", "network", "train"), _bias),
)
"""What training needs from a recipe, in addition to what makes it one."""
