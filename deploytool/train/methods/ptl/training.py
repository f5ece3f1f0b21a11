"""PTL, progressive tandem learning: a network with ReLUs becomes one of spikes, one layer after the other.

Wu, Xu, Han, Zhou, Zhang, Li and Tan, TPAMI 44(11), 2022, arXiv 2007.01204. With N = ``time_steps`` steps per sample:

    stage 0    the network with ReLUs is trained on the counts of a whole sample's events; batch norms are folded, once
    stage k    theta_k = percentile of layer k's activations / N; its ReLUs become integrate-and-fire neurons, whose
               counts c flow forward, and backward what their ReLU twin has (`ptl_network.Tandem.coupled`); layer k and
               all layers after it learn, until ``patience`` epochs bring no lower validation loss; the best epoch's
               weights are taken, and layer k is frozen

A neuron under a constant current I per step fires c = floor((N I + V0) / theta) times, N at most where a step has room
for one spike. The free potential at the end, sum w c + b, is the same for a bias b / N per step and V0 = b, which costs
the chip nothing; V0 = b + theta / 2 rounds where V0 = b rounds down. The last layer's free potential is the logit,
until its own stage, where the recipe has spikes behind it. Of an autoencoder (loss "mse") the sigmoid of that potential
is to be the picture itself.

A coupled layer counts with weights that are quantised by the exporter's rule, so that each stage quantises one layer
more. Because nothing flows back through its spikes, they may be counted by the chip's emulator just as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.arrays import Array, format_shape, frozen
from deploytool.base.digest import digest
from deploytool.base.errors import RecipeError
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EventStream, count
from deploytool.recipe import BatchNormLayer, ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import without_norms
from deploytool.train import processes
from deploytool.train.device import keep_freed_memory, reproducible
from deploytool.train.loop.checkpoint import load_checkpoint, save_checkpoint
from deploytool.train.loop.descent import Observe, Trained, unobserved
from deploytool.train.loop.evaluate import Batches
from deploytool.train.loop.losses import picture_loss
from deploytool.train.loop.schedule import learning_rate
from deploytool.train.loop.state import NORM_MOMENTUM
from deploytool.train.methods.ptl.network import BIAS, Tandem, active
from deploytool.train.methods.ptl.state import State
from deploytool.train.network.spiking import Weights, blocks_of

VERSION: Final = 1
"""Raised when the same recipe trains differently than before, so that no older checkpoint is continued."""

TRAIN: Final = MappingProxyType(
    {
        "rate_penalty": 0,
        "average": 0,
        "base": None,
        "accumulate": 1,
        "device": "cpu",
        "precision": "single",
    }
)
CONSTRAINTS: Final = MappingProxyType({"reset": "subtract", "decay": 1, "fan_in_epochs": 1, "max_weight_penalty": 0})
"""The values of what other methods can vary."""

Counts: TypeAlias = Callable[[Mapping[str, Array], int, Sequence[EventStream]], Mapping[str, Array]]
"""(a model's weights, how many layers of weights it has, streams) -> {layer: spikes of its neurons (B, C, H, W)}."""


class Streams(Protocol):
    """Samples as events, batch by batch."""

    def __call__(self, batch: int, generator: torch.Generator | None) -> Iterable[list[EventStream]]:
        """All samples: with a ``generator`` in random order and augmented, otherwise as they are."""
        ...


@dataclass(frozen=True, eq=False)
class Emulated:
    """What stands in the spiking branch for time steps: ``counts`` on the events of samples."""

    training: Streams
    validation: Streams
    counts: Counts


@dataclass(frozen=True, eq=False)
class Outside:
    """What PTL takes from other stages: the arrays of a trained ``ann``, {"conv1": weights, "conv1.bias": (O,)}.

    ``white`` is what a white pixel counts where samples are pictures.
    """

    ann: Mapping[str, Array] | None = None
    emulated: Emulated | None = None
    white: int | None = None


NOTHING: Final = Outside()


def train(
    network: NetworkSection,
    constraints: ConstraintsSection,
    spec: TrainSection,
    training: Batches,
    validation: Batches,
    seed: int,
    checkpoint: Path,
    tick: Tick = no_progress,
    outside: Outside = NOTHING,
    observe: Observe = unobserved,
) -> Trained:
    """The model of `methods.train`: weights and starting membranes of ``network`` without its batch norms.

    A row of its history says which ``stage`` it is of, and of a coupled layer its ``theta`` and ``weight_max``, the
    largest weight in thresholds: above 1 one event can bring more than the one spike that the chip has for it.
    The row whose weights are returned is ``chosen``.
    """
    _refuse(network, constraints, spec, outside)
    arrays = {name: frozen(array) for name, array in sorted((outside.ann or {}).items())}
    sections = [section.model_dump_json() for section in (network, constraints, spec)]
    key = digest([VERSION, sections, seed, len(training), len(validation), arrays])
    tandem = Tandem(network if outside.ann is None else without_norms(network), constraints, spec)
    state = State(tandem, seed, outside.ann)
    if found := load_checkpoint(checkpoint, key):
        state.restore(found)
    run = _Run(state, training, validation, outside, tick)
    keep_freed_memory()
    with reproducible():
        while state.stage <= len(tandem.layers):
            run.stage()
            if state.stage_is_over():
                state.next_stage()
                continue
            run.epoch()
            if processes.leads():
                save_checkpoint(state.checkpoint(key), checkpoint)
            processes.wait()
            observe(state.history[-1])
    return state.trained()


def pretrained(
    network: NetworkSection,
    constraints: ConstraintsSection,
    spec: TrainSection,
    training: Batches,
    validation: Batches,
    seed: int,
    outside: Outside = NOTHING,
) -> tuple[Tandem, Weights]:
    """(the network with ReLUs, its weights) as they are after stage 0 of the same `train`, bit for bit."""
    _refuse(network, constraints, spec, outside)
    state = State(Tandem(network, constraints, spec), seed, None)
    run = _Run(state, training, validation, outside, no_progress)
    with reproducible():
        run.stage()
        while not state.stage_is_over():
            run.epoch()
    return state.tandem, state.best


class Source(Protocol):
    """Samples as one branch takes them."""

    def __call__(self, batch: int, generator: torch.Generator | None) -> Iterable[tuple[Inputs, Tensor]]:
        """(inputs, labels (B,)) of all samples: in random order with a ``generator``, otherwise as they are."""
        ...


Inputs: TypeAlias = Tensor | list[EventStream]
"""Frames (T, B, C, H, W), or the events themselves."""


def _frames(batches: Batches, spec: TrainSection) -> Source:
    return lambda batch, generator: batches(spec.time_steps, batch, generator)


def _streams(streams: Streams) -> Source:
    def source(batch: int, generator: torch.Generator | None) -> Iterable[tuple[Inputs, Tensor]]:
        for taken in streams(batch, generator):
            yield taken, torch.tensor([stream.label for stream in taken])

    return source


class _Run:
    """Trains ``state`` from one epoch to the next."""

    def __init__(self, state: State, training: Batches, validation: Batches, outside: Outside, tick: Tick) -> None:
        emulated = outside.emulated
        self.state, self.spec, self.emulated, self.tick = state, state.spec, emulated, tick
        self.white = outside.white
        self.batches = math.ceil(len(training) / self.spec.batch)
        self.frames = _frames(training, self.spec), _frames(validation, self.spec)
        self.streams = (_streams(emulated.training), _streams(emulated.validation)) if emulated else self.frames

    def stage(self) -> None:
        """Begins the stage of ``state`` where it has not begun: its layer's mask, threshold and optimizer."""
        state = self.state
        if state.begun:
            return
        if state.stage:
            if state.stage == 1:
                state.fold()
            state.limit_fan_in()
            state.thetas |= self._threshold(state.stage - 1)
        state.begin()

    def epoch(self) -> None:
        """One pass through the training samples, and one through those of validation."""
        state, spec = self.state, self.spec
        epoch, rate = len(state.history) + 1, self._rate()
        training, validation = self.streams if state.stage else self.frames
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        sums, held_out = _Sums(spec), _Sums(spec)
        samples = training(spec.batch, state.generator("batches", epoch))
        for batch, (inputs, labels) in enumerate(samples, start=1):
            state.optimizer.zero_grad()
            measured: dict[str, Tensor] = {}
            logits = self._logits(inputs, measured)
            loss = self._loss(logits, inputs, labels)
            if not loss.isfinite():
                key = "train.ptl.stage_learning_rate" if state.stage else "train.learning_rate"
                found = f"at {rate:g} the loss is {loss.item()} in epoch {epoch}"
                raise RecipeError(key, found, "a rate at which it stays finite", "Lower it.")
            loss.backward()  # type: ignore[no-untyped-call]
            sums.add(logits, labels, loss)
            state.optimizer.step()
            for name, value in measured.items():
                state.weights[name].lerp_(value, NORM_MOMENTUM)
            self._tell(batch, sums)
        with torch.no_grad():
            for inputs, labels in validation(spec.batch, None):
                logits = self._logits(inputs)
                held_out.add(logits, labels, self._loss(logits, inputs, labels))
        state.complete({"epoch": epoch, "learning_rate": rate, **sums.entry(""), **held_out.entry("validation_")})

    def _loss(self, logits: Tensor, inputs: Inputs, labels: Tensor) -> Tensor:
        if self.spec.loss == "ce":
            return F.cross_entropy(logits, labels)
        assert self.white is not None
        return picture_loss(logits, _counted(inputs).flatten(1) / self.white)

    def _logits(self, inputs: Inputs, measured: dict[str, Tensor] | None = None) -> Tensor:
        state, weights = self.state, self.state.effective
        if not state.stage:
            return state.tandem.ann(weights, _counted(inputs), measured=measured)
        number = state.stage - 1
        return state.tandem.coupled(number, weights, state.thetas, self._counts(number, weights, inputs))

    @torch.no_grad()
    def _counts(self, number: int, weights: Weights, inputs: Inputs) -> dict[str, Tensor]:
        """{layer or "input": (B, C, H, W)}: spikes of all layers up to ``number``, of those that fire."""
        tandem = self.state.tandem
        counts = {INPUT: _counted(inputs)}
        while number >= 0 and not tandem.layers[number].fires:
            number -= 1
        if number < 0:
            return counts
        model = tandem.stored(number, weights, self.state.thetas)
        if isinstance(inputs, Tensor):
            spikes = tandem.spiking[number].run(model, inputs).spikes
            return counts | {name: fired.sum(0) for name, fired in spikes.items()}
        assert self.emulated is not None
        arrays = {name: tensor.numpy() for name, tensor in model.items()}
        found = self.emulated.counts(arrays, number + 1, inputs)
        return counts | {name: torch.tensor(array, dtype=torch.float32) for name, array in found.items()}

    @torch.no_grad()
    def _threshold(self, number: int) -> dict[str, float]:
        """{layer: theta} of layer ``number``, on one batch of the hybrid network as it is; {} where it never fires."""
        state, spec = self.state, self.spec
        tandem, weights, layer = state.tandem, state.effective, state.tandem.layers[number]
        if not layer.fires:
            return {}
        batches = self.streams[0](spec.ptl.threshold_samples, state.generator("thresholds", number))
        inputs, _ = next(iter(batches))
        before = tandem.before(number)
        counts = self._counts(number - 1, weights, inputs)[before]
        activations = layer.potential(state.thetas[before] * counts, weights).relu()
        if not (highest := active(activations, spec.ptl.percentile)) > 0:
            raise RecipeError(
                "train.ptl.percentile",
                f"found {spec.ptl.percentile:g}, at which {layer.name!r} is silent",
                "one at which every layer is active",
                "Raise it, or train the network with ReLUs longer.",
            )
        answers = number == len(tandem.layers) - 1
        spikes = (spec.ptl.output_spikes if answers else None) or spec.time_steps
        return {layer.name: highest / spikes}

    def _rate(self) -> float:
        state = self.state
        if state.stage:
            return self.spec.ptl.stage_learning_rate
        return learning_rate(self.spec, len(state.rows()) + 1)

    def _tell(self, batch: int, sums: _Sums) -> None:
        state, layers, mean = self.state, len(self.state.tandem.layers), sums.entry("")
        note = f"stage {state.stage}/{layers} epoch {len(state.rows()) + 1}  {_said(mean, '')}"
        if state.history:
            note += f"  validation {_said(state.history[-1], 'validation_')}"
        first = 0 if state.first else self.spec.epochs
        before = first + (state.stage - 1) * state.stage_epochs if state.stage else 0
        done = (before + len(state.rows())) * self.batches + batch
        self.tick(done, (first + layers * state.stage_epochs) * self.batches, note)


def _said(row: Mapping[str, float], prefix: str) -> str:
    """What a row of the history says, for people."""
    right = row.get(f"{prefix}accuracy")
    return f"loss {row[f'{prefix}loss']:.3g}" + ("" if right is None else f"  {right:.1f} % right")


class _Sums:
    """Adds up batches: the mean loss and, where answers are classes, the share of right ones."""

    def __init__(self, spec: TrainSection) -> None:
        self.classes = spec.loss == "ce"
        self.loss = self.right = self.total = 0.0

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        self.loss += float(loss.detach()) * len(labels)
        self.right += int((logits.detach().argmax(1) == labels).sum())
        self.total += len(labels)

    def entry(self, prefix: str) -> dict[str, float]:
        """{"loss": mean, "accuracy": %}, their names after ``prefix``."""
        loss = {f"{prefix}loss": self.loss / self.total}
        return loss | {f"{prefix}accuracy": 100 * self.right / self.total} if self.classes else loss


def _refuse(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection, outside: Outside) -> None:
    """Raises RecipeError with everything in the recipe that this method cannot do."""
    problems = []
    if constraints.floor is not None:
        need = "-inf with train.method ptl: a floor takes charge away"
        problems.append(RecipeError("constraints.floor", f"found {constraints.floor:g}", need))
    for section, keys in ((spec, TRAIN), (constraints, CONSTRAINTS)):
        for key, value in keys.items():
            if (found := getattr(section, key)) != value:
                name = "train" if section is spec else "constraints"
                problems.append(RecipeError(f"{name}.{key}", f"found {found}", f"{value} with train.method ptl"))
    if spec.loss not in ("ce", "mse"):
        problems.append(RecipeError("train.loss", f"found {spec.loss}", "ce or mse with train.method ptl"))
    if spec.loss == "mse":
        problems += _not_pictures(network, outside)
    if spec.ptl.bias == "none":
        if any(isinstance(layer, BatchNormLayer) for layer in network.layers):
            need = "initial in a network with batch norms, which give biases"
            problems.append(RecipeError("train.ptl.bias", "found none", need))
        if biased := [name for name in outside.ann or {} if name.endswith(f".{BIAS}")]:
            problems.append(RecipeError("train.ptl.bias", f"found none, where {biased[0]} is given", "initial"))
    if spec.ptl.ann is not None and outside.ann is None:
        problems.append(RecipeError("train.ptl.ann", f"found {spec.ptl.ann}, which was not read", "a pipeline"))
    if spec.ptl.forward == "emulator" and outside.emulated is None:
        problems.append(
            RecipeError("train.ptl.forward", "found emulator, where there is none", "a pipeline, or counts")
        )
    if problems:
        raise RecipeError.together(problems)


def _not_pictures(network: NetworkSection, outside: Outside) -> list[RecipeError]:
    """What stands in the way of a network that is to restore the pictures it is given."""
    problems = []
    if outside.white is None:
        problems.append(RecipeError("data.set", "is not of images", "a set of images with train.loss mse"))
    if network.ends_in_spikes:
        need = "none with train.loss mse, which takes the potential of the last layer"
        problems.append(RecipeError("network.layers", "the last is a spike layer", need))
    found, whole = blocks_of(network)[-1].out_shape, network.input
    if found not in (whole, (math.prod(whole), 1, 1)):
        need = f"{math.prod(whole)} values or a map of {format_shape(whole)}, as the input, with train.loss mse"
        problems.append(RecipeError("network.layers", f"the last gives {format_shape(found)}", need))
    return problems


def _counted(inputs: Inputs) -> Tensor:
    """(B, C, H, W) float32: events of whole samples."""
    if isinstance(inputs, Tensor):
        return inputs.sum(0)
    counts = np.stack([count(stream.events, stream.shape) for stream in inputs])
    return torch.from_numpy(counts.astype(np.float32))
