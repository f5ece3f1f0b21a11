"""The verb train: a recipe to a trained model, and the trained network's own answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploytool.base.digest import canonical_json
from deploytool.base.machine import threads
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.ir.recording import Recording, save_recording
from deploytool.recipe import Recipe
from deploytool.recipe.nodes import output_count, trained_network
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.store.file_names import HISTORY, WEIGHTS
from deploytool.workflow import tandem
from deploytool.workflow.preflight import refuse_impossible
from deploytool.workflow.samples import dataset

if TYPE_CHECKING:
    from deploytool.train.loop.descent import Trained


def train(cache: StageCache, recipe: Recipe, tensorboard: Path | None = None) -> Artifact:
    """The trained model of ``recipe``; an interrupted training goes on where it was.

    Its history also goes to event files in the folder ``tensorboard``. Of processes that torchrun started, the first
    goes on from here and all others end.

    Raises RecipeError or FitError, before the first step, when a later stage could not do what the recipe asks.
    """
    refuse_impossible(recipe)
    decided = recipe.section("seed", "data", "network", "constraints", "train")
    ann = tandem.given_ann(recipe)
    inputs = {"data": dataset(recipe.data, recipe.seed).fingerprint, **tandem.fingerprint(ann)}

    def compute() -> Trained:
        from deploytool.data.loader import loader
        from deploytool.data.sets.table import load
        from deploytool.train.loop.descent import unobserved
        from deploytool.train.methods.table import train as run_training
        from deploytool.train.tensorboard import EventFile

        data = load(recipe.data, recipe.seed)
        data.require(recipe.network.input)
        if recipe.train.loss != "mse":
            data.require_outputs(output_count(recipe.network))
        training = loader(data.train, recipe.data, recipe.train.augment)
        validation = loader(data.validation, recipe.data)
        observe = EventFile(tensorboard).add if tensorboard and cache.leads else unobserved
        if recipe.train.method == "ptl":
            run_training = tandem.method(recipe, ann, threads())
        with cache.progress("train", "step") as tick:
            return run_training(
                recipe.network,
                recipe.constraints,
                recipe.train,
                training,
                validation,
                recipe.seed,
                unfinished,
                tick,
                observe=observe,
            )

    def write(trained: Trained, folder: Path) -> None:
        write_tensors(trained.weights, folder / WEIGHTS)
        (folder / HISTORY).write_text(canonical_json(trained.history), encoding="utf-8")

    with cache.unfinished("model", inputs, decided) as unfinished:
        return cache.stored("model", inputs, decided, compute, write)


def run_trained(cache: StageCache, model: Artifact, recipe: Recipe) -> Artifact:
    """The recording of the trained network itself, clock-driven at its own number of time steps."""
    samples = dataset(recipe.data, recipe.seed)
    inputs = {"model": model.digest, "data": samples.fingerprint}

    def compute() -> Recording:
        from deploytool.data.loader import loader
        from deploytool.data.sets.table import load
        from deploytool.train.loop.evaluate import evaluate

        test = load(recipe.data, recipe.seed).test
        with cache.progress("torch", "sample") as tick:
            return evaluate(
                read_tensors(model.path / WEIGHTS),
                trained_network(recipe.network, recipe.train),
                recipe.constraints,
                recipe.train,
                loader(test, recipe.data),
                tuple(sample.name for sample in test),
                tick,
            )

    decided = {"rung": "torch", "data": samples.says}
    return cache.stored("recording", inputs, decided, compute, save_recording)
