"""The verb pipeline: the whole chain, from a recipe to its report.

Every step asks one question of the store (`StageCache.stored`); what is there already is not made again."""

from __future__ import annotations

from pathlib import Path

from deploytool.recipe import Recipe
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert_model
from deploytool.workflow.map import FREE, map_graph
from deploytool.workflow.report import report
from deploytool.workflow.run import run
from deploytool.workflow.samples import calibration, dataset
from deploytool.workflow.train import run_trained, train
from deploytool.workflow.validate import validate


def pipeline(cache: StageCache, recipe: Recipe, tensorboard: Path | None = None) -> tuple[Artifact, Artifact | None]:
    """The (verdict, report) of the whole chain: train, convert, map, run on every rung, validate, report.

    With nothing in ``run.on`` the chain ends with the verdict on the trained network: a report shows a program.
    """
    model = train(cache, recipe, tensorboard)
    recordings = [run_trained(cache, model, recipe)]
    if recipe.run.on:
        recordings += _deployed(cache, recipe, model)
    verdict = validate(cache, [recording.name for recording in recordings], recipe.validation)
    return verdict, report(cache, verdict.name, recipe.report.samples, recipe.name) if recipe.run.on else None


def _deployed(cache: StageCache, recipe: Recipe, model: Artifact) -> list[Artifact]:
    """The recordings of ``model`` on everything that the recipe runs it on."""
    graph = convert_model(cache, model)
    chosen_on = (
        calibration(recipe.data, recipe.seed, recipe.map.calibration_samples)
        if recipe.map.quantise == "calibrated"
        else None
    )
    program = map_graph(cache, graph.name, recipe.map, calibration=chosen_on)
    recordings = []
    for rung in recipe.run.on:
        mapped = map_graph(cache, graph.name, FREE) if rung == "simulator" else program
        samples = dataset(recipe.data, recipe.seed)
        time_steps = recipe.train.time_steps if rung == "quantised" else None
        recordings.append(run(cache, mapped.name, rung, samples, time_steps, None, recipe.run.rasters))
    return recordings
