"""The speed limit of this machine: adding vectors of weights, from the first-level cache, to V in registers."""

# mypy: disable-error-code="no-any-return"
# llvmlite and numba have no types of their own.

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.base.native import Code, aligned, call, lanes_of, native, word

LENGTH: Final = 4096
"""Number of weights: 8 kB of int16, 16 kB of float32."""

PASSES: Final = 5000

UPDATES: Final = LENGTH * PASSES
"""Number of updates per call of the function that `limit` returns."""

REGISTERS: Final = 8
"""Number of vectors of neurons, which are compared with their threshold together."""


class Limit(NamedTuple):
    """The type of V and of the weights, and the number of ``lanes`` of a vector."""

    state: str
    lanes: int


def limit(state: DTypeLike) -> Callable[[], int]:
    """A function that only does `UPDATES` updates of a V of type ``state``.

    Each adds a weight, clamps at a floor, which the addition of integers does by saturating, and compares with a
    threshold.
    """
    kind = np.dtype(state)
    address = native(write_limit, Limit(kind.name, lanes_of(kind)))
    return partial(_run, address, aligned(LENGTH, kind), np.array([100, -100], kind))


def write_limit(shape: Limit) -> Code:
    """The code of (weights, (threshold, floor), passes) -> how often a group of vectors was above the threshold."""
    code = Code(weights=shape.state, numbers=shape.state, passes=None)
    builder, arguments, step = code.builder, code.arguments, REGISTERS * shape.lanes
    numbers = arguments["numbers"]
    threshold, floor = (code.filled(code.load(numbers, word(i)), shape.lanes) for i in range(2))
    held = [code.variable(code.load(arguments["weights"], word(0), shape.lanes)) for _ in range(REGISTERS)]
    seen = code.variable(word(0))
    with code.loop(word(0), arguments["passes"]), code.loop(word(0), word(LENGTH // step)) as group:
        for number, v in enumerate(held):
            place = builder.add(builder.mul(group, word(step)), word(number * shape.lanes))
            total = code.sum(builder.load(v), code.load(arguments["weights"], place, shape.lanes))
            builder.store(code.greater(total, floor) if shape.state == "float32" else total, v)
        highest = code.folded(code.greater, [builder.load(v) for v in held])
        found = builder.zext(code.any(code.above(highest, threshold)), seen.type.pointee)
        builder.store(builder.add(builder.load(seen), found), seen)
    return code.end(builder.load(seen))


@compiled
def _run(address: int, weights: Array, numbers: Array) -> Any:
    return call(address, (weights, numbers, PASSES))
