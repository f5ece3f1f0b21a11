"""PTL, progressive tandem learning, turns a network with ReLUs into a spiking network, layer by layer.

Wu, Xu, Han, Zhou, Zhang, Li and Tan, TPAMI 44(11), 2022, arXiv 2007.01204. With N = ``time_steps`` steps per sample:

    stage 0    the network with ReLUs is trained on the counts of a whole sample's events; batch norms are folded, once
    stage k    theta_k = percentile of layer k's activations / N; its ReLUs become integrate-and-fire neurons. The
               forward pass uses their counts c, the backward pass the gradient of their ReLU twin (`Tandem.coupled`).
               Layer k and all layers after it learn until ``patience`` epochs bring no lower validation loss. Then the
               weights of the best epoch are taken, and layer k is frozen

With ``coupling`` "whole" there is one stage, which converts and trains all layers: tandem learning end to end (Wu,
Chua, Zhang, Li, Li and Tan, TNNLS 34(1), 2023, arXiv 1907.01167).

A neuron under a constant current I per step fires c = floor((N I + V0) / theta) times, and at most N times if it can
fire only once per step. The free potential at the end, sum w c + b, is the same for a bias b / N per step and for
V0 = b, which has no cost on the chip. V0 = b + theta / 2 rounds to nearest; V0 = b rounds down. The last layer's free
potential is the logit until its own stage, if the recipe has spikes behind it. In an autoencoder (loss "mse") the
sigmoid of that potential reproduces the picture.

The paper injects an image as one analog current in the first step, fires once per step at most, and adds a bias as
b / N; its rate falls from 1e-3 to 1e-4. `deploytool.recipe.ptl.ARMS` names these choices and those of the chip.

A coupled layer counts with weights that are quantised by the exporter's rule, so that each stage quantises one layer
more. No gradient flows through its spikes, so the chip's emulator can count them instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Protocol

import torch
from torch import Tensor

from deploytool.base.arrays import frozen
from deploytool.base.errors import RecipeError
from deploytool.recipe import NetworkSection, TrainSection
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import without_norms
from deploytool.train.device import reproducible
from deploytool.train.loop.epochs import train_epochs
from deploytool.train.loop.schedule import Schedule
from deploytool.train.loop.state import NORM_MOMENTUM, copies
from deploytool.train.methods.method import Training
from deploytool.train.methods.ptl.goals import Inputs, Sums, goal_of
from deploytool.train.methods.ptl.network import Tandem, activation, active
from deploytool.train.methods.ptl.restrictions import restrictions, unmet
from deploytool.train.methods.ptl.spiking import PtlNetwork
from deploytool.train.methods.ptl.state import PLAIN, RELUS, State
from deploytool.train.network.spiking import Weights
from deploytool.train.outside import Streams
from deploytool.train.task import Batches, Task, Trained

VERSION: Final = 2
"""Increase this when the same recipe trains differently than before, so that no older checkpoint is continued."""

FALL: Final = 0.1
"""Factor of the learning rate after `stage_milestone` epochs. From the paper."""


def train(task: Task) -> Trained:
    """The model of ``task``: weights and starting membranes of its network without batch norms.

    Each history row has its ``stage`` and, for coupled layers, ``theta``, the mean over the features of the first, and
    ``weight_max``, the largest weight in thresholds. Above 1, one event can call for more than the single spike that
    the chip fires for it.
    The row whose weights are returned is ``chosen``. Raises RecipeError with everything that the method cannot do, or
    that was not supplied.
    """
    ann = task.outside.ann
    given = {name: frozen(array) for name, array in sorted((ann or {}).items())}
    run = _run(task, task.network if ann is None else without_norms(task.network))
    train_epochs(run.state, task, task.key(VERSION, given), run.next_epoch)
    return run.state.trained()


def pretrained(task: Task) -> tuple[Tandem, Weights]:
    """(the network with ReLUs, its weights), bit-identical to those after stage 0 of the same `train`."""
    run = _run(task, task.network)
    with reproducible():
        run.begin_stage()
        while not run.state.stage_is_over():
            run.epoch()
    return run.state.tandem, run.state.best


def _run(task: Task, network: NetworkSection) -> _Run:
    sections = task.constraints, task.spec
    if problems := [*restrictions(task.network, *sections), *unmet(task.spec, task.outside)]:
        raise RecipeError.together(problems)
    goal = goal_of(task)
    return _Run(State(Tandem(network, *sections), goal, task.seed, task.outside.ann), task)


class Source(Protocol):
    """Samples in the form that one branch takes."""

    def __call__(self, batch: int, generator: torch.Generator | None) -> Iterable[tuple[Inputs, Tensor]]:
        """(inputs, labels (B,)) of all samples: in random order with a ``generator``, else in fixed order."""
        ...


def _frames(batches: Batches, spec: TrainSection) -> Source:
    return lambda batch, generator: batches(spec.time_steps, batch, generator)


def _streams(streams: Streams) -> Source:
    def source(batch: int, generator: torch.Generator | None) -> Iterable[tuple[Inputs, Tensor]]:
        for taken in streams(batch, generator):
            yield taken, torch.tensor([stream.label for stream in taken])

    return source


class _Run:
    """Trains ``state`` from one epoch to the next."""

    def __init__(self, state: State, task: Task) -> None:
        self.state, self.task, self.spec = state, task, task.spec
        self.batches = math.ceil(len(task.training) / self.spec.batch)
        self.frames = _frames(task.training, self.spec), _frames(task.validation, self.spec)
        emulated = task.outside.emulated
        self.streams = (_streams(emulated.training), _streams(emulated.validation)) if emulated else self.frames

    def next_epoch(self) -> bool:
        """Trains one more epoch, starting the next stage when one is over. False when all stages are over."""
        while self.state.stage <= self.state.stages:
            self.begin_stage()
            if not self.state.stage_is_over():
                self.epoch()
                return True
            self.state.next_stage()
        return False

    def begin_stage(self) -> None:
        """Begins the stage of ``state``, if it has not begun: sets its layer's mask, threshold and optimizer."""
        state = self.state
        if state.begun:
            return
        if state.stage:
            if state.stage == 1:
                state.fold()
                if state.goal.compared:
                    state.others = self._others()
            state.limit_fan_in()
            for number in state.coupled:
                state.thetas |= self._threshold(number)
        state.begin()

    def _others(self) -> dict[str, dict[str, Tensor]]:
        """The network with ReLUs, and as spikes without any stage."""
        state = self.state
        relus, thetas = copies(state.weights), dict(state.thetas)
        for number in range(len(state.tandem.layers)):
            state.thetas |= self._threshold(number)
        plain, state.thetas = state.model(), thetas
        return {RELUS: relus, PLAIN: copies(plain)}

    def epoch(self) -> None:
        """The history entry of one pass through the training samples and one through the validation samples."""
        state, spec = self.state, self.spec
        epoch = len(state.history) + 1
        training, validation = self.streams if state.stage else self.frames
        sums, held_out = Sums(state.goal), Sums(state.goal)
        samples = training(spec.batch, state.generator("batches", epoch))
        for batch, (inputs, labels) in enumerate(samples, start=1):
            rate = self._rate(batch)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
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
        state.complete(
            {
                "epoch": epoch,
                "learning_rate": self._rate(self.batches),
                **sums.entry(""),
                **held_out.entry("validation_"),
            }
        )

    def _loss(self, logits: Tensor, inputs: Inputs, labels: Tensor) -> Tensor:
        return self.state.goal.loss(self.state.effective, logits, inputs, labels)

    def _logits(self, inputs: Inputs, measured: dict[str, Tensor] | None = None) -> Tensor:
        state, weights = self.state, self.state.effective
        if not state.stage:
            return state.tandem.ann(weights, state.goal.given(weights, inputs), measured=measured)
        counts = self._counts(state.coupled.stop - 1, weights, inputs)
        return state.tandem.coupled(state.coupled, weights, state.thetas, counts)

    @torch.no_grad()
    def _counts(self, number: int, weights: Weights, inputs: Inputs) -> dict[str, Tensor]:
        """{layer or "input": (B, C, H, W)}: spikes of all layers up to ``number`` that fire."""
        tandem, goal = self.state.tandem, self.state.goal
        counts = {INPUT: goal.given(weights, inputs)}
        while number >= 0 and not tandem.layers[number].fires:
            number -= 1
        if number < 0:
            return counts
        model = tandem.stored(number, weights, self.state.thetas)
        if isinstance(inputs, Tensor):
            spikes = tandem.spiking[number].run(model, goal.frames(weights, inputs)).spikes
            return counts | {name: fired.sum(0) for name, fired in spikes.items()}
        emulated = self.task.outside.emulated
        assert emulated is not None
        arrays = {name: tensor.numpy() for name, tensor in model.items()}
        found = emulated.counts(arrays, number + 1, inputs)
        return counts | {name: torch.tensor(array, dtype=torch.float32) for name, array in found.items()}

    @torch.no_grad()
    def _threshold(self, number: int) -> dict[str, Tensor]:
        """{layer: theta} of layer ``number``, from one batch of the current hybrid network; {} if it never fires."""
        state, spec = self.state, self.spec
        tandem, weights, layer = state.tandem, state.effective, state.tandem.layers[number]
        if not layer.fires:
            return {}
        batches = self.streams[0](spec.ptl.threshold_samples, state.generator("thresholds", number))
        inputs, _ = next(iter(batches))
        before = tandem.before(number)
        given = activation(before, state.thetas, self._counts(number - 1, weights, inputs))
        highest = active(layer.potential(given, weights).relu(), spec.ptl.percentile, spec.ptl.thresholds == "channel")
        if not highest.min() > 0:
            raise RecipeError(
                "train.ptl.percentile",
                f"found {spec.ptl.percentile:g}, at which {layer.name!r} is silent",
                "one at which every layer is active",
                "Raise it, or train the network with ReLUs longer.",
            )
        answers = number == len(tandem.layers) - 1
        spikes = (spec.ptl.output_spikes if answers else None) or spec.time_steps
        return {layer.name: highest / spikes}

    def _rate(self, batch: int) -> float:
        """The learning rate of ``batch``, from 1, of this epoch."""
        state = self.state
        if state.stage:
            ptl = self.spec.ptl
            fallen = ptl.stage_milestone is not None and state.coupled_epochs >= ptl.stage_milestone
            return ptl.stage_learning_rate * (FALL if fallen else 1)
        return Schedule(self.spec, self.batches).rate(len(state.rows()) * self.batches + batch)

    def _tell(self, batch: int, sums: Sums) -> None:
        state, stages = self.state, self.state.stages
        note = f"stage {state.stage}/{stages}  epoch {len(state.rows()) + 1}  {sums.says}"
        first = 0 if state.first else self.spec.epochs
        before = first + (state.stage - 1) * state.stage_epochs if state.stage else 0
        done = (before + len(state.rows())) * self.batches + batch
        self.task.tick(done, (first + stages * state.stage_epochs) * self.batches, note)


PTL: Final = Training(PtlNetwork, train)
