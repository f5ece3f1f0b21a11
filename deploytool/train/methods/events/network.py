"""A network along spikes that were already fired, with a gradient for its weights.

The emulator runs a network event by event. Its spikes are counted in windows of equal time, W_l of them for layer l.
For a neuron of layer l with input current I[w] in window w, the sum of the weights of all events that reached it, and
n[w] spikes,

    U[w] = V[w-1] + I[w]          V[w] = max(U[w] - theta n[w], floor)          V[0] = 0

Without a floor, V[w] is the exact membrane at the end of window w, because charge is only added and subtracted. A floor
also acts between the events of a window, so that V[w] is then only close to it. Backward, dn[w]/dU[w] is replaced by
the surrogate g(U[w]), and gradients flow through V as in `deploytool.train.network.neurons`. Where a layer has more
windows than the one before it, the gradient of the spikes of a window is the mean over the parts of that window: on the
chip, a further spike may come at any time of it.

Many updates in one window hide the moments when a neuron was near its threshold. Deep layers have few neurons, each
with many updates, and need many windows; the first layers have few updates per neuron, and are the most expensive.
This is surrogate-gradient learning (Neftci, Mostafa and Zenke, 2019, arXiv 1901.09948) of a network whose forward pass
is exact; tandem learning (Wu et al., 2021, arXiv 1907.01167) is its case of one window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array, Shape
from deploytool.recipe import PoolLayer
from deploytool.recipe.network import INPUT
from deploytool.train.methods.events import loops
from deploytool.train.network.blocks import Block
from deploytool.train.network.loops import back, spread
from deploytool.train.network.neurons import CHUNK, SLOPES, Neuron, by_neuron, constants_of
from deploytool.train.network.quantiser import IntegerLayer
from deploytool.train.network.spiking import Activity, SpikingNetwork, Weights
from deploytool.train.network.threads import in_parts

MAPS: Final = 64
"""The number of maps per call of a compiled loop."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The layer of weights ``block``, which takes the spikes of ``source`` in ``windows``, pooled by ``kernel`` to a
    map of shape ``given``. The sum of a pooled window is ``divisor`` times what the weights take.
    """

    block: Block
    windows: int
    source: str
    given: Shape
    kernel: int
    divisor: int


@dataclass(frozen=True, eq=False)
class Spikes:
    """The spikes of B samples, (W, B, H, W, C) float32: ``fired`` {layer: those of its neurons in its own windows},
    ``taken`` {layer: those that it takes, pooled, in its own windows}."""

    fired: Mapping[str, Tensor]
    taken: Mapping[str, Tensor]


class Followed:
    """``net``, a chain of layers that each fire, along given spikes, in ``windows`` for each layer with weights."""

    def __init__(self, net: SpikingNetwork, windows: Sequence[int]) -> None:
        self.net = net
        self.layers = tuple(_layers(net, windows))

    def count(self, spikes: Mapping[str, Array], durations_us: Array) -> Spikes:
        """``spikes`` {"input" or layer: (N,) of dtype SPIKE} of B samples that last ``durations_us`` (B,), counted."""

        def counted(name: str, windows: int, shape: Shape, kernel: int) -> Tensor:
            channels, height, width = shape
            counts = np.zeros((windows, len(durations_us), height, width, channels), np.float32)
            loops.tally(spikes[name], durations_us, kernel, counts)
            return torch.from_numpy(counts)

        return Spikes(
            {each.block.name: counted(each.block.name, each.windows, each.block.out_shape, 1) for each in self.layers},
            {each.block.name: counted(each.source, each.windows, each.given, each.kernel) for each in self.layers},
        )

    def run(self, weights: Weights, spikes: Spikes) -> Activity:
        """Activity of these ``spikes``, without those of single layers, with gradients for ``weights``."""
        first, *others = self.layers
        given = spikes.taken[first.block.name]
        synops = torch.zeros(given.shape[1], dtype=torch.float64)
        for layer, after in zip(self.layers, (*others, None), strict=True):
            block = layer.block
            taken = given.movedim(-1, 2).reshape(*given.shape[:2], *block.in_shape)
            counts = taken.sum(0)
            synops = synops + (counts * self.net.fan_out[block.name]).flatten(1).sum(1, dtype=torch.float64)
            integers = self.net.quantised(block, weights)
            current = block.current(taken, integers.weights).movedim(2, -1)
            fired, neuron = spikes.fired[block.name], self._neuron(integers, layer.divisor)
            passed, kernel = (fired, 1) if after is None else (spikes.taken[after.block.name], after.kernel)
            given = emitted(current, fired, passed, kernel, neuron)
        return Activity({}, given.movedim(-1, 2).flatten(2), synops, {})

    def _neuron(self, integers: IntegerLayer, divisor: int) -> Neuron:
        """The neurons of a layer in its ``integers``, whose current is ``divisor`` times as large."""
        spec, floor = self.net.spec, max(integers.floor, integers.state_range[0])
        return Neuron(
            integers.threshold * divisor,
            floor * divisor,
            reset_gradient=spec.reset_gradient,
            surrogate=spec.surrogate,
        )


def _layers(net: SpikingNetwork, windows: Sequence[int]) -> Iterator[Layer]:
    """The layers of ``net`` that have weights."""
    source, given, kernel, divisor = INPUT, net.blocks[0].in_shape, 1, 1
    numbers = iter(windows)
    for block in net.blocks:
        if isinstance(block.layer, PoolLayer):
            given, kernel = block.out_shape, kernel * block.layer.kernel
            divisor *= block.layer.kernel**2 if block.layer.type == "avgpool" else 1
        if block.weight_shape:
            yield Layer(block, next(numbers), source, given, kernel, divisor)
            source, given, kernel, divisor = block.name, block.out_shape, 1, 1


def emitted(current: Tensor, fired: Tensor, passed: Tensor, kernel: int, neuron: Neuron) -> Tensor:
    """``passed`` (F, B, h, w, C), the spikes ``fired`` (W, B, H, W, C) by neurons under ``current`` (W, B, H, W, C),
    pooled by ``kernel`` and in finer windows, with a gradient for the current. F is a multiple of W.
    """
    found: Tensor = _Emitted.apply(current, fired, passed, kernel, neuron)  # type: ignore[no-untyped-call]
    return found


class _Emitted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, fired: Tensor, passed: Tensor, kernel: int, neuron: Neuron) -> Tensor:
        current = current.contiguous()
        membrane = torch.empty_like(current)
        arrays = [by_neuron(tensor).numpy(force=True) for tensor in (current, fired, membrane)]
        theta, floor = np.float32(neuron.threshold), np.float32(neuron.floor)

        def part(first: int, last: int) -> None:
            loops.follow(*arrays, first, last, theta, floor)

        in_parts(part, arrays[0].shape[1], CHUNK)
        ctx.save_for_backward(membrane, fired)
        ctx.kernel, ctx.neuron = kernel, neuron
        return passed.view_as(passed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        membrane, fired = ctx.saved_tensors
        given = gradients[0]
        windows = len(membrane)
        pooled = given.view(windows, len(given) // windows, *given.shape[1:]).mean(1)
        to_current = torch.empty_like(membrane)
        _back(_unpooled(pooled, membrane, ctx.kernel), (membrane, fired), to_current, ctx.neuron)
        return to_current, None, None, None, None


def _back(from_spikes: Tensor, forward: tuple[Tensor, Tensor], to_current: Tensor, neuron: Neuron) -> None:
    """Fills ``to_current`` (dL/dI) from ``from_spikes`` (dL/dn), for (U, n) as they were in ``forward``.

    A neuron that fired early in a window may still end it at the floor, so the floor is that of V = U - theta n.
    """
    membrane, fired = forward
    given, u, n, v, slopes = (
        by_neuron(tensor).numpy(force=True)
        for tensor in (from_spikes, membrane, fired, membrane - neuron.threshold * fired, to_current)
    )
    constants, surrogate = constants_of(neuron), SLOPES[neuron.surrogate]

    def part(first: int, last: int) -> None:
        surrogate(u, slopes, first, last, constants.inverse)
        if neuron.surrogate != "triangle":
            by_neuron(to_current)[:, first:last].exp_()
        back(given, (v, n), slopes, first, last, constants)

    in_parts(part, u.shape[1], CHUNK)


def _unpooled(pooled: Tensor, like: Tensor, kernel: int) -> Tensor:
    """(W, B, H, W, C), as ``like``: every place has the value of its window in ``pooled`` (W, B, h, w, C), if any."""
    if kernel == 1:
        return pooled.contiguous()
    places = torch.empty_like(like)
    maps, out = pooled.contiguous().flatten(0, 1).numpy(), places.flatten(0, 1).numpy()

    def part(first: int, last: int) -> None:
        spread(maps, out, first, last, kernel)

    in_parts(part, len(maps), MAPS)
    return places
