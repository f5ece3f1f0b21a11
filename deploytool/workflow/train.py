"""The verb train: from a recipe to a trained model, and the trained network's own answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

from deploytool.base.arrays import Array, format_shape
from deploytool.base.errors import InputError, RecipeError, UnsupportedError
from deploytool.base.extras import require
from deploytool.base.json_text import canonical_json
from deploytool.base.machine import is_first_process
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.ir.decoder import as_values
from deploytool.ir.events import EventStream
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import save_recording
from deploytool.recipe import Recipe, TrainSection
from deploytool.recipe.nodes import output_count
from deploytool.recipe.task import ON_TORCH
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import DECODER, HISTORY, MIXTURES, WEIGHTS, other_weights
from deploytool.train.everywhere import before_torch_is_loaded, same_everywhere
from deploytool.train.footprint import too_large
from deploytool.train.methods.table import build, method_of
from deploytool.train.methods.table import train as run_training
from deploytool.train.task import Task, Trained, unobserved
from deploytool.train.tensorboard import event_file, require_tensorboard
from deploytool.workflow.outside import fingerprint, given_ann, outside
from deploytool.workflow.preflight import refuse_impossible
from deploytool.workflow.sources.answers import decoder_of, masks_of, require_kind, values_of
from deploytool.workflow.sources.classes import class_names as names_of
from deploytool.workflow.sources.classes import write_names
from deploytool.workflow.sources.prepared import streams_of
from deploytool.workflow.sources.recordings import with_source
from deploytool.workflow.sources.samples import SampleSource, dataset, obtain, silent
from deploytool.workflow.training_log import TrainingLog


def train(cache: StageCache, recipe: Recipe, tensorboard: Path | None = None) -> Artifact:
    """The trained model of ``recipe``; an interrupted training continues where it stopped.

    Its history also goes to an event file in the folder ``tensorboard``. If torchrun started several processes,
    the first continues after training and all others end.

    Raises RecipeError or FitError, before the first step, when a later stage could not do what the recipe asks;
    UsageError without PyTorch, for event files without TensorBoard, and as `same_everywhere`.
    """
    before_torch_is_loaded(recipe.train)
    if tensorboard is not None:
        require_tensorboard()
    obtain(recipe.data, cache.messages)
    refuse_impossible(recipe)
    ann = given_ann(recipe)
    request = _request(recipe, ann)
    if cache.store.find(request) is None:
        require("train", "torch")

    @same_everywhere(recipe.train)
    def compute(unfinished: Path) -> Trained:
        records = tensorboard is not None and is_first_process()
        recorded = event_file(tensorboard) if tensorboard and records else nullcontext(unobserved)
        with recorded as record, cache.messages.progress("train", "step") as tick:
            tick(0, 0, "reading the data")
            task = task_of(recipe, unfinished, ann, cache.messages.say)
            tick(0, 0, "first step, which compiles loops once")
            return run_training(TrainingLog(cache.messages.say, tick, record).watched(task))

    def write(trained: Trained, folder: Path) -> None:
        from deploytool.data.sets.table import class_names

        write_tensors(trained.weights, folder / WEIGHTS)
        (folder / HISTORY).write_text(canonical_json(trained.history), encoding="utf-8")
        if trained.decoder is not None:
            (folder / DECODER).write_text(canonical_json(as_values(trained.decoder)), encoding="utf-8")
        write_names(class_names(recipe.data), folder)
        if recipe.task.kind == "separate":
            _write_comparison(trained, recipe, folder)

    return cache.continued(request, compute, write, lambda: {"machine": _machine(recipe.train)})


def _machine(spec: TrainSection) -> Mapping[str, str | int]:
    from deploytool.train.machine import machine

    return machine(spec)


def _write_comparison(trained: Trained, recipe: Recipe, folder: Path) -> None:
    """The networks that a separation is compared with, and the list of its mixtures."""
    from deploytool.data.sets.speech import list_of

    for name, arrays in trained.others.items():
        write_tensors(arrays, folder / other_weights(name))
    (folder / MIXTURES).write_text(list_of(recipe.data), encoding="utf-8")


def _request(recipe: Recipe, ann: Mapping[str, Array] | None) -> Request:
    inputs = {"data": dataset(recipe.data, recipe.seed).fingerprint, **fingerprint(ann)}
    return Request("model", inputs, recipe.of_training)


def task_of(
    recipe: Recipe, folder: Path, ann: Mapping[str, Array] | None = None, say: Callable[[str], None] = silent
) -> Task:
    """The training that ``recipe`` asks for, with loaded samples. It begins with ``ann`` and is stored in ``folder``.

    ``say`` is told what of the data is not used.
    Raises RecipeError if the network does not match the samples, and as `outside`.
    """
    from deploytool.data.loader import label_of, loader, targets_of
    from deploytool.data.sets.table import load

    data = load(recipe.data, recipe.seed)
    for note in data.notes:
        say(note)
    require_kind(recipe.task, data)
    masks = masks_of(recipe, data) if recipe.task.kind == "separate" else None
    if masks is None:
        data.require(recipe.network.input)
    if masks is None and recipe.train.loss != "mse":
        data.require_outputs(output_count(recipe.network))
    values = values_of(recipe, data, data.train) if recipe.task.kind == "regress" else None
    if problems := list(too_large(recipe.network, recipe.train, recipe.data, len(data.train))):
        raise RecipeError.together(problems)
    wanted = label_of if values is None else targets_of(values.windows)
    return Task(
        recipe.network,
        recipe.constraints,
        recipe.train,
        recipe.seed,
        loader(data.train, recipe.data, recipe.train.augment, wanted),
        loader(data.validation, recipe.data, wanted=wanted),
        folder,
        outside=outside(recipe, ann),
        values=values,
        masks=masks,
    )


def trained_model(cache: StageCache, recipe: Recipe) -> Artifact | None:
    """The model that training ``recipe`` made, if it is in the store."""
    return cache.store.find(_request(recipe, given_ann(recipe)))


def run_trained(
    cache: StageCache,
    model: Artifact,
    recipe: Recipe,
    samples: SampleSource | None = None,
    time_steps: int | None = None,
) -> Artifact:
    """The recording of the trained network itself, clock-driven at its own number of time steps, or at ``time_steps``.

    It runs on the test samples of ``recipe``, or on ``samples`` of events. Raises as `same_everywhere`.
    """
    asked = samples or dataset(recipe.data, recipe.seed)
    inputs = {"model": model.digest, "data": asked.fingerprint}
    spec = recipe.train.model_copy(update={"time_steps": time_steps or recipe.train.time_steps})

    if recipe.task.kind == "separate":
        if samples is not None:
            raise UnsupportedError(model.name, "runs on other data", "the mixtures of its recipe", ON_TORCH)
        return _run_separation(cache, model, recipe, Request("recording", inputs, _decided(recipe, asked, spec)))

    @same_everywhere(recipe.train)
    def compute() -> Recording:
        from deploytool.data.loader import Wanted, label_of, loader, targets_of
        from deploytool.data.recordings.classes import Classes
        from deploytool.data.sets.table import load
        from deploytool.train.loop.evaluate import Reading, evaluate

        decoder = decoder_of(model)
        network = method_of(recipe.train).trained_network(recipe.network, recipe.train)
        with cache.messages.doing("reading the data", "torch"):
            known = Classes(names=names_of(cache.store, model))
            given = streams_of(cache, samples, recipe.network.input, known) if samples else None
            test = load(recipe.data, recipe.seed).test if given is None else given
        if samples and len(test) and test[0].shape != recipe.network.input:
            found = f"events on a map of {format_shape(test[0].shape)}"
            raise InputError(test[0].name, found, f"{format_shape(recipe.network.input)}, the input of {model.name}")
        first = test[0] if len(test) else None
        reading, wanted = None, cast("Wanted", label_of)
        if decoder is not None and isinstance(first, EventStream):
            reading = Reading(decoder, decoder.windows(first.duration_us))
            wanted = label_of if first.targets is None else targets_of(reading.windows)
        with cache.messages.progress("torch", "sample") as tick:
            recording = evaluate(
                build(network, recipe.constraints, spec),
                read_tensors(model.path / WEIGHTS),
                loader(test, recipe.data, wanted=wanted),
                tuple(sample.name for sample in test),
                tick,
                reading,
            )
        return with_source(cache.store, model, recording)

    return cache.stored(Request("recording", inputs, _decided(recipe, asked, spec)), compute, save_recording)


def _decided(recipe: Recipe, asked: SampleSource, spec: TrainSection) -> dict[str, Any]:
    """What decides the run of a network trained by ``recipe`` as ``spec`` says, on the samples ``asked``."""
    decided: dict[str, Any] = {"rung": "torch", "data": asked.says}
    if spec.time_steps != recipe.train.time_steps:
        decided["time_steps"] = spec.time_steps
    return decided


def _run_separation(cache: StageCache, model: Artifact, recipe: Recipe, request: Request) -> Artifact:
    """The voices that the network of ``model``, and those that it is compared with, separate on the test mixtures."""

    @same_everywhere(recipe.train)
    def compute() -> Recording:
        from deploytool.data.loader import loader
        from deploytool.data.sets.table import load
        from deploytool.train.methods.ptl.separation import separate
        from deploytool.train.methods.ptl.state import PLAIN, RELUS

        files = {"PTL": WEIGHTS, PLAIN: other_weights(PLAIN), RELUS: other_weights(RELUS)}
        with cache.messages.doing("reading the data", "torch"):
            data = load(recipe.data, recipe.seed)
            test = loader(data.test, recipe.data)
        network = method_of(recipe.train).trained_network(recipe.network, recipe.train)
        spec, masks = recipe.train, masks_of(recipe, data)
        names = [mixture.name for mixture in data.test]
        with cache.messages.progress("torch", "sample") as tick:
            task = Task(network, recipe.constraints, spec, recipe.seed, test, test, model.path, tick, masks=masks)
            models = {name: read_tensors(model.path / file) for name, file in files.items()}
            recording = separate(task, models, names, data.rate_hz)
        return with_source(cache.store, model, recording)

    return cache.stored(request, compute, save_recording)
