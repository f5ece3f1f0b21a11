"""Neurons: what a membrane does with what arrives, between arrivals, and when it fires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array, frozen, one_number

Reset: TypeAlias = Literal["subtract", "zero"]


def arrays_of(value: Leak | Neurons) -> dict[str, Array]:
    """{field: array} of the fields in which neurons differ."""
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: array for name, array in values.items() if isinstance(array, np.ndarray)}


def _settle(value: Leak | Neurons) -> None:
    """Makes the arrays of a new ``value`` one number where all values are equal, and read-only elsewhere."""
    for name, array in arrays_of(value).items():
        one = one_number(array)
        object.__setattr__(value, name, frozen(one) if isinstance(one, np.ndarray) else one)


@dataclass(frozen=True, eq=False)
class Leak:
    """Membranes that decay to ``v_leak`` with ``tau_ms``; inputs decay with ``tau_syn_ms``, or (None) come at once.

    Each is one number, or an array (C, H, W) where neurons differ.
    """

    tau_ms: float | Array
    v_leak: float | Array = 0.0
    tau_syn_ms: float | Array | None = None

    def __post_init__(self) -> None:
        _settle(self)


@dataclass(frozen=True, eq=False)
class Neurons:
    """Spiking neurons, whose membrane V, in the unit of the weights, starts at ``v_init``. An event of weight w is

        V += w                                                      without a synapse (``leak.tau_syn_ms`` None)
        I += w                                                      with one

    and between events, in continuous time,

        dV/dt = 0                                                   IF: ``leak`` None
        tau_ms dV/dt = v_leak - V                                   LIF
        tau_ms dV/dt = v_leak - V + I,  tau_syn_ms dI/dt = -I       CubaLIF, with I = 0 at the start

    the last two being NIR's (Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9) with their input gain taken out of
    V; convert/nir/neurons.py says what it is. After each update V is clamped to at least ``floor`` (None: no clamp).
    A neuron fires the moment an update leaves V >= ``threshold``, of LIF and CubaLIF also between events; then
    ``reset`` "subtract" takes the threshold off V, and "zero" sets V to ``v_reset``. ``at_most_one`` spike per update
    is what the chip does; otherwise a neuron fires until V < threshold.

    ``threshold``, ``v_init`` and ``v_reset`` are one number, or an array (C, H, W) where neurons differ. Arrays of
    equal values become one number, here and in `Leak`, so that equal neurons are one value.
    """

    threshold: float | Array = 1.0
    floor: float | None = None
    reset: Reset = "subtract"
    v_init: float | Array = 0.0
    leak: Leak | None = None
    v_reset: float | Array = 0.0
    at_most_one: bool = True

    def __post_init__(self) -> None:
        _settle(self)

    @property
    def fires_between(self) -> bool:
        """Whether a neuron can reach its threshold between two inputs, as one that leaks to below it cannot."""
        if self.leak is None:
            return False
        high = np.asarray(self.leak.v_leak, np.float32) >= np.asarray(self.threshold, np.float32)
        return self.leak.tau_syn_ms is not None or bool(np.any(high))

    def each(self, change: Callable[[Array], Array]) -> Neurons:
        """The same neurons with ``change`` made to every array of them, as where their map takes another shape."""
        leak = self.leak and replace(self.leak, **_changed(self.leak, change))
        return replace(self, leak=leak, **_changed(self, change))


def _changed(value: Leak | Neurons, change: Callable[[Array], Array]) -> dict[str, Any]:
    return {name: change(array) for name, array in arrays_of(value).items()}
