"""The verb pipeline: the whole chain, from a recipe to its report.

Every step asks one question of the store (`StageCache.stored`); what is already stored is not made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploytool.ir.program import SIMULATOR
from deploytool.recipe import MapSection, Recipe
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert_model
from deploytool.workflow.map import map_graph
from deploytool.workflow.report import report
from deploytool.workflow.run import run
from deploytool.workflow.sources.samples import calibration, dataset
from deploytool.workflow.train import run_trained, train
from deploytool.workflow.validate import validate

if TYPE_CHECKING:
    from deploytool.run.jobs.job import Job


def pipeline(cache: StageCache, recipe: Recipe, tensorboard: Path | None = None) -> tuple[Artifact, Artifact | None]:
    """The (verdict, report) of the whole chain: train, convert, map, run on every rung, validate, report.

    With nothing in ``run.on`` the chain ends with the verdict on the trained network: a report shows a program, or
    voices that are separated.
    """
    model = train(cache, recipe, tensorboard)
    recordings = [run_trained(cache, model, recipe)]
    if recipe.run.on:
        recordings += _deployed(cache, recipe, model)
    shown = recipe.run.on or recipe.task.kind == "separate"
    verdict = validate(cache, [recording.name for recording in recordings], recipe.validation)
    return verdict, report(cache, verdict.name, recipe.report.samples, recipe.name) if shown else None


def _deployed(cache: StageCache, recipe: Recipe, model: Artifact) -> list[Artifact]:
    """The recordings of ``model`` on everything that the recipe runs it on."""
    from deploytool.run.targets.table import TARGETS

    graph = convert_model(cache, model)
    chips = {name: recipe.constraints.chip if TARGETS[name].mapped else SIMULATOR for name in recipe.run.on}
    programs = {chip: _mapped(cache, recipe, graph, chip) for chip in dict.fromkeys(chips.values())}
    samples = dataset(recipe.data, recipe.seed)
    return [run(cache, programs[chip].name, _job(recipe, name), samples) for name, chip in chips.items()]


def _job(recipe: Recipe, name: str) -> Job:
    """The job that runs the samples of ``recipe`` on target ``name``, with the time steps of training if it has any."""
    from deploytool.ir.target import Watch
    from deploytool.run.jobs.job import Job
    from deploytool.run.targets.table import TARGETS

    watch = Watch(rasters=recipe.run.rasters)
    if not TARGETS[name].time_steps:
        return Job(name, watch=watch)
    return Job(name, recipe.train.time_steps, watch, bins=recipe.data.bins)


def _mapped(cache: StageCache, recipe: Recipe, graph: Artifact, target: str) -> Artifact:
    """The program of ``graph`` for ``target``: the simulator, or the chip, as [map] says."""
    if target == SIMULATOR:
        return map_graph(cache, graph, target, MapSection(slow_clock_hz=recipe.map.slow_clock_hz))
    chosen_on = None
    if recipe.map.quantise == "calibrated":
        chosen_on = calibration(recipe.data, recipe.seed, recipe.map.calibration_samples)
    return map_graph(cache, graph, target, recipe.map, calibration=chosen_on)
