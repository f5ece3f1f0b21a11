"""Rounding of weights so that errors cancel on the events that a layer receives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.chip.integers import IntegerFormat
from deploytool.ir.events import EventStream, bounds_of, count
from deploytool.ir.program import Synapses

Matrix = NDArray[np.float64]

BLOCK: Final = 1024
"""Number of weights of a neuron that are rounded together; more weights are rounded in blocks of this size."""
_DAMPING: Final = 0.01


def second_moments(synapses: Synapses, streams: Sequence[EventStream], windows: int) -> tuple[Matrix, ...]:
    """H = sum of x x^T for each block of a neuron's weights, a matrix (D, D) with D at most BLOCK.

    x (I * KH * KW,) counts the events that one neuron behind ``synapses`` gets through each of its weights in one of
    the ``windows`` of equal length of a sample; the sum is over neurons of one feature, windows and ``streams``, which
    lie on their input map.
    """
    size = synapses.weights[0].size
    blocks = [slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]
    moments = tuple(np.zeros((block.stop - block.start,) * 2) for block in blocks)
    for stream in streams:
        for counts in _windowed(stream, windows):
            patches = _patches(synapses, counts)
            for block, moment in zip(blocks, moments, strict=True):
                moment += patches[:, block].T @ patches[:, block]
    return moments


def compensated(exact: Matrix, moments: Sequence[Matrix], fmt: IntegerFormat) -> Matrix:
    """Integers (O, D) near ``exact`` (O, D) whose errors cancel: they make sum of e H e^T small, e the rows' errors.

    Weight by weight, the busiest first: q_j = round(w_j), then with U the upper Cholesky factor of H^-1

        w_k <- w_k - (w_j - q_j) U_jk / U_jj        for all k > j

    which is the best compensation of the error of w_j by the weights not yet rounded. A weight of 0 stays 0.
    Source: Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ", ICLR 2023, arXiv 2210.17323, equations 2 and 3.
    """
    starts = np.cumsum([0, *map(len, moments)])
    parts = [exact[:, start : start + len(moment)] for start, moment in zip(starts, moments, strict=False)]
    return np.concatenate([_block(part, moment, fmt) for part, moment in zip(parts, moments, strict=True)], axis=1)


def _block(exact: Matrix, moment: Matrix, fmt: IntegerFormat) -> Matrix:
    activity = np.diag(moment)
    if not activity.any():
        return np.clip(np.rint(exact), *fmt.weight_range)
    order = np.argsort(-activity, kind="stable")
    damped = moment[np.ix_(order, order)] + _DAMPING * activity.mean() * np.eye(len(order))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    weights = exact[:, order]
    zero = weights == 0
    rounded = np.empty_like(weights)
    for j in range(len(order)):
        rounded[:, j] = np.where(zero[:, j], 0, np.clip(np.rint(weights[:, j]), *fmt.weight_range))
        weights[:, j:] -= np.outer((weights[:, j] - rounded[:, j]) / upper[j, j], upper[j, j:])
    return rounded[:, np.argsort(order)]


def _windowed(stream: EventStream, windows: int) -> Iterator[Array]:
    """(C, H, W) float32: the number of events at each position, for each nonempty window."""
    for start, end in itertools.pairwise(bounds_of(stream, windows)):
        if end > start:
            yield count(stream.events[start:end], stream.shape).astype(np.float32)


def _patches(synapses: Synapses, counts: Array) -> Array:
    """(N, I * KH * KW) float32: events per weight, for each of the N neurons of a feature that receive events."""
    (rows, columns), (high, wide) = synapses.padding, synapses.dilation
    padded = np.pad(counts, ((0, 0), (rows, rows), (columns, columns)))
    reach = (synapses.kernel[0] - 1) * high + 1, (synapses.kernel[1] - 1) * wide + 1
    views = sliding_window_view(padded, reach, axis=(1, 2))
    views = views[:, :: synapses.stride[0], :: synapses.stride[1], ::high, ::wide]
    patches = views.transpose(1, 2, 0, 3, 4).reshape(-1, synapses.weights[0].size)
    return np.ascontiguousarray(patches[patches.any(axis=1)])
