"""Integrate-and-fire neurons that learn by surrogate gradients: exact forward, fast backward, no state kept.

Over the steps t = 1..T, with V[0] = 0, input current I[t] and threshold theta:

    U[t] = decay V[t-1] + I[t]                               decay 1: IF; below: LIF
    n[t] = max(trunc(U[t] / theta), 0)                       "many" spikes per step
    n[t] = 1 if U[t] >= theta else 0                         "one"
    V[t] = max(U[t] - theta n[t], floor)                     reset "subtract"
    V[t] = max(U[t], floor) where n[t] = 0, else 0           reset "zero"

The floor acts after firing. This is sinabs 3.1.3's IAF with MultiSpike or SingleSpike, MembraneSubtract or
MembraneReset and min_v_mem. Backward through time, dn[t]/dU[t] is replaced by a surrogate g(U[t]) (`SURROGATES`):

    dL/dI[t] = a[t] + (dL/dn[t] - theta a[t]) g(U[t])     with a[t] = decay dL/dI[t+1] where U[t] > floor, else 0

for "subtract"; for "zero" the term with theta is absent and a[t] is also 0 where the neuron fired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor

Surrogate: TypeAlias = Literal["exponential", "periodic", "triangle"]

CHUNK: Final = 1 << 16
"""Neurons whose steps are run together: their buffers stay in the processor's second-level cache."""


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


SURROGATES: Final[Mapping[Surrogate, Callable[[Tensor], Tensor]]] = MappingProxyType({
    "exponential": exponential, "periodic": periodic, "triangle": triangle,
})  # fmt: skip
"""theta g(U) as a function of u = U / theta, overwriting u; so g is the same shape at every threshold."""


@dataclass(frozen=True)
class Neuron:
    """How integrate-and-fire neurons behave; ``threshold`` and ``floor`` are in the unit of their input."""

    threshold: float
    floor: float | None = None
    reset: Literal["subtract", "zero"] = "subtract"
    spikes_per_step: Literal["many", "one"] = "many"
    surrogate: Surrogate = "periodic"
    decay: float = 1.0


def fire(current: Tensor, neuron: Neuron) -> Tensor:
    """Spikes (T, B, ...) of neurons that start at 0 and receive ``current`` (T, B, ...), float32."""
    spikes: Tensor = _Fire.apply(current, neuron)  # type: ignore[no-untyped-call]
    return spikes


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: Neuron) -> Tensor:
        current = current.contiguous()
        membrane, spikes = torch.empty_like(current), torch.empty_like(current)
        for chunk in _chunks(current):
            _integrate(chunk(current), chunk(membrane), chunk(spikes), neuron)
        ctx.save_for_backward(membrane, spikes)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        membrane, spikes = ctx.saved_tensors
        from_spikes = gradients[0].contiguous()
        to_current = torch.empty_like(membrane)
        for chunk in _chunks(membrane):
            _back(chunk(from_spikes), chunk(membrane), chunk(spikes), chunk(to_current), ctx.neuron)
        return to_current, None


def _chunks(like: Tensor) -> Iterator[Callable[[Tensor], Tensor]]:
    """Functions that take the same part (T, n) of any tensor shaped like ``like``, together the whole."""
    size = like[0].numel()

    def part(start: int) -> Callable[[Tensor], Tensor]:
        return lambda tensor: tensor.view(len(tensor), size)[:, start : start + CHUNK]

    return map(part, range(0, size, CHUNK))


def _integrate(current: Tensor, membrane: Tensor, spikes: Tensor, neuron: Neuron) -> None:
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


def _back(from_spikes: Tensor, membrane: Tensor, spikes: Tensor, to_current: Tensor, neuron: Neuron) -> None:
    """Fills ``to_current`` (dL/dI) from ``from_spikes`` (dL/dn), all (T, n)."""
    surrogate, theta = SURROGATES[neuron.surrogate], neuron.threshold
    from_state = torch.zeros_like(membrane[0])
    for t in reversed(range(len(membrane))):
        slope = surrogate(membrane[t] * (1 / theta))
        if neuron.reset == "subtract":
            through_spikes = torch.sub(from_spikes[t], from_state, alpha=theta)
        else:
            through_spikes = from_spikes[t]
            from_state.mul_(spikes[t] == 0)
        torch.addcmul(from_state, through_spikes, slope, value=1 / theta, out=to_current[t])
        if t and neuron.floor is not None:
            torch.mul(to_current[t], membrane[t - 1] > neuron.floor, out=from_state)
        else:
            from_state.copy_(to_current[t])
        if neuron.decay != 1:
            from_state.mul_(neuron.decay)
