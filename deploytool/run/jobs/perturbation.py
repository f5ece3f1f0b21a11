"""Perturbations: models of possible effects of silicon, cable and sensor on a program and its input events.

    order=W us     local reordering, as parallel lanes do it: events are sorted, stably, by t + u with u uniform in
                   [0, W); the times of arrival stay the same. Events W or more apart never swap;
                   those of one time come in any order.
    drop=P %       each event at the input is lost with probability P, independently; none is lost between layers.
    threshold=S %  every neuron gets its own threshold, theta (1 + S z), z from a normal distribution.
    weights=S %    every weight becomes w (1 + S z).

In integers, thresholds and weights are rounded and kept within 1..32767 and the range of int8. No chip holds a
threshold per neuron: it models neurons that differ from each other, and the emulator still computes with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UsageError
from deploytool.ir.events import EventStream
from deploytool.ir.program import STATE, Layer, Program

LEAST_THRESHOLD: Final = 0.01
"""Smallest ratio of a perturbed threshold to the original, in float32."""

_UNITS: Final = {"order": ("us", 1.0), "drop": ("%", 0.01), "threshold": ("%", 0.01), "weights": ("%", 0.01)}
_NEED: Final = "one or more of order=8us, drop=0.1%, threshold=2%, weights=1%, separated by commas"


@dataclass(frozen=True)
class Perturbation:
    """Strength of each model: ``order`` in us, the others as shares. ``seed`` and ``repeat`` select the random draw."""

    order: float = 0.0
    drop: float = 0.0
    threshold: float = 0.0
    weights: float = 0.0
    seed: int = 0
    repeat: int = 0

    @property
    def models(self) -> str:
        """The active models, in the syntax of the option."""
        amounts = {name: getattr(self, name) / per for name, (_, per) in _UNITS.items()}
        return ",".join(f"{name}={amount:g}{_UNITS[name][0]}" for name, amount in amounts.items() if amount)

    @property
    def says(self) -> str:
        """The active models and the random draw."""
        return f"{self.models} seed {self.seed} repeat {self.repeat}"


def parse_perturbation(text: str, seed: int = 0) -> Perturbation:
    """The perturbation given by ``text``, such as ``order=8us,drop=0.1%``. Raises UsageError with every mistake."""
    amounts: dict[str, float] = {}
    mistakes = []
    for item in text.split(","):
        match = re.fullmatch(r"(\w+)=([0-9.eE+-]+)(us|%)", item.strip())
        name, unit = (match[1], match[3]) if match else ("", "")
        try:
            amount = float(match[2]) if match else -1.0
        except ValueError:
            amount = -1.0
        if name not in _UNITS or unit != _UNITS[name][0] or not 0 <= amount < np.inf or name in amounts:
            mistakes.append(UsageError(f"--perturb {text}", f"found {item!r}", _NEED))
        elif name == "drop" and amount > 100:
            mistakes.append(UsageError(f"--perturb {text}", f"found {item!r}", "at most 100% of the events"))
        else:
            amounts[name] = amount * _UNITS[name][1]
    if mistakes:
        raise UsageError.together(mistakes)
    return _perturbation(amounts, seed)


def perturbation_of(model: str, amount: float, seed: int = 0) -> Perturbation:
    """The perturbation by one ``model``; ``amount`` is in us for "order" and in % for the others."""
    return _perturbation({model: amount * _UNITS[model][1]}, seed)


def _perturbation(amounts: Mapping[str, float], seed: int) -> Perturbation:
    return Perturbation(
        order=amounts.get("order", 0),
        drop=amounts.get("drop", 0),
        threshold=amounts.get("threshold", 0),
        weights=amounts.get("weights", 0),
        seed=seed,
    )


def perturb_program(program: Program, how: Perturbation) -> Program:
    """``program`` with perturbed thresholds and weights, drawn per neuron and per weight."""
    layers = {
        name: _perturb_layer(layer, how, _draw(how, 0, number))
        for number, (name, layer) in enumerate(program.layers.items())
    }
    return program.with_layers(layers)


def perturb_stream(stream: EventStream, how: Perturbation, index: int) -> EventStream:
    """``stream``, sample number ``index``, with events dropped and reordered."""
    rng = _draw(how, 1, index)
    events = stream.events
    if how.drop:
        events = events[rng.random(len(events)) >= how.drop]
    if how.order:
        order = np.argsort(events["t"] + rng.uniform(0, how.order, len(events)), kind="stable")
        times, events = events["t"], events[order]
        events["t"] = times
    return replace(stream, events=events)


def _perturb_layer(layer: Layer, how: Perturbation, rng: np.random.Generator) -> Layer:
    synapses, threshold = layer.synapses, layer.neurons.threshold
    integers = synapses[0].weights.dtype.kind == "i"
    if how.weights:
        synapses = tuple(replace(each, weights=_varied_weights(each.weights, how.weights, rng)) for each in synapses)
    if how.threshold:
        plain = np.broadcast_to(np.asarray(threshold, np.float64), layer.out_shape)
        threshold = np.maximum(_varied(plain, how.threshold, rng), LEAST_THRESHOLD * plain)
        if integers:
            threshold = np.clip(np.rint(threshold), 1, STATE.max)
        threshold = threshold.astype(np.int16 if integers else np.float32)
    return replace(layer, synapses=synapses, neurons=replace(layer.neurons, threshold=threshold))


def _varied_weights(weights: Array, share: float, rng: np.random.Generator) -> Array:
    varied = _varied(weights, share, rng)
    if weights.dtype.kind == "i":
        limits = np.iinfo(weights.dtype)
        varied = np.clip(np.rint(varied), limits.min, limits.max)
    return varied.astype(weights.dtype)


def _draw(how: Perturbation, kind: int, number: int) -> np.random.Generator:
    """An independent random generator for layer (``kind`` 0) or sample (1) ``number`` of one repeat."""
    return np.random.default_rng(np.random.SeedSequence(how.seed, spawn_key=(how.repeat, kind, number)))


def _varied(values: Array, share: float, rng: np.random.Generator) -> Array:
    varied: Array = values * (1 + share * rng.standard_normal(values.shape))
    return varied
