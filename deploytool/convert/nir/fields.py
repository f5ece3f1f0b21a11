"""The validated fields of one NIR node, and the assumptions for what the file does not state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from deploytool.base.arrays import Array, Pair, Shape, are_whole, require_finite
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.nir.statements import stated
from deploytool.ir.neurons import Reset


@dataclass(frozen=True)
class Assumptions:
    """Assumptions about neurons that the file does not state."""

    reset: Reset = "subtract"
    floor: float | None = None
    dt_ms: float | None = None
    """Time step over which a spike acts as a constant current; None where a spike is an impulse."""


def type_of(values: Mapping[str, Any]) -> str:
    """The NIR type that ``values`` name."""
    found = values.get("type")
    return found if isinstance(found, str) else "a node without a type"


@dataclass(frozen=True)
class Fields:
    """The fields of one NIR node as the file has them; ``where`` names file and node."""

    where: str
    values: Mapping[str, Any]

    @property
    def type(self) -> str:
        return type_of(self.values)

    @cached_property
    def stated(self) -> Mapping[str, Any]:
        return stated(self.values, self.where)

    def get(self, name: str) -> Any:
        if name not in self.values:
            raise InputError(self.where, f"{self.type} has no field {name!r}", f"every field of {self.type}")
        return self.values[name]

    def array(self, name: str, *axes: int) -> Array:
        """Field ``name``: an array of finite numbers; its number of axes is one of ``axes`` (any if none is given)."""
        array = self._numbers(name, *axes)
        require_finite(self.where, name, array)
        return array

    def limits(self, name: str) -> Array:
        """Field ``name``: numbers, including infinities, which some writers use for limits."""
        array = self._numbers(name)
        require_finite(self.where, name, array[~np.isinf(array)])
        return array

    def _numbers(self, name: str, *axes: int) -> Array:
        array = np.asarray(self.get(name))
        if array.dtype.kind not in "fiu":
            raise InputError(self.where, f"{name} has dtype {array.dtype}", "numbers")
        if axes and array.ndim not in axes:
            raise InputError(self.where, f"{name} has {array.ndim} axes", " or ".join(map(str, axes)))
        if not array.size:
            raise InputError(self.where, f"{name} is empty", "numbers")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def integers(self, name: str, least: int) -> tuple[int, ...]:
        """Field ``name``: whole numbers of at least ``least``."""
        array = self.array(name, 0, 1)
        if not are_whole(array).all() or np.any(array < least):
            raise InputError(self.where, f"{name} is {array.tolist()}", f"whole numbers of at least {least}")
        return tuple(int(value) for value in array.reshape(-1))

    def integer(self, name: str, least: int) -> int:
        if len(values := self.integers(name, least)) != 1:
            raise InputError(self.where, f"{name} is {values}", "one number")
        return values[0]

    def pair(self, name: str, least: int) -> Pair:
        """Field ``name`` as (vertical, horizontal); a single number means both."""
        values = self.integers(name, least)
        if len(values) not in (1, 2):
            raise InputError(self.where, f"{name} is {values}", "one or two numbers")
        return values[0], values[-1]

    def shape(self, name: str) -> Shape:
        """Field ``name`` as (C, H, W); N means (N, 1, 1)."""
        return as_shape(self.integers(name, 1), f"{self.where}: {name}")

    def check_known(self, *known: str) -> None:
        """Raises UnsupportedError for a nonzero field that is not ``known``, because it may change the computation."""
        harmless = {"type", "metadata", "input_type", "output_type", "input_shape", *known}
        for name in sorted(self.values.keys() - harmless):
            value = self.values[name]
            numbers = isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub"
            if not numbers or np.count_nonzero(value):
                found = f"{self.type} has an unknown field {name!r}"
                raise UnsupportedError(self.where, found, f"only {', '.join(known) or 'a type'}")


def as_shape(sizes: tuple[int, ...], where: str) -> Shape:
    """``sizes`` (C, H, W), (C, L) or (N,) as (C, H, W)."""
    match sizes:
        case (int(n),):
            return n, 1, 1
        case (int(c), int(length)):
            return c, 1, length
        case (int(c), int(h), int(w)):
            return c, h, w
    raise InputError(where, f"a shape {sizes}", "(C, H, W), (C, L) or (N,), without a batch or time axis")
