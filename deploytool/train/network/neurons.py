"""Integrate-and-fire neurons that learn by surrogate gradients: exact forward, fast backward, no state kept.

Over the steps t = 1..T, with V[0] = 0, input current I[t] and threshold theta:

    U[t] = decay V[t-1] + I[t]                               decay 1: IF; below: LIF
    n[t] = max(trunc(U[t] / theta), 0)                       "many" spikes per step
    n[t] = 1 if U[t] >= theta else 0                         "one"
    V[t] = max(U[t] - theta n[t], floor)                     reset "subtract"
    V[t] = max(U[t], floor) where n[t] = 0, else 0           reset "zero"

The floor acts after firing. So does the ceiling, the largest number that the chip's state can hold. Only "one" spike
per step with "subtract" can reach it, because every other combination leaves V below theta. This is sinabs 3.1.3's IAF
with MultiSpike or SingleSpike, MembraneSubtract or MembraneReset and min_v_mem. Backward through time, dn[t]/dU[t] is
replaced by a surrogate g(U[t]) (`SURROGATES`):

    dL/dI[t] = a[t] + (dL/dn[t] - theta a[t]) g(U[t])                         "subtract"
    dL/dI[t] = [n[t] = 0] a[t] + (dL/dn[t] - [n[t] <= 1] U[t] a[t]) g(U[t])   "zero"

with a[t] = dL/dV[t] = decay dL/dI[t+1] where U[t] > floor and V[t] is below the ceiling, else 0. For "zero" this is the
gradient of V[t] = max(1 - n[t], 0) U[t]: of (1 - n[t]) U[t], as TET and MTT train, where a neuron fires at most once.
With the reset gradient "detached" (sinabs's MembraneReset) the term of a[t] in the brackets is absent: the reset is a
constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from deploytool.train.network import loops
from deploytool.train.network.threads import in_parts

Surrogate: TypeAlias = Literal["exponential", "periodic", "triangle"]

CHUNK: Final = 1 << 13
"""The number of neurons that a compiled loop runs together; their state fits the processor's first-level cache."""


def exponential(u: Tensor) -> Tensor:
    """2 exp(-2 |u - 1|), in place; ``u`` is the membrane over the threshold.

    Single exponential of Shrestha and Orchard, 2018 (SLAYER); sinabs's SingleExponential with its default width.
    """
    return u.sub_(1).abs_().mul_(-2).exp_().mul_(2)


def periodic(u: Tensor) -> Tensor:
    """exp(-2 (1 - u)) below the threshold, exp(-4 |u - round u|) above it, in place; ``u`` as above.

    Periodic exponential of Weidel and Sheik, 2021 (WaveSense): a neuron far above threshold still learns. It is
    sinabs's PeriodicExponential with grad_width 0.5 theta and grad_scale 1 / theta, its defaults at theta = 1.
    """
    above = u.clamp(min=1)
    above.sub_(above.round()).abs_()
    return u.clamp_(max=1).sub_(1).sub_(above, alpha=2).mul_(2).exp_()


def triangle(u: Tensor) -> Tensor:
    """max(0, 1 - |u - 1|), in place; ``u`` as above. Used by TET (Deng et al., 2022) and MTT (Du et al., 2025)."""
    return u.sub_(1).abs_().neg_().add_(1).clamp_(min=0)


SURROGATES: Final[Mapping[Surrogate, Callable[[Tensor], Tensor]]] = MappingProxyType(
    {
        "exponential": exponential,
        "periodic": periodic,
        "triangle": triangle,
    }
)
"""theta g(U) as a function of u = U / theta, overwriting u; so g is the same shape at every threshold."""


@dataclass(frozen=True)
class Neuron:
    """How integrate-and-fire neurons behave; ``threshold`` and ``floor`` are in the unit of their input."""

    threshold: float
    floor: float | None = None
    reset: Literal["subtract", "zero"] = "subtract"
    spikes_per_step: Literal["many", "one"] = "many"
    reset_gradient: Literal["full", "detached"] = "full"
    surrogate: Surrogate = "periodic"
    decay: float = 1.0
    ceiling: float = math.inf
    whole: bool = False
    """Currents are whole numbers; results of inexact sums (on a GPU) are rounded first."""

    @property
    def saturates(self) -> bool:
        """Whether V can pass the ceiling."""
        return self.ceiling < math.inf and self.spikes_per_step == "one" and self.reset == "subtract"


def fire(current: Tensor, neuron: Neuron) -> Tensor:
    """Spikes (T, B, ...) of neurons that start at 0 and receive ``current`` (T, B, ...), float32."""
    spikes: Tensor = _Fire.apply(current, neuron)  # type: ignore[no-untyped-call]
    return spikes


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: Neuron) -> Tensor:
        current = (current.round() if neuron.whole else current).contiguous()
        membrane, spikes = torch.empty_like(current), torch.empty_like(current)
        run = integrate_compiled if current.device.type == "cpu" else integrate
        run(by_neuron(current), by_neuron(membrane), by_neuron(spikes), neuron)
        ctx.save_for_backward(membrane, spikes)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        membrane, spikes = ctx.saved_tensors
        from_spikes, to_current = gradients[0].contiguous(), torch.empty_like(membrane)
        run = back_compiled if membrane.device.type == "cpu" else back
        run(by_neuron(from_spikes), by_neuron(membrane), by_neuron(spikes), by_neuron(to_current), ctx.neuron)
        return to_current, None


