"""Networks with random weights whose layers fire at chosen rates, and random events for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.ir.events import EVENT, EventStream, neurons_of
from deploytool.ir.neurons import Neurons
from deploytool.ir.nodes import Conv
from deploytool.ir.program import INPUT, STATE, Arithmetic, Layer, Program, Route, Synapses
from deploytool.ir.shapes import out_shape
from deploytool.run.plan.layers import Fired, make_plan, state_type


@dataclass(frozen=True)
class Spiking:
    """A convolution with spiking neurons: ``rate`` spikes per input event, then sums over ``pool`` x ``pool``.

    A ``kernel`` as large as the map makes a fully connected layer.
    """

    features: int
    kernel: int
    rate: float
    padding: int = 0
    stride: int = 1
    pool: int = 1


NMNIST: Final[Shape] = (2, 34, 34)

NMNIST_NETWORK: Final = (
    Spiking(8, 3, 5.5, padding=1, pool=2),
    Spiking(16, 3, 0.45, padding=1, pool=2),
    Spiking(16, 3, 0.3, padding=1, stride=2),
    Spiking(10, 4, 0.1),
)
"""6,160 weights; 4000 events on `NMNIST` cause about 3.3 million updates and 32,000 spikes."""

DVS: Final[Shape] = (2, 128, 128)
DVS_POOL: Final = 4

VGG9: Final = (
    Spiking(64, 3, 1, padding=1),
    Spiking(128, 3, 1, padding=1, pool=2),
    Spiking(256, 3, 1, padding=1),
    Spiking(256, 3, 1, padding=1, pool=2),
    Spiking(512, 3, 1, padding=1),
    Spiking(512, 3, 1, padding=1, pool=2),
    Spiking(512, 3, 1, padding=1),
    Spiking(512, 3, 1, padding=1, pool=2),
    Spiking(10, 2, 0.1),
)
"""9.2 million weights, of the CIFAR10-DVS network of Du et al. (ICLR 2025), on `DVS` events pooled by `DVS_POOL`."""


def network(
    shape: Shape, layers: Sequence[Spiking], arithmetic: Arithmetic, stream: EventStream, pool: int = 1
) -> Program:
    """A chain of ``layers`` on events of ``shape``, pooled by ``pool``, whose thresholds suit ``stream``."""
    rng = np.random.default_rng(1)
    made: dict[str, Layer] = {}
    before = shape[0], shape[1] // pool, shape[2] // pool
    for number, spec in enumerate(layers):
        weights = np.clip(rng.normal(6, 30, (spec.features, before[0], spec.kernel, spec.kernel)).round(), -127, 127)
        pair = (spec.stride, spec.stride), (spec.padding, spec.padding)
        out = out_shape(Conv(weights, None, *pair), before)
        routes = (Route(f"layer{number + 1}", (spec.pool, spec.pool)),) if number + 1 < len(layers) else ()
        weights = weights.astype(np.int8 if arithmetic == "int8/int16" else np.float32)
        made[f"layer{number}"] = Layer((Synapses(weights, before, out, *pair),), Neurons(1), routes)
        before = out[0], out[1] // spec.pool, out[2] // spec.pool
    last = f"layer{len(layers) - 1}"
    program = Program("simulator", arithmetic, shape, (Route("layer0", (pool, pool)),), made, (last,), "")
    return _fitted(program, [spec.rate for spec in layers], stream)


def _fitted(program: Program, rates: Sequence[float], stream: EventStream) -> Program:
    """``program`` with thresholds, and floors as far below 0, at which its layers fire at ``rates`` on ``stream``."""
    fired: dict[str, Fired] = {INPUT: (np.arange(len(stream)), neurons_of(stream.events, stream.shape))}
    for name, rate in zip(program.layers, rates, strict=True):
        low, high = 1, int(STATE.max)
        while high - low > 1:
            middle = (low + high) // 2
            sites, neurons = _fires(program, name, middle, fired)
            low, high = (middle, high) if len(neurons) > rate * len(sites) else (low, middle)
        sites, neurons = _fires(program, name, high, fired)
        fired[name] = sites[:0], neurons
        program = _with_threshold(program, name, high)
    return program


def _fires(program: Program, name: str, threshold: int, fired: Mapping[str, Fired]) -> Fired:
    """(events that arrive, neurons that fire) in layer ``name`` with another ``threshold``."""
    plan = make_plan(_with_threshold(program, name, threshold), state_type(program), vectors=True)
    (layer,) = (layer for layer in plan.layers if layer.name == name)
    _, sites = layer.arrivals(fired)
    return sites, layer.integrate(layer.rest(), sites).neurons


def _with_threshold(program: Program, name: str, threshold: int) -> Program:
    layer = replace(program.layers[name], neurons=Neurons(threshold, -threshold))
    return program.with_layers({**program.layers, name: layer})


def random_stream(shape: Shape, count: int, seed: int = 2, duration_us: int = 300_000) -> EventStream:
    """``count`` events, uniform over a map of ``shape`` and over the duration."""
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, duration_us, count))
    for axis, size in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, size, count)
    return EventStream(events, shape, duration_us)
