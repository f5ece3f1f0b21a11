"""Calibration: finds the scale and the rounding of each layer whose spikes are closest to the float network's.

The rule of fixedpoint.py looks at weights alone. It has two errors: the threshold is rounded too, which changes the
gain of the whole layer, and the errors of weights that many events share add up. Here a layer's scale is that of a
whole threshold, s = n / theta, and weights are also rounded so that their errors cancel on the events that the layer
gets (rounding.py). Thresholds n are tried upwards from just below the rule's; larger ones have finer steps and cut the
largest weights. For each n, every output feature keeps the rounding whose spikes are closest.

A layer is searched alone, on the spikes that the float network sends it: behind a layer that differs, spikes come in
another order, and what the rounding of the next layer does is lost in that noise. Other samples, held out, decide: a
layer keeps what was found if its spikes are closer on these too, and the network keeps its layers if its output is not
further off; what is not kept is quantised by the plain rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.numbers import figure
from deploytool.base.progress import Tick, no_progress
from deploytool.chip.integers import IntegerFormat
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.recording import Recording
from deploytool.ir.target import Target, Watch
from deploytool.map.quantise import in_integers, quantise
from deploytool.map.rounding import Matrix, compensated, second_moments

WINDOWS: Final = (3, 10, 30)
"""Numbers of windows per sample within which rounding errors cancel; each number gives one rounding to try."""
GROWTH: Final = 1.04
"""Ratio between one threshold tried and the next."""
PATIENCE: Final = 4
"""The search ends after this many consecutive thresholds without improvement."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Settings: a ``target`` that runs programs of any size, samples to search on, and held-out samples that decide."""

    target: Target
    samples: Sequence[EventStream]
    held_out: Sequence[EventStream]
    tick: Tick = no_progress


@dataclass(frozen=True)
class Gain:
    """Pooled spike differences from the float event-driven network in %, None if that has no spike."""

    plain: float | None
    calibrated: float | None

    @property
    def is_closer(self) -> bool:
        return self.plain is not None and self.calibrated is not None and self.calibrated < self.plain

    @property
    def is_no_worse(self) -> bool:
        return self.is_closer or (self.plain is not None and self.calibrated == self.plain)


