"""The verb train: from a recipe to a trained model, and the trained network's own answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from deploytool.base.arrays import Array
from deploytool.base.json_text import canonical_json
from deploytool.base.machine import is_first_process
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import save_recording
from deploytool.recipe import Recipe
from deploytool.recipe.nodes import output_count
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import HISTORY, WEIGHTS
from deploytool.train.methods.table import build, method_of
from deploytool.train.methods.table import train as run_training
from deploytool.train.task import Task, Trained, unobserved
from deploytool.train.tensorboard import event_file, require_tensorboard
from deploytool.workflow.outside import fingerprint, given_ann, outside
from deploytool.workflow.preflight import refuse_impossible
from deploytool.workflow.recordings import with_source
from deploytool.workflow.samples import dataset


def train(cache: StageCache, recipe: Recipe, tensorboard: Path | None = None) -> Artifact:
    """The trained model of ``recipe``; an interrupted training continues where it stopped.

    Its history also goes to an event file in the folder ``tensorboard``. If torchrun started several processes,
    the first continues after training and all others end.

    Raises RecipeError or FitError, before the first step, when a later stage could not do what the recipe asks;
    UsageError for event files without TensorBoard.
    """
    if tensorboard is not None:
        require_tensorboard()
    refuse_impossible(recipe)
    decided = recipe.section("seed", "data", "network", "constraints", "train")
    ann = given_ann(recipe)
    inputs = {"data": dataset(recipe.data, recipe.seed).fingerprint, **fingerprint(ann)}

    def compute() -> Trained:
        task = task_of(recipe, unfinished, ann)
        watched = event_file(tensorboard) if tensorboard is not None and is_first_process() else nullcontext(unobserved)
        with watched as observe, cache.messages.progress("train", "step") as tick:
            return run_training(replace(task, tick=tick, observe=observe))

    def write(trained: Trained, folder: Path) -> None:
        write_tensors(trained.weights, folder / WEIGHTS)
        (folder / HISTORY).write_text(canonical_json(trained.history), encoding="utf-8")

    request = Request("model", inputs, decided)
    with cache.unfinished(request) as unfinished:
        return cache.stored(request, compute, write)


def task_of(recipe: Recipe, folder: Path, ann: Mapping[str, Array] | None = None) -> Task:
    """The training that ``recipe`` asks for, with loaded samples. It begins with ``ann`` and is stored in ``folder``.

    Raises RecipeError if the network does not match the samples, and as `outside`.
    """
    from deploytool.data.loader import loader
    from deploytool.data.sets.table import load

    data = load(recipe.data, recipe.seed)
    data.require(recipe.network.input)
    if recipe.train.loss != "mse":
        data.require_outputs(output_count(recipe.network))
    return Task(
        recipe.network,
        recipe.constraints,
        recipe.train,
        recipe.seed,
        loader(data.train, recipe.data, recipe.train.augment),
        loader(data.validation, recipe.data),
        folder,
        outside=outside(recipe, ann),
    )


def run_trained(cache: StageCache, model: Artifact, recipe: Recipe) -> Artifact:
    """The recording of the trained network itself, clock-driven at its own number of time steps."""
    samples = dataset(recipe.data, recipe.seed)
    inputs = {"model": model.digest, "data": samples.fingerprint}

    def compute() -> Recording:
        from deploytool.data.loader import loader
        from deploytool.data.sets.table import load
        from deploytool.train.loop.evaluate import evaluate

        network = method_of(recipe.train).trained_network(recipe.network, recipe.train)
        test = load(recipe.data, recipe.seed).test
        with cache.messages.progress("torch", "sample") as tick:
            recording = evaluate(
                build(network, recipe.constraints, recipe.train),
                read_tensors(model.path / WEIGHTS),
                loader(test, recipe.data),
                tuple(sample.name for sample in test),
                tick,
            )
        return with_source(cache.store, model, recording)

    decided = {"rung": "torch", "data": samples.says}
    return cache.stored(Request("recording", inputs, decided), compute, save_recording)
