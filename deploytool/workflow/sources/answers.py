"""What a network answers: the classes, the values or the voices of its data, and the decoder of a trained model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.errors import RecipeError
from deploytool.ir.decoder import Decoder, parse_decoder
from deploytool.ir.speech import SPEAKERS
from deploytool.ir.windows import targets_in
from deploytool.recipe import NetworkSection, Recipe, TaskSection
from deploytool.recipe.nodes import output_count
from deploytool.store.artifact import Artifact
from deploytool.store.file_names import DECODER
from deploytool.train.task import Masks, Values

if TYPE_CHECKING:
    from deploytool.data.sets.table import Promise


HAS: Final = {"classify": "classes", "regress": "values", "separate": "mixtures of voices"}
"""{kind of task: what its samples have}."""


def require_kind(task: TaskSection, data: Promise) -> None:
    """Raises RecipeError unless ``data`` have the classes, the values or the voices that ``task`` is about."""
    if task.kind != data.kind:
        need = f"{data.kind!r} for the set {data.name}, which has {HAS[data.kind]}"
        raise RecipeError("task.kind", f"found {task.kind!r}", need, ways=({"task.kind": data.kind},))


def masks_of(recipe: Recipe, data: Promise) -> Masks:
    """The masks that ``recipe`` asks for, of mixtures as ``data`` has them.

    Raises RecipeError unless the network takes the code of a mixture and gives a mask for each speaker.
    """
    from deploytool.data.sets.speech import VOICES, says_of

    if problems := list(problems_of_masks(recipe.task, data, recipe.network)):
        raise RecipeError.together(problems)
    length = recipe.task.filter_length(data.rate_hz)
    return Masks(recipe.network.input[0], length, says_of(recipe.data), recipe.data.set == VOICES)


def problems_of_masks(task: TaskSection, data: Promise, network: NetworkSection) -> Iterator[RecipeError]:
    """What is wrong between the mixtures of ``data`` and the two ends of a ``network`` of masks."""
    samples, length = data.shape[2], task.filter_length(data.rate_hz)
    filters, hop = network.input[0], length // 2
    windows, rest = divmod(samples - length, hop)
    if rest or windows < 0:
        found = f"mixtures of {samples} samples"
        need = f"{length} samples, one filter, and a multiple of {hop} more"
        yield RecipeError("data.duration_ms", found, need)
        return
    shape = (filters, 1, windows + 1)
    if network.input != shape:
        need = f"{list(shape)}, {filters} filters of {length} samples at every {hop} of {samples} samples"
        yield RecipeError("network.input", f"found {list(network.input)}", need, ways=({"network.input": list(shape)},))
        return
    wanted = SPEAKERS * math.prod(shape)
    if (count := output_count(network)) != wanted:
        need = f"{SPEAKERS * filters} features on the map of the input: a mask for each of {SPEAKERS} speakers"
        yield RecipeError("network.layers", f"the last gives {count} values", f"{wanted}, {need}")


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