@dataclass(frozen=True)
class LayerCalibration:
    """The calibration of one layer; ``kept`` tells whether the program uses it.

    ``found`` says whether it is closer alone, on the held-out samples too.
    ``cut`` weights are out of range at the new scale, ``moved`` weights are not rounded to the nearest integer.
    ``alone`` is on the float network's own spikes, ``network`` behind the other layers in integers.
    """

    layer: str
    kept: bool
    found: bool
    threshold: int
    threshold_plain: int
    cut: int
    moved: int
    alone: Gain
    alone_held_out: Gain
    network: Gain
    network_held_out: Gain


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The calibrated ``program`` in integers and its statistics. ``kept`` is False if the plain rule was used.

    ``output`` and ``output_held_out`` are the gains at the network's outputs over ``samples`` and ``held_out`` samples.
    """

    program: Program
    kept: bool
    layers: tuple[LayerCalibration, ...]
    output: Gain
    output_held_out: Gain
    samples: int
    held_out: int

    @property
    def says(self) -> str:
        """The gain from calibration in one sentence."""
        gain = self.output_held_out
        if gain.plain is None or gain.calibrated is None:
            return f"Calibration kept the plain rule: no output spike on {self.held_out} held-out samples."
        change = f"from {figure(gain.plain)} % to {figure(gain.calibrated)} % on {self.held_out} held-out samples"
        if self.kept:
            return f"Calibration changed the spike difference at the output {change}."
        if not any(layer.found for layer in self.layers):
            return f"Calibration kept the plain rule: no layer came closer on {self.held_out} held-out samples."
        return f"Calibration kept the plain rule: it would have changed the spike difference at the output {change}."

    def as_json(self) -> dict[str, Any]:
        return {
            "says": self.says,
            "kept": self.kept,
            "samples": self.samples,
            "held_out": self.held_out,
            "output": asdict(self.output),
            "output_held_out": asdict(self.output_held_out),
            "layers": [asdict(layer) for layer in self.layers],
        }


@dataclass(frozen=True, eq=False)
class _IsolatedLayer:
    """One layer as a separate program, its input spikes in the float network, and its output there, ``wanted``."""

    target: Target
    program: Program
    name: str
    streams: tuple[EventStream, ...]
    wanted: NDArray[np.int64]

    def distances(self, layer: Layer) -> NDArray[np.int64]:
        """(O,): number of extra plus missing spikes of each feature of ``layer`` in integers."""
        program = self.program.with_layers({self.name: replace(layer, routes=())}, arithmetic="int8/int16")
        found = self.target.run(program, self.streams).counts[self.name]
        return np.asarray(np.abs(found - self.wanted).sum(axis=(0, 2, 3)))

    def gain(self, plain: Layer, calibrated: Layer) -> Gain:
        total = int(self.wanted.sum())
        return Gain(*(_percent(int(self.distances(layer).sum()), total) for layer in (plain, calibrated)))


def calibrate(program: Program, fmt: IntegerFormat, spec: Calibration) -> Calibrated:
    """``program`` (float32, lowered) quantised to ``fmt`` so that its spikes change least on the samples of ``spec``.

    The same every time. Each layer alone, and the outputs, are on neither group of samples further off than with
    `quantise`. Raises FitError as `quantise` does, UnsupportedError for what the target cannot run.
    """
    plain = quantise(program, fmt)
    groups = list(spec.samples), list(spec.held_out)
    wanted = [spec.target.run(program, streams, Watch(rasters=len(streams))) for streams in groups]
    found: dict[str, Layer] = {}
    gains: dict[str, list[Gain]] = {}
    for done, (name, layer) in enumerate(program.layers.items()):
        spec.tick(done, len(program.layers), name)
        alone = [_alone(program, name, *group, spec.target) for group in zip(wanted, groups, strict=True)]
        found[name] = _searched(layer, plain.layers[name], alone[0], fmt)
        gains[name] = [part.gain(plain.layers[name], found[name]) for part in alone]
    spec.tick(len(program.layers), len(program.layers), "")

    is_closer = {name: found[name] for name in found if all(gain.is_closer for gain in gains[name])}
    calibrated = plain.with_layers({**plain.layers, **is_closer})
    runs = [
        (recording, *(spec.target.run(quantised, streams) for quantised in (plain, calibrated)))
        for recording, streams in zip(wanted, groups, strict=True)
    ]
    output = [_gain(*(recording.output_counts for recording in run)) for run in runs]
    kept = bool(is_closer) and all(gain.is_no_worse for gain in output)
    rows = tuple(
        LayerCalibration(
            layer=name,
            kept=kept and name in is_closer,
            found=name in is_closer,
            threshold=int(layer.neurons.threshold),
            threshold_plain=int(plain.layers[name].neurons.threshold),
            **_changes(program.layers[name], layer, fmt),
            alone=gains[name][0],
            alone_held_out=gains[name][1],
            network=_gain(*(recording.counts[name] for recording in runs[0])),
            network_held_out=_gain(*(recording.counts[name] for recording in runs[1])),
        )
        for name, layer in found.items()
    )
    return Calibrated(calibrated if kept else plain, kept, rows, output[0], output[1], *map(len, groups))


def _searched(layer: Layer, plain: Layer, alone: _IsolatedLayer, fmt: IntegerFormat) -> Layer:
    """``layer`` with the best threshold and rounding found, or ``plain`` if none is better."""
    best, least = plain, int(alone.distances(plain).sum())
    if not least:
        return plain
    moments = [second_moments(layer.single, alone.streams, windows) for windows in WINDOWS]
    since, rule = 0, int(plain.neurons.threshold)
    for threshold in _thresholds(rule, fmt):
        found, distance = _rounded(layer, threshold, moments, alone, fmt)
        since = 0 if distance < least else since + 1
        if distance < least:
            best, least = found, distance
        if since >= PATIENCE and threshold > rule:
            break
    return best


def _thresholds(plain: int, fmt: IntegerFormat) -> Iterator[int]:
    """Integer thresholds to try: around ``plain``, then increasing."""
    threshold = max(plain - 2, 1)
    while threshold <= fmt.threshold_max:
        yield threshold
        threshold = threshold + 1 if threshold <= plain else max(threshold + 1, round(threshold * GROWTH))


def _rounded(
    layer: Layer, threshold: int, moments: Sequence[tuple[Matrix, ...]], alone: _IsolatedLayer, fmt: IntegerFormat
) -> tuple[Layer, int]:
    """(``layer`` at the scale of ``threshold`` with the best rounding of each feature, its distance)."""
    weights = layer.single.weights
    nearest = in_integers(layer, fmt, threshold / float(layer.neurons.threshold))
    nearest = replace(nearest, neurons=replace(nearest.neurons, threshold=threshold))
    exact = (weights * nearest.scale).reshape(len(weights), -1).astype(np.float64)
    ways = [nearest.single.weights, *(compensated(exact, moment, fmt).reshape(weights.shape) for moment in moments)]
    candidates = [nearest.with_single(weights=np.asarray(way, np.int8)) for way in ways]
    distances = np.stack([alone.distances(candidate) for candidate in candidates])
    best = distances.argmin(axis=0)
    rounded = np.stack([candidates[way].single.weights[feature] for feature, way in enumerate(best)])
    return nearest.with_single(weights=rounded), int(distances.min(axis=0).sum())


def _changes(layer: Layer, found: Layer, fmt: IntegerFormat) -> dict[str, int]:
    """The number of weights of ``layer`` that ``found`` clips, and the number not rounded to nearest."""
    weights = layer.single.weights
    exact = np.rint(weights * weights.dtype.type(found.scale))
    nearest = np.clip(exact, *fmt.weight_range)
    return {"cut": int((nearest != exact).sum()), "moved": int((nearest != found.single.weights).sum())}


def _alone(
    program: Program, name: str, recording: Recording, streams: Sequence[EventStream], target: Target
) -> _IsolatedLayer:
    """Layer ``name`` of ``program`` with its input spikes from ``recording``.

    Spikes that arrive by several routes in the same microsecond are ordered by route.
    """
    layer = program.layers[name]
    in_shape = layer.single.in_shape
    single = program.with_layers(
        {name: replace(layer, routes=())}, input_shape=in_shape, input_routes=(Route(name),), outputs=(name,)
    )
    arriving = _arrivals(program, name, recording)
    inputs = []
    for index, stream in enumerate(streams):
        chosen = arriving[arriving["sample"] == index]
        events = np.empty(len(chosen), EVENT)
        for column in EVENT.names or ():
            events[column] = chosen[column]
        inputs.append(EventStream(events, in_shape, stream.duration_us, stream.label, stream.name))
    wanted = target.run(single, inputs).counts[name]
    return _IsolatedLayer(target, single, name, tuple(inputs), wanted)


def _arrivals(program: Program, name: str, recording: Recording) -> NDArray[np.void]:
    """Spikes of dtype SPIKE in ``recording`` that reach layer ``name``, on its input map, in order."""
    parts = []
    for source, route in program.feeders(name):
        spikes = recording.spikes[source].copy()
        spikes["c"] += route.feature_shift
        spikes["y"] //= route.pool[0]
        spikes["x"] //= route.pool[1]
        inside = [spikes[axis] < size for axis, size in zip("cyx", program.layers[name].single.in_shape, strict=True)]
        parts.append(spikes[np.logical_and.reduce(inside)])
    arriving = np.concatenate(parts)
    return arriving[np.lexsort((arriving["t"], arriving["sample"]))]


def _gain(wanted: NDArray[np.int64], plain: NDArray[np.int64], calibrated: NDArray[np.int64]) -> Gain:
    total = int(wanted.sum())
    return Gain(*(_percent(int(np.abs(found - wanted).sum()), total) for found in (plain, calibrated)))


def _percent(distance: int, total: int) -> float | None:
    return 100 * distance / total if total else None
