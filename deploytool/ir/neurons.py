"""Neuron models: how the membrane integrates input, leaks, fires and resets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array, frozen, one_number

Reset: TypeAlias = Literal["subtract", "zero"]


def arrays_of(value: Leak | Neurons) -> dict[str, Array]:
    """{field: array} of the fields that differ between neurons."""
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: array for name, array in values.items() if isinstance(array, np.ndarray)}


def _normalise_arrays(value: Leak | Neurons) -> None:
    """Replaces arrays of equal values in a new ``value`` by one number, and makes the other arrays read-only."""
    for name, array in arrays_of(value).items():
        one = one_number(array)
        object.__setattr__(value, name, frozen(one) if isinstance(one, np.ndarray) else one)


@dataclass(frozen=True, eq=False)
class Leak:
    """Leak of the membrane to ``v_leak`` with time constant ``tau_ms``.

    The synaptic current decays with ``tau_syn_ms``; None means that input acts on V immediately. Each field is one
    number, or an array (C, H, W) with one value per neuron.
    """

    tau_ms: float | Array
    v_leak: float | Array = 0.0
    tau_syn_ms: float | Array | None = None

    def __post_init__(self) -> None:
        _normalise_arrays(self)


@dataclass(frozen=True, eq=False)
class Neurons:
    """Spiking neurons with membrane potential V, in the unit of the weights, V = ``v_init`` at the start. An event of
    weight w adds

        V += w                                                      without a synapse (``leak.tau_syn_ms`` None)
        I += w                                                      with one

    and between events, in continuous time,

        dV/dt = 0                                                   IF: ``leak`` None
        tau_ms dV/dt = v_leak - V                                   LIF
        tau_ms dV/dt = v_leak - V + I,  tau_syn_ms dI/dt = -I       CubaLIF, with I = 0 at the start

    The last two are NIR's equations (Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9) with the input gain
    factored out of V; see convert/nir/neurons.py. After each update V is clamped to at least ``floor`` (None: no
    clamp). A neuron fires as soon as V >= ``threshold``, for LIF and CubaLIF also between events. ``reset`` "subtract"
    then subtracts the threshold from V, and "zero" sets V to ``v_reset``. With ``at_most_one`` a neuron fires at most
    once per update, as on the chip; otherwise it fires until V < threshold.

    ``threshold``, ``v_init`` and ``v_reset`` are one number, or an array (C, H, W) with one value per neuron. Arrays of
    equal values become one number, here and in `Leak`, so that equal neurons compare equal.
    """

    threshold: float | Array = 1.0
    floor: float | None = None
    reset: Reset = "subtract"
    v_init: float | Array = 0.0
    leak: Leak | None = None
    v_reset: float | Array = 0.0
    at_most_one: bool = True

    def __post_init__(self) -> None:
        _normalise_arrays(self)

    @property
    def fires_between(self) -> bool:
        """Whether a neuron can reach its threshold between two inputs. One that leaks to a lower V cannot."""
        if self.leak is None:
            return False
        high = np.asarray(self.leak.v_leak, np.float32) >= np.asarray(self.threshold, np.float32)
        return self.leak.tau_syn_ms is not None or bool(np.any(high))

    def each(self, change: Callable[[Array], Array]) -> Neurons:
        """A copy with ``change`` applied to every array field, for example to reshape or slice the map."""
        leak = self.leak and replace(self.leak, **_changed(self.leak, change))
        return replace(self, leak=leak, **_changed(self, change))


def _changed(value: Leak | Neurons, change: Callable[[Array], Array]) -> dict[str, Any]:
    return {name: change(array) for name, array in arrays_of(value).items()}
