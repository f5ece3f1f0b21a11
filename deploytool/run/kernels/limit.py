"""The speed limit of this machine: adding vectors of weights to vectors of state in the first-level cache."""

# mypy: disable-error-code="untyped-decorator, no-any-return"
# numba has no types of its own.

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.run.kernels.general import compiled
from deploytool.run.kernels.vectors import (
    ALIGNMENT,
    Window,
    aligned,
    any_reached,
    filled,
    greater,
    integrated,
    load,
    load_as,
    sizes,
    store,
)

LENGTH: Final = 4096
"""Number of neurons in one pass: 8 kB of int16, 16 kB of float32."""

PASSES: Final = 5000

UPDATES: Final = LENGTH * PASSES
"""Number of updates per call of the function that `limit` returns."""


def limit(state: Any) -> Callable[[], int]:
    """A function that only does `UPDATES` updates of a state of type ``state``, with int8 weights for int16.

    Each adds a weight, clamps at a floor and compares with a threshold, as the fast loops do for an event.
    """
    number: Any = np.dtype(state).type
    window = Window(1, 8, ALIGNMENT // np.dtype(state).itemsize)
    weights = aligned(LENGTH, np.int8 if np.dtype(state).kind == "i" else state)
    return partial(_add, window, aligned(LENGTH, state), weights, number(100), number(-100), PASSES)


@compiled
def _add(window: Any, state: Array, weights: Array, threshold: Any, floor: Any, passes: int) -> int:
    """Adds ``weights`` to ``state`` ``passes`` times; returns how many groups of vectors had V >= threshold."""
    _, vectors, lanes, _ = sizes(window)
    at, low = filled(threshold, window), filled(floor, window)
    seen = 0
    for _ in range(passes):
        for group in range(np.uint64(0), np.uint64(len(state)), vectors * lanes):
            top = low
            for j in range(vectors):
                place = group + j * lanes
                v = integrated(load(state, place, window), load_as(weights, place, low), low)
                store(state, place, v)
                top = greater(top, v)
            seen += any_reached(top, at)
    return seen
