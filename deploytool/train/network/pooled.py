"""Neurons and the sum pooling after them in one pass over memory, which never holds single spikes or their gradients.

The result is that of `neurons.fire` and `pooling.sum_pool`, bit for bit. Where all U of a layer are whole numbers, as
in the chip's integers, the surrogate comes from a table of its values.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deploytool.train.network.neurons import SLOPES, Neuron, by_neuron, constants_of
from deploytool.train.network.pooled_loops import Maps, Table, back_pooled, integrate_pooled
from deploytool.train.network.threads import in_parts, one_thread

TABLE: Final = 1 << 14
"""The largest number of values in a table, which then stays in the processor's cache."""

PARTS: Final = 4
"""The number of parts of a batch for each thread."""

EXACT: Final = 1 << 24
"""Below this, float32 holds every whole number."""


def fire_pooled(current: Tensor, neuron: Neuron, kernel: int) -> Tensor:
    """Spikes (T, B, h, w, C) of neurons that start at 0 and receive ``current`` (T, B, H, W, C), float32 on a CPU,
    summed over whole windows of ``kernel`` x ``kernel``."""
    pooled: Tensor = _FirePooled.apply(current, neuron, kernel)  # type: ignore[no-untyped-call]
    return pooled


class _FirePooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: Neuron, kernel: int) -> Tensor:
        current = current.contiguous()
        steps, count, rows, columns, features = current.shape
        maps = Maps(rows, columns, features, kernel)
        membrane = torch.empty_like(current)
        pooled = torch.empty(steps, count, rows // kernel, columns // kernel, features)
        bounds = np.zeros((count, 3), np.float32)
        given, u = current.flatten(2).numpy(force=True), membrane.flatten(2).numpy()
        constants, filled = constants_of(neuron), (u, pooled.flatten(3).numpy(), bounds)

        def part(first: int, last: int) -> None:
            integrate_pooled(given, filled, first, last, maps, constants)

        in_parts(part, count, _size(count))
        ctx.save_for_backward(membrane)
        ctx.neuron, ctx.maps, ctx.bounds = neuron, maps, bounds
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (membrane,) = ctx.saved_tensors
        count, size = membrane.shape[1], membrane.shape[2:].numel()
        to_current, table = torch.empty_like(membrane), _table(ctx.bounds, ctx.neuron)
        from_pooled, u, slopes = (
            tensor.numpy(force=True)
            for tensor in (gradients[0].contiguous().flatten(3), membrane.flatten(2), to_current.flatten(2))
        )
        constants = constants_of(ctx.neuron)

        def part(first: int, last: int) -> None:
            if not len(table.values):
                _slopes(by_neuron(membrane), by_neuron(to_current), first * size, last * size, ctx.neuron)
            back_pooled((from_pooled, u, slopes), table, first, last, ctx.maps, constants)

        in_parts(part, count, _size(count) if len(table.values) else 1)
        return to_current, None, None


def _size(count: int) -> int:
    """The number of samples in a part of ``count``."""
    return max(1, -(-count // (PARTS * torch.get_num_threads())))


def _slopes(membrane: Tensor, slopes: Tensor, first: int, last: int, neuron: Neuron) -> None:
    """Fills ``slopes`` with theta g(U) / scale for ``membrane`` (U), both (T, n), from ``first`` to before ``last``."""
    SLOPES[neuron.surrogate](membrane.numpy(), slopes.numpy(), first, last, constants_of(neuron).inverse)
    if neuron.surrogate != "triangle":
        slopes[:, first:last].exp_()


def _table(bounds: NDArray[np.float32], neuron: Neuron) -> Table:
    """The surrogate of the whole numbers between the ``bounds`` of U; empty if U is not whole, or they are too many."""
    nothing = Table(np.zeros(0, np.float32), 0)
    if not len(bounds):
        return nothing
    least, most, apart = float(bounds[:, 0].min()), float(bounds[:, 1].max()), float(bounds[:, 2].max())
    if not (apart == 0 and most - least < TABLE and max(-least, most) < EXACT):
        return nothing
    u = torch.arange(int(least), int(most) + 1, dtype=torch.float32).view(1, -1)
    values = torch.empty_like(u)
    with one_thread():
        _slopes(u, values, 0, u.numel(), neuron)
    return Table(values[0].numpy(), int(least))
