"""The fan-in limit of [constraints]: the largest number of nonzero weights per neuron."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.spec.rule import Violation


def fan_in(weights: Array) -> int:
    """The largest number of nonzero weights of an output feature of ``weights`` (O, ...)."""
    return int(np.count_nonzero(weights.reshape(len(weights), -1), axis=1).max())


def over_fan_in(weights: Mapping[str, Array], limit: int | None) -> tuple[Violation, ...]:
    """Violations of the fan-in ``limit`` among ``weights`` {layer: (O, ...)}; () without a limit."""
    if limit is None:
        return ()
    return tuple(
        Violation(
            "constraints-fan-in",
            (name,),
            f"a neuron has {found} nonzero weights",
            f"at most {limit} (constraints.fan_in)",
            "Train it with that limit.",
        )
        for name, array in weights.items()
        if (found := fan_in(array)) > limit
    )
