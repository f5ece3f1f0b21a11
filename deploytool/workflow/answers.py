"""What a network answers: the classes or the values of its data, and the decoder of a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deploytool.base.errors import RecipeError
from deploytool.ir.decoder import Decoder, parse_decoder
from deploytool.ir.windows import targets_in
from deploytool.recipe import Recipe, TaskSection
from deploytool.store.artifact import Artifact
from deploytool.store.file_names import DECODER
from deploytool.train.task import Values

if TYPE_CHECKING:
    from deploytool.data.sets.table import Promise


def require_kind(task: TaskSection, data: Promise) -> None:
    """Raises RecipeError unless ``data`` have the classes or the values that ``task`` is about."""
    if (task.kind == "regress") != bool(data.values):
        kind, has = ("regress", "values") if data.values else ("classify", "classes")
        need = f"{kind!r} for the set {data.name}, which has {has}"
        raise RecipeError("task.kind", f"found {task.kind!r}", need, ways=({"task.kind": kind},))


def values_of(recipe: Recipe, data: Promise, training: Sequence[Any]) -> Values:
    """The values of ``data`` that ``recipe`` asks for, normalised by the targets of the ``training`` samples.

    Raises RecipeError for windows that do not divide a sample or do not consist of whole time steps, InputError for
    targets that windows do not divide.
    """
    task, steps = recipe.task, recipe.train.time_steps
    duration_us, window_us = training[0].duration_us, task.window_us
    if window_us is not None and duration_us % window_us:
        need = f"a length that divides a sample of {duration_us / 1000:g} ms"
        raise RecipeError("task.window_ms", f"found {task.window_ms:g}", need)
    windows = duration_us // (window_us or duration_us)
    if steps % windows:
        need = f"a multiple of {windows}, the windows of a sample"
        raise RecipeError("train.time_steps", f"found {steps}", need)
    targets = np.concatenate([targets_in(stream, windows) for stream in training]).astype(np.float64)
    spread = targets.std(axis=0)
    spread[spread == 0] = 1.0
    return Values(data.values, data.unit, task.decode, windows, window_us, targets.mean(axis=0), spread)


def decoder_of(model: Artifact) -> Decoder | None:
    """The decoder of a trained ``model``, None if it answers in classes."""
    return parse_decoder(model.read_json(DECODER), f"{model.name}: {DECODER}")
