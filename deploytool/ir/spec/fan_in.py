"""The limit that [constraints] sets on the inputs of a neuron: how many of its weights may be other than 0."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.spec.rule import Violation


def fan_in(weights: Array) -> int:
    """The most weights other than 0 that an output feature of ``weights`` (O, ...) has."""
    return int(np.count_nonzero(weights.reshape(len(weights), -1), axis=1).max())


def over_fan_in(weights: Mapping[str, Array], limit: int | None) -> tuple[Violation, ...]:
    """What breaks a ``limit`` of inputs per neuron among the ``weights`` {layer: (O, ...)}; nothing without a limit."""
    if limit is None:
        return ()
    return tuple(
        Violation(
            "constraints-fan-in",
            (name,),
            f"a neuron has {found} weights that are not 0",
            f"at most {limit}, constraints.fan_in",
            "Train it with that limit.",
        )
        for name, array in weights.items()
        if (found := fan_in(array)) > limit
    )
