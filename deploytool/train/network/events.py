"""Convolution of sparse spikes, event by event. Sums of whole numbers are exact, so the order does not matter."""

# mypy: disable-error-code="untyped-decorator"
# numba has no types of its own.

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.recipe import ConvLayer
from deploytool.train.network.loops import ZERO, compiled
from deploytool.train.network.threads import in_parts

CHUNK: Final = 64
"""The number of maps per call of the compiled loop."""

DENSEST: Final = 0.2
"""Events per place of the input above which torch's convolution is faster."""


def convolve(maps: Tensor, weights: Tensor, padding: tuple[int, int]) -> Tensor:
    """Convolution of ``maps`` (N, C, H, W), few of which differ from 0, on a CPU, with a gradient of torch's own."""
    summed: Tensor = _Convolve.apply(maps, weights, padding)  # type: ignore[no-untyped-call]
    return summed


def possible(layer: ConvLayer) -> bool:
    """Whether `convolve` can compute ``layer``."""
    dense = layer.stride == layer.dilation == (1, 1) and layer.groups == 1
    return dense and all(more < kernel for more, kernel in zip(layer.padding, layer.kernel, strict=True))


def sparse(counts: Tensor, steps: int) -> bool:
    """Whether `convolve` suits whole spikes with the sums ``counts`` (B, C, H, W) over ``steps``: at most `DENSEST` per
    place."""
    if counts.device.type != "cpu" or not counts.numel():
        return False
    found = counts.numpy(force=True)
    few = found.min() >= 0 and found.sum(dtype=np.float64) <= DENSEST * steps * found.size
    return bool(few) and np.array_equal(found, np.rint(found))


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weights: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(maps, weights)
        ctx.padding = padding
        rows, columns = (
            size + 2 * more - kernel + 1
            for size, more, kernel in zip(maps.shape[2:], padding, weights.shape[2:], strict=True)
        )
        out = torch.empty(len(maps), rows, columns, len(weights))
        given, filled = maps.movedim(1, -1).contiguous().numpy(force=True), out.flatten(2).numpy()
        taps = weights.detach().flip(2, 3).permute(1, 2, 3, 0).flatten(2).contiguous().numpy()
        crop = (weights.shape[2] - 1 - padding[0], (weights.shape[3] - 1 - padding[1]) * len(weights))

        def part(first: int, last: int) -> None:
            add_events(given, taps, filled, first, last, len(weights), crop)

        in_parts(part, len(maps), CHUNK)
        return out.movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        maps, weights = ctx.saved_tensors
        wanted = (*ctx.needs_input_grad[:2], False)
        to_maps, to_weights, _ = torch.ops.aten.convolution_backward(
            gradients[0], maps, weights, None, (1, 1), ctx.padding, (1, 1), False, (0, 0), 1, wanted
        )
        return to_maps, to_weights, None


@compiled
def add_events(
    maps: Array, taps: Array, out: Array, first: int, last: int, features: int, crop: tuple[int, int]
) -> None:
    """Fills ``out`` (N, H', W' O) with the convolution of ``maps`` (N, H, W, C) by ``taps`` (C, KH, KW O), for the maps
    from ``first`` to before ``last``.

    ``taps`` are turned by 180 degrees. An event adds to a whole window of a map with margins, which are cut off by
    ``crop``: rows, and places in a row.
    """
    count, kernel, across = taps.shape
    rows, columns = maps.shape[1] + kernel - 1, maps.shape[2] * features + across - features
    full, flat_taps, flat = np.zeros(rows * columns, np.float32), taps.ravel(), maps.ravel()
    size = maps.shape[1] * maps.shape[2] * count
    for i in range(first, last):
        for place in range(len(full)):
            full[place] = ZERO
        for event in range(size):
            value = flat[np.uint64(i * size + event)]
            if value != ZERO:
                c, pixel = event % count, event // count
                to = (pixel // maps.shape[2]) * columns + (pixel % maps.shape[2]) * features
                for k in range(kernel):
                    _add_taps(value, flat_taps, (c * kernel + k) * across, full, to + k * columns, across)
        for y in range(out.shape[1]):
            start = (y + crop[0]) * columns + crop[1]
            for x in range(out.shape[2]):
                out[i, y, x] = full[start + x]


@compiled
def _add_taps(value: Any, taps: Array, first: int, full: Array, to: int, count: int) -> None:
    if count == 24:
        for j in range(24):
            full[np.uint64(to + j)] += value * taps[np.uint64(first + j)]
    elif count == 48:
        for j in range(48):
            full[np.uint64(to + j)] += value * taps[np.uint64(first + j)]
    else:
        for j in range(count):
            full[np.uint64(to + j)] += value * taps[np.uint64(first + j)]
