"""Fused layers as functions of tensors, with their gradients: spikes are those of the layers in turn, to the bit."""

from __future__ import annotations

import ctypes
import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from deploytool.base.arrays import Shape
from deploytool.base.native import native
from deploytool.recipe import ConvLayer, LinearLayer
from deploytool.train.network.fused.backward import Back, write_backward
from deploytool.train.network.fused.forward import NOT_WHOLE, TOO_LARGE, write_forward
from deploytool.train.network.fused.shape import Layer, Side, sites, sums, taps_back, taps_of, weights_of
from deploytool.train.network.neurons import Neuron
from deploytool.train.network.threads import in_parts

PARTS: Final = 8
"""The number of parts of a batch, each with its own sums of gradients; they do not depend on the number of threads."""

MOST_WEIGHTS: Final = 1 << 18
"""The largest number of weights of a fused layer; for more, torch's convolutions are faster."""


@dataclass(frozen=True, eq=False)
class Fusion:
    """A layer of weights, its neurons, and the sums over windows ``pool`` x ``pool`` (1: none) after them.

    ``fan_out``, float64, is the number of synaptic updates that one input event causes: (H W C,) and (C H W,).
    """

    rows: Side
    columns: Side
    pool: int
    fan_out: tuple[Tensor, Tensor]

    def run(self, given: Tensor, weights: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor] | None:
        """(sums of spikes (T, B, O, h, w), synaptic updates (B,) float64) for spikes ``given`` (T, B, C, H, W).

        ``weights`` (O, C, KH, KW) or (O, C H W) are whole numbers. None if ``given`` are not whole numbers. Spikes are
        read in the order in which they lie in memory, if their gradients need no other.
        """
        if not given.numel():
            return None
        by_place = given.movedim(2, -1)
        planar = not given.requires_grad and not by_place.is_contiguous()
        spikes = (given if planar else by_place).flatten(2).contiguous()
        kernel = weights
        if weights.ndim == 2:
            by_map = weights.view(-1, *given.shape[2:])
            kernel = (by_map if planar else by_map.movedim(1, -1)).reshape(*weights.shape, 1, 1)
        found = _Fused.apply(spikes, kernel, neuron, self, planar)  # type: ignore[no-untyped-call]
        return None if found is None else (found[0].movedim(-1, 2), found[1])

    def layer(self, weights: Tensor, neuron: Neuron) -> Layer:
        """The shape of the loops."""
        return Layer(
            rows=self.rows,
            columns=self.columns,
            inputs=weights.shape[1],
            features=len(weights),
            pool=self.pool,
            stored="float32" if neuron.decay != 1 else "int16",
            many=neuron.spikes_per_step == "many",
            subtract=neuron.reset == "subtract",
            detached=neuron.reset_gradient == "detached",
            saturates=neuron.saturates,
            leaks=neuron.decay != 1,
            surrogate=neuron.surrogate,
        )


def fusion_of(layer: ConvLayer | LinearLayer, shapes: tuple[Shape, Shape], pool: int, fan_out: Tensor) -> Fusion | None:
    """The Fusion of ``layer``, whose maps have ``shapes``, with its neurons and windows of ``pool``; None if there is
    none that is faster. An input event causes ``fan_out`` (C, H, W) synaptic updates."""
    (inputs, *given), (features, *made) = shapes
    if isinstance(layer, LinearLayer):
        inputs, given, made = math.prod(shapes[0]), [1, 1], [1, 1]
        sides = [Side(1, 1, 1, 1, 0)] * 2
    elif layer.dilation != (1, 1) or layer.groups != 1:
        return None
    else:
        sides = [Side(*side) for side in zip(given, made, layer.kernel, layer.stride, layer.padding, strict=True)]
    size = inputs * features * math.prod(side.kernel for side in sides)
    if size > MOST_WEIGHTS or any(side.before < 0 for side in sides):
        return None
    updates = fan_out.double()
    return Fusion(sides[0], sides[1], pool, (updates.movedim(0, -1).flatten(), updates.flatten()))


