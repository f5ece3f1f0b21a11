"""How many weights of a neuron are not 0, and the limit that [constraints] sets."""

from __future__ import annotations

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import FitError


def fan_in(weights: Array) -> int:
    """The most weights other than 0 that an output feature of ``weights`` (O, ...) has."""
    return int(np.count_nonzero(weights.reshape(len(weights), -1), axis=1).max())


def over_fan_in(layer: str, weights: Array, limit: int | None) -> FitError | None:
    """What is wrong with ``weights`` (O, ...) of ``layer`` under a ``limit`` of inputs per neuron, if there is one."""
    if limit is None or (found := fan_in(weights)) <= limit:
        return None
    return FitError(
        f"layer {layer!r}",
        f"a neuron has {found} weights that are not 0",
        f"at most {limit}, constraints.fan_in",
        "Train it with that limit.",
    )
