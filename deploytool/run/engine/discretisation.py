"""Discretisation in time: neuron updates over one step, and spikes delayed by whole steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import Bins, steps_at, to_channels_last
from deploytool.ir.program import Program
from deploytool.run.kernels.leaky import Dynamics
from deploytool.run.plan.layers import Fired, LayerPlan

How: TypeAlias = Literal["exact", "impulse", "euler"]


@dataclass(frozen=True)
class TimeSteps:
    """The ``number`` of time steps per sample. ``many``: a neuron may fire more than once per step. ``how``: how a step
    stands for continuous time in neurons that leak, one of `DISCRETISATIONS`. ``bins``: steps of equal time, or of
    equal counts of a sample's events."""

    number: int
    many: bool = True
    how: How = "exact"
    bins: Bins = "time"


NOTHING: Final = np.empty(0, np.int64), np.empty(0, np.int32)


class Discretisation(NamedTuple):
    """``remains``: the share of a potential left after a step of ``x`` time constants. ``gain``: the factor of an
    input, where 1 is the exact effect of a current that is held for the step."""

    remains: Callable[[Array], Array]
    gain: Callable[[Array], Array]


DISCRETISATIONS: Final[Mapping[How, Discretisation]] = MappingProxyType(
    {
        "exact": Discretisation(lambda x: np.exp(-x), np.ones_like),
        "impulse": Discretisation(lambda x: np.exp(-x), lambda x: -x / np.expm1(-x)),
        "euler": Discretisation(lambda x: 1 - x, lambda x: -x / np.expm1(-x)),
    }
)
"""How steps of dt stand for continuous time, with x = dt / tau:

    exact     V decays by exp(-x), and an input w is the exact effect of what drives V during the step: V += w
    impulse   the same decay, but the current of a step comes at once: V += w x / (1 - exp(-x)) (sinabs, Rockpool)
    euler     decays by 1 - x, V += w x / (1 - exp(-x)) (Norse, snnTorch, SpikingJelly)

The last two give V another unit than the first if it was trained without NIR: in that case w is added unchanged.
"""


def advance(v: Array, current: Array, arrived: Array, dynamics: Dynamics, dt_us: float, how: How) -> None:
    """Advances ``v`` (N,), and ``current`` (N,) of neurons with a synapse, by one step with input ``arrived`` (N,).

    With a synapse, where e = exp(-x) of each time constant, input is added to I at the end of the step. In Euler's
    method it is added at the beginning, and the new value of I drives V:

        V = v_leak + (V - v_leak) e + I (e - e_syn) tau_syn / (tau - tau_syn);   I = I e_syn + w
        I = I (1 - x_syn) + w;   V += x (v_leak - V + I)
    """
    remains, gain = DISCRETISATIONS[how]
    x, leak = dt_us / dynamics.tau_us, dynamics.v_leak
    if not len(dynamics.tau_syn_us):
        v[:] = leak + (v - leak) * remains(x) + arrived * gain(x)
        return
    x_syn = dt_us / dynamics.tau_syn_us
    if how == "euler":
        current[:] = current * remains(x_syn) + arrived * gain(x_syn)
        v += x * (leak - v + current)
        return
    v[:] = leak + (v - leak) * remains(x) + current * response(x, x_syn)
    current[:] = current * remains(x_syn) + arrived * gain(x_syn)


def response(x: Array, x_syn: Array) -> Array:
    """Change of V caused by a synaptic current of 1 after ``x`` membrane and ``x_syn`` synaptic time constants.

    (exp(-x) - exp(-x_syn)) x / (x_syn - x), and x exp(-x) where both are the same.
    """
    apart = x_syn - x
    same = np.abs(apart) < 1e-9 * x
    return np.where(same, x * np.exp(-x), x * np.exp(-x) * -np.expm1(-apart) / np.where(same, 1, apart))


class Ticks:
    """The number of ticks of the slow clock in each of ``time_steps`` of equal time."""

    def __init__(self, program: Program, time_steps: int, duration_us: int) -> None:
        steps = steps_at(program.ticks_us(duration_us), time_steps, duration_us)
        self.numbers = np.bincount(steps, minlength=time_steps)

    def at(self, step: int) -> Fired:
        """(amounts, neurons) of the clock, a source of one neuron, at ``step``."""
        number = self.numbers[step : step + 1]
        return number[number > 0], np.zeros(np.count_nonzero(number), np.int32)


class DelayedSpikes:
    """Spikes on delayed routes, in whole steps. Raises UnsupportedError for other delays."""

    def __init__(self, program: Program, time_steps: int, duration_us: int) -> None:
        self.program = program
        self.flow_of = {(each.to, each.number): flow for flow, each in enumerate(program.delayed)}
        self.steps: list[Array] = []
        self.due: dict[tuple[int, int], list[Fired]] = {}
        for to, _, source, route in program.delayed:
            scaled = to_channels_last(route.delays_us(program.map_of(source))) * time_steps
            if np.any(scaled % duration_us):
                raise UnsupportedError(
                    f"route from {source!r} to {to!r}",
                    f"a delay that is not a whole number of steps of {duration_us / time_steps:g} us",
                    "whole steps in the clock-driven run",
                    "Choose another number of time steps, or use an event-driven target.",
                )
            self.steps.append(scaled // duration_us)

    def arrivals(self, layer: LayerPlan, fired: Mapping[str, Fired], step: int) -> Fired:
        """(amounts, rows of ``layer.coordinates``) of the input at ``step``, delayed or not."""
        amounts, sites = [], []
        for number, (source, offset) in enumerate(layer.sources, start=-layer.ticks):
            flow = self.flow_of.get((layer.name, number))
            for each in [fired[source]] if flow is None else self.due.pop((flow, step), [NOTHING]):
                amounts.append(each[0])
                sites.append(each[1] + np.int32(offset))
        return np.concatenate(amounts), np.concatenate(sites)

    def leave(self, fired: Mapping[str, Fired], step: int) -> None:
        """Puts the spikes ``fired`` at ``step`` on the delayed routes."""
        for flow, (_, _, source, _) in enumerate(self.program.delayed):
            amounts, neurons = fired[source]
            steps = self.steps[flow][neurons]
            for later in np.unique(steps):
                now = steps == later
                self.due.setdefault((flow, step + int(later)), []).append((amounts[now], neurons[now]))