class _Fused(torch.autograd.Function):
    """``given`` is (T, B, H W C), or (T, B, C H W) without a gradient if it is ``planar``."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weights: Tensor, neuron: Neuron, fusion: Fusion, planar: bool) -> Any:
        steps, count = given.shape[:2]
        layer, fan_out = fusion.layer(weights, neuron), fusion.fan_out[planar]
        inputs = given, sites(layer, planar), taps_of(weights, layer), _numbers(neuron)
        out = torch.empty(steps, count, *layer.pooled, layer.features)
        updates = torch.empty(count, dtype=torch.float64)
        membrane, answer = _run(layer, inputs, fan_out, (out, updates))
        if answer == TOO_LARGE:
            layer = layer._replace(stored="float32")
            membrane, answer = _run(layer, inputs, fan_out, (out, updates))
        if answer & NOT_WHOLE:
            return None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, membrane)
        ctx.layer, ctx.fan_out = layer, fan_out
        return out, updates

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        from_out, from_updates = gradients
        *inputs, membrane = ctx.saved_tensors
        to_given = to_weights = None
        if from_out is not None:
            shape = Back(ctx.layer, ctx.needs_input_grad[0])
            to_given, to_taps = _back(shape, inputs, membrane, from_out.contiguous())
            to_weights = weights_of(to_taps, ctx.layer)
        if from_updates is not None and ctx.needs_input_grad[0]:
            through = (from_updates.view(-1, 1) * ctx.fan_out).float()
            to_given = through.expand_as(inputs[0]) if to_given is None else to_given + through
        return to_given, to_weights, None, None, None


def _run(layer: Layer, inputs: Sequence[Tensor], fan_out: Tensor, filled: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
    """(U (T, B, H', W' O), answer of the loop) for ``inputs`` (spikes, sites, taps, numbers); ``filled`` are (sums,
    updates)."""
    (spikes, where, taps, numbers), size = inputs, layer.size
    membrane = torch.empty(*spikes.shape[:2], layer.rows.made, layer.width, dtype=getattr(torch, layer.stored))
    shared = (spikes, where, taps, sums(layer), fan_out, numbers, membrane, *filled)
    own = [torch.empty(PARTS, length) for length in (size, size * layer.leaks)]
    answers = _in_parts(_loop("forward", layer), shared, own, spikes.shape[:2])
    return membrane, functools.reduce(operator.or_, answers)


def _back(shape: Back, inputs: Sequence[Tensor], membrane: Tensor, from_out: Tensor) -> tuple[Tensor | None, Tensor]:
    """(dL/d given or None, dL/d taps), for ``inputs`` (given, sites, taps, numbers) and U."""
    (given, where, taps, numbers), layer = inputs, shape.layer
    to_given = torch.empty_like(given) if shape.to_input else None
    back = taps_back(taps, layer) if shape.to_input else taps
    to_shared = from_out if to_given is None else to_given
    shared = (given, where, back, numbers, from_out, membrane, to_shared)
    own = [torch.empty(PARTS, layer.size), torch.empty(PARTS, layer.width), torch.zeros(PARTS, taps.numel())]
    _in_parts(_loop("backward", shape), shared, own, given.shape[:2])
    return to_given, own[-1].sum(0)


def _in_parts(loop: Any, shared: Sequence[Tensor], own: Sequence[Tensor], size: Sequence[int]) -> list[int]:
    """What ``loop`` answers for the parts of a batch of ``size`` (T, B), which share tensors and have rows of ``own``
    ones."""
    steps, count = size
    each, answers = -(-count // PARTS), []
    common, rows = [tensor.data_ptr() for tensor in shared], [(t.data_ptr(), t.stride(0) * t.itemsize) for t in own]

    def part(first: int, last: int) -> None:
        places = [start + first // each * apart for start, apart in rows]
        answers.append(loop(*common, *places, steps, count, first, last))

    in_parts(part, count, each)
    return answers


@functools.cache
def _loop(kind: str, shape: Any) -> Any:
    """The compiled loop of ``kind`` for ``shape``, called with addresses and numbers, without the GIL."""
    write, arrays = (write_forward, 11) if kind == "forward" else (write_backward, 10)
    signature = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * arrays, *[ctypes.c_int64] * 4)
    return signature(native(write, shape))


def _numbers(neuron: Neuron) -> Tensor:
    """What the loops know of ``neuron``, as `NUMBERS` say."""
    floor = -math.inf if neuron.floor is None else neuron.floor
    ceiling = neuron.ceiling if neuron.saturates else math.inf
    return torch.tensor([neuron.threshold, 1 / neuron.threshold, floor, ceiling, neuron.decay])
