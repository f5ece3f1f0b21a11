"""The nodes of a network and what they compute.

Every map has the shape (C, H, W); a vector of N is (N, 1, 1). Weights are (O, I, KH, KW) or (O, I); pairs are
(vertical, horizontal). Arrays inside nodes are read-only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Array, Pair, Shape, frozen, one_number
from deploytool.base.errors import InputError
from deploytool.ir.neurons import Leak, Neurons, Reset


def _freeze(node: object, *names: str) -> None:
    for name in names:
        if isinstance(value := getattr(node, name), np.ndarray):
            object.__setattr__(node, name, frozen(value))


@dataclass(frozen=True, eq=False)
class Input:
    """The network's input: events on a map of ``shape`` (C, H, W)."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution: ``weight`` (O, I / groups, KH, KW), ``bias`` (O,) or None; zero padding on both sides."""

    weight: Array
    bias: Array | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        _freeze(self, "weight", "bias")


@dataclass(frozen=True, eq=False)
class Linear:
    """Fully connected: ``weight`` (O, I), ``bias`` (O,) or None, on a vector (I, 1, 1)."""

    weight: Array
    bias: Array | None = None

    def __post_init__(self) -> None:
        _freeze(self, "weight", "bias")


PER_NEURON: Final = ("threshold", "tau_ms", "tau_syn_ms", "v_leak", "v_reset", "v_init")


@dataclass(frozen=True, eq=False)
class Spike:
    """Spiking neurons, with the fields of `Neurons` and of its `Leak`; see there for the equations.

    ``threshold``, ``tau_ms``, ``tau_syn_ms``, ``v_leak``, ``v_reset`` and ``v_init`` are one number, or an array
    (C, H, W) with one value per neuron; arrays of equal values become one number, except for the threshold. Raises
    InputError for a time constant that is not above 0, for ``tau_syn_ms`` or ``v_leak`` without ``tau_ms``, for a floor
    above 0, and for ``v_init`` below the floor.
    """

    threshold: float | Array = 1.0
    floor: float | None = None
    reset: Reset = "subtract"
    tau_ms: float | Array | None = None
    at_most_one: bool = True
    tau_syn_ms: float | Array | None = None
    v_leak: float | Array = 0.0
    v_reset: float | Array = 0.0
    v_init: float | Array = 0.0

    def __post_init__(self) -> None:
        for name in PER_NEURON[1:]:
            if (value := getattr(self, name)) is not None:
                unsigned_zero = np.asarray(value, np.float64) + 0.0
                object.__setattr__(self, name, one_number(unsigned_zero))
        _freeze(self, *PER_NEURON)
        for name in ("tau_ms", "tau_syn_ms"):
            if (value := getattr(self, name)) is not None and not np.all(np.asarray(value) > 0):
                raise InputError("Spike", f"{name} is {np.min(value)}", "time constants above 0")
        if self.tau_ms is None and (self.tau_syn_ms is not None or np.any(self.v_leak)):
            raise InputError("Spike", "tau_syn_ms or v_leak without tau_ms", "the membrane's time constant as well")
        if self.floor is not None and not self.floor <= 0:
            raise InputError("Spike", f"a floor of {self.floor}", "a floor of at most 0, or none")
        if np.any(self.v_init) and self.floor is not None and np.min(self.v_init) < self.floor:
            raise InputError("Spike", f"v_init is {np.min(self.v_init)}", f"at least the floor, {self.floor}")

    @property
    def neurons(self) -> Neurons:
        """The neurons of the layer made from this node."""
        leak = None if self.tau_ms is None else Leak(self.tau_ms, self.v_leak, self.tau_syn_ms)
        return Neurons(self.threshold, self.floor, self.reset, self.v_init, leak, self.v_reset, self.at_most_one)


@dataclass(frozen=True, eq=False)
class SumPool:
    """Sum over windows of ``kernel``; rows and columns that do not fill a whole window are dropped."""

    kernel: Pair
    stride: Pair


@dataclass(frozen=True, eq=False)
class AvgPool:
    """Mean over windows of ``kernel``; rows and columns that do not fill a whole window are dropped."""

    kernel: Pair
    stride: Pair


@dataclass(frozen=True, eq=False)
class Flatten:
    """(C, H, W) to (C * H * W, 1, 1), row-major: index = (c * H + y) * W + x."""


@dataclass(frozen=True, eq=False)
class Add:
    """Sum of several inputs of one shape."""


@dataclass(frozen=True, eq=False)
class Concat:
    """Inputs joined along the feature axis, in the order of the edges."""


@dataclass(frozen=True, eq=False)
class Delay:
    """Delay of spikes: y(t) = x(t - ``delay_us``), whole microseconds, one number or an array (C, H, W).

    Every feedback path needs a Delay. Raises InputError for a delay below 1 us or of a fraction of a microsecond.
    """

    delay_us: int | Array

    def __post_init__(self) -> None:
        delays = np.asarray(self.delay_us)
        if delays.dtype.kind not in "iu" or not delays.size or delays.min() < 1:
            found = f"delay_us is {delays.min() if delays.size else 'empty'}"
            raise InputError("Delay", found, "whole microseconds, at least 1")
        one = delays.ndim == 0
        object.__setattr__(self, "delay_us", int(delays) if one else frozen(delays.astype(np.int64)))


@dataclass(frozen=True, eq=False)
class Output:
    """The network's output."""


Node: TypeAlias = Input | Conv | Linear | Spike | SumPool | AvgPool | Flatten | Add | Concat | Delay | Output
MERGES = (Add, Concat)
