"""The loops of `neurons` and `pooling` on a CPU, compiled: one pass over memory where torch needs up to a dozen.

The neuron loops compute what `neurons.integrate` and `neurons.back` do, in the same order and with the same roundings,
fused multiply-adds included. Their arrays are (T, n) float32; each call handles some of the n neurons.
"""

# mypy: disable-error-code="untyped-decorator"
# numba has no types of its own.

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled as kept

ZERO: Final = np.float32(0)
ONE: Final = np.float32(1)
TWO: Final = np.float32(2)


compiled = partial(kept, error_model="numpy")
"""The decorator of the loops, which divide like numpy."""


def _of_llvm(name: str, count: int) -> Any:
    """The function ``name`` of LLVM, of ``count`` float32, which loops apply to vectors."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = ir.FloatType()
        kind = ir.FunctionType(number, [number] * count)
        return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [number], kind), values)

    signature = types.float32(*[types.float32] * count)

    def one(_: Any, a: Any) -> Any:  # noqa: ARG001
        return signature, generate

    def three(_: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001
        return signature, generate

    return intrinsic(one if count == 1 else three)


trunc, rint, fabs, fma = (_of_llvm(name, count) for name, count in (("trunc", 1), ("rint", 1), ("fabs", 1), ("fma", 3)))


class Constants(NamedTuple):
    """A `Neuron` as the loops take it: float32 numbers, ``inverse`` 1 / theta, and ``scale`` of the surrogate; whether
    a neuron fires ``many`` times per step, its reset subtracts, the gradient of the reset is ``detached``, and its
    membrane ``saturates`` at the ceiling."""

    theta: np.float32
    inverse: np.float32
    scale: np.float32
    floor: np.float32
    ceiling: np.float32
    decay: np.float32
    many: bool
    subtract: bool
    detached: bool
    saturates: bool


@compiled
def integrate(current: Array, membrane: Array, spikes: Array, first: int, last: int, neuron: Constants) -> None:
    """Fills ``membrane`` (U) and ``spikes`` (n) for ``current``, for the neurons from ``first`` to before ``last``."""
    state = np.zeros(last - first, np.float32)
    for t in range(len(current)):
        step(current[t, first:last], membrane[t, first:last], spikes[t, first:last], state, neuron)


@compiled
def step(current: Array, membrane: Array, spikes: Array, state: Array, neuron: Constants) -> None:
    """Runs one time step. NaN stays NaN, and shows up in the loss."""
    for i in range(len(state)):
        u = fma(state[i], neuron.decay, current[i])
        if neuron.many:
            n = trunc(u / neuron.theta)
            n = ZERO if n < ZERO else n
        else:
            n = ONE if u >= neuron.theta else ZERO
        v = fma(n, -neuron.theta, u) if neuron.subtract else (u if n == ZERO else ZERO)
        v = neuron.floor if v < neuron.floor else v
        membrane[i], spikes[i] = u, n
        state[i] = neuron.ceiling if v > neuron.ceiling else v


@compiled
def back(
    from_spikes: Array, forward: tuple[Array, Array], slopes: Array, first: int, last: int, neuron: Constants
) -> None:
    """Makes ``slopes`` (theta g(U) / scale) what goes to the currents (dL/dI), for ``from_spikes`` (dL/dn).

    ``forward`` is what `integrate` filled, (membrane, spikes).
    """
    membrane, spikes = forward
    state = np.zeros(last - first, np.float32)
    for t in range(len(membrane) - 1, -1, -1):
        before = max(t - 1, 0)
        step_back(
            from_spikes[t, first:last],
            (membrane[before, first:last], spikes[before, first:last]),
            (membrane[t, first:last], spikes[t, first:last]),
            slopes[t, first:last],
            state,
            neuron,
        )


@compiled
def step_back(
    from_spikes: Array,
    before: tuple[Array, Array],
    now: tuple[Array, Array],
    slopes: Array,
    state: Array,
    neuron: Constants,
) -> None:
    """Runs one backward time step; ``state`` comes from the next step, ``before`` is the (membrane, spikes) of the
    previous one, and ``now`` those of this one."""
    if neuron.subtract:
        _through_subtraction(from_spikes, before, slopes, state, neuron)
    else:
        _through_zero(from_spikes, before[0], now, slopes, state, neuron)


@compiled
def _through_subtraction(
    from_spikes: Array, before: tuple[Array, Array], slopes: Array, state: Array, neuron: Constants
) -> None:
    membrane_before, spikes_before = before
    removed = ZERO if neuron.detached else neuron.theta
    for i in range(len(state)):
        through = fma(state[i], -removed, from_spikes[i])
        given = fma(neuron.inverse * through, slopes[i] * neuron.scale, state[i])
        slopes[i] = given
        u = membrane_before[i]
        given = given if u > neuron.floor else ZERO
        if neuron.saturates:
            given = given if u - neuron.theta * spikes_before[i] < neuron.ceiling else ZERO
        state[i] = given * neuron.decay


@compiled
def _through_zero(
    from_spikes: Array, before: Array, now: tuple[Array, Array], slopes: Array, state: Array, neuron: Constants
) -> None:
    membrane, spikes = now
    for i in range(len(state)):
        removed = membrane[i] if spikes[i] <= ONE and not neuron.detached else ZERO
        through = fma(-removed, state[i], from_spikes[i])
        given = fma(neuron.inverse * through, slopes[i] * neuron.scale, state[i] if spikes[i] == ZERO else ZERO)
        slopes[i] = given
        state[i] = given * neuron.decay if before[i] > neuron.floor else ZERO


@compiled
def exponential(membrane: Array, slopes: Array, first: int, last: int, inverse: Any) -> None:
    """Fills ``slopes`` with -2 |u - 1| for u = U / theta."""
    for t in range(len(membrane)):
        u, out = membrane[t, first:last], slopes[t, first:last]
        for i in range(len(out)):
            out[i] = fabs(u[i] * inverse - ONE) * -TWO


@compiled
def periodic(membrane: Array, slopes: Array, first: int, last: int, inverse: Any) -> None:
    """Fills ``slopes`` with 2 (min(u, 1) - 1) - 4 |max(u, 1) - round max(u, 1)|."""
    for t in range(len(membrane)):
        _periodic(membrane[t, first:last], slopes[t, first:last], inverse)


@compiled
def _periodic(membrane: Array, slopes: Array, inverse: Any) -> None:
    for i in range(len(slopes)):
        u = membrane[i] * inverse
        above = ONE if u < ONE else u
        below = (ONE if u > ONE else u) - ONE
        slopes[i] = (below - TWO * fabs(above - rint(above))) * TWO


@compiled
def triangle(membrane: Array, slopes: Array, first: int, last: int, inverse: Any) -> None:
    """Fills ``slopes`` with max(0, 1 - |u - 1|)."""
    for t in range(len(membrane)):
        _triangle(membrane[t, first:last], slopes[t, first:last], inverse)


@compiled
def _triangle(membrane: Array, slopes: Array, inverse: Any) -> None:
    for i in range(len(slopes)):
        slope = ONE - fabs(membrane[i] * inverse - ONE)
        slopes[i] = slope if slope > ZERO else ZERO


@compiled
def spread(pooled: Array, places: Array, first: int, last: int, kernel: int) -> None:
    """Fills ``places`` (N, H, W, C) with the value of its window in ``pooled`` (N, H / kernel, W / kernel, C), 0
    outside whole windows, for the maps from ``first`` to before ``last``."""
    _, rows, columns, features = pooled.shape
    for i in range(first, last):
        for y in range(places.shape[1]):
            for x in range(places.shape[2]):
                out = places[i, y, x]
                if y // kernel < rows and x // kernel < columns:
                    window = pooled[i, y // kernel, x // kernel]
                    for c in range(features):
                        out[c] = window[c]
                else:
                    for c in range(features):
                        out[c] = ZERO