def by_neuron(tensor: Tensor) -> Tensor:
    """(T, n) of ``tensor`` (T, ...)."""
    return tensor.view(len(tensor), tensor[0].numel())


def integrate_compiled(current: Tensor, membrane: Tensor, spikes: Tensor, neuron: Neuron, chunk: int = CHUNK) -> None:
    """`integrate` on a CPU, ``chunk`` neurons at a time."""
    arrays = [tensor.numpy(force=True) for tensor in (current, membrane, spikes)]
    constants = constants_of(neuron)

    def part(first: int, last: int) -> None:
        loops.integrate(*arrays, first, last, constants)

    in_parts(part, current.shape[1], chunk)


def back_compiled(
    from_spikes: Tensor, membrane: Tensor, spikes: Tensor, to_current: Tensor, neuron: Neuron, chunk: int = CHUNK
) -> None:
    """`back` on a CPU, ``chunk`` neurons at a time. Both use torch's exponential function, so that they agree
    in every bit."""
    given, *forward, slopes = (tensor.numpy(force=True) for tensor in (from_spikes, membrane, spikes, to_current))
    constants, surrogate = constants_of(neuron), SLOPES[neuron.surrogate]

    def part(first: int, last: int) -> None:
        surrogate(forward[0], slopes, first, last, constants.inverse)
        if neuron.surrogate != "triangle":
            to_current[:, first:last].exp_()
        loops.back(given, tuple(forward), slopes, first, last, constants)

    in_parts(part, membrane.shape[1], chunk)


SLOPES: Final = MappingProxyType(
    {"exponential": loops.exponential, "periodic": loops.periodic, "triangle": loops.triangle}
)
"""`SURROGATES` compiled, without the exponential function and a factor."""


def constants_of(neuron: Neuron) -> loops.Constants:
    """``neuron`` as the loops take it."""
    return loops.Constants(
        theta=np.float32(neuron.threshold),
        inverse=np.float32(1 / neuron.threshold),
        scale=np.float32(2 if neuron.surrogate == "exponential" else 1),
        floor=np.float32(-math.inf if neuron.floor is None else neuron.floor),
        ceiling=np.float32(neuron.ceiling if neuron.saturates else math.inf),
        decay=np.float32(neuron.decay),
        many=neuron.spikes_per_step == "many",
        subtract=neuron.reset == "subtract",
        detached=neuron.reset_gradient == "detached",
        saturates=neuron.saturates,
    )


def integrate(current: Tensor, membrane: Tensor, spikes: Tensor, neuron: Neuron) -> None:
    """Fills ``membrane`` (U) and ``spikes`` (n) for ``current``, all (T, n)."""
    state = torch.zeros_like(current[0])
    for step, u, n in zip(current, membrane, spikes, strict=True):
        torch.add(step, state, alpha=neuron.decay, out=u)
        if neuron.spikes_per_step == "many":
            torch.div(u, neuron.threshold, rounding_mode="trunc", out=n).clamp_(min=0)
        else:
            torch.ge(u, neuron.threshold, out=n)
        if neuron.reset == "subtract":
            torch.add(u, n, alpha=-neuron.threshold, out=state)
        else:
            torch.mul(u, n == 0, out=state)
        if neuron.floor is not None:
            state.clamp_(min=neuron.floor)
        if neuron.saturates:
            state.clamp_(max=neuron.ceiling)


def back(from_spikes: Tensor, membrane: Tensor, spikes: Tensor, to_current: Tensor, neuron: Neuron) -> None:
    """Fills ``to_current`` (dL/dI) from ``from_spikes`` (dL/dn), all (T, n)."""
    surrogate, theta = SURROGATES[neuron.surrogate], neuron.threshold
    from_state = torch.zeros_like(membrane[0])
    for t in reversed(range(len(membrane))):
        slope = surrogate(membrane[t] * (1 / theta))
        through_spikes = from_spikes[t]
        if neuron.reset_gradient == "full" and neuron.reset == "subtract":
            through_spikes = torch.sub(through_spikes, from_state, alpha=theta)
        elif neuron.reset_gradient == "full":
            removed = torch.where(spikes[t] <= 1, membrane[t], 0.0)
            through_spikes = torch.addcmul(through_spikes, removed, from_state, value=-1)
        if neuron.reset == "zero":
            from_state.mul_(spikes[t] == 0)
        torch.addcmul(from_state, through_spikes, slope, value=1 / theta, out=to_current[t])
        if t and neuron.floor is not None:
            torch.mul(to_current[t], membrane[t - 1] > neuron.floor, out=from_state)
        else:
            from_state.copy_(to_current[t])
        if t and neuron.saturates:
            below = membrane[t - 1] - neuron.threshold * spikes[t - 1] < neuron.ceiling
            from_state.mul_(below)
        if neuron.decay != 1:
            from_state.mul_(neuron.decay)
