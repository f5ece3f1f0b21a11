"""One NIR node to one node of ours, exactly, or an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from deploytool.convert.folding import require_finite, same_padding, with_bias
from deploytool.convert.nir.statements import leak_fields, stated
from deploytool.errors import InputError, UnsupportedError
from deploytool.events import Shape
from deploytool.graph import (
    Array,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    Node,
    Output,
    Pair,
    Reset,
    Spike,
    SumPool,
)  # fmt: skip


@dataclass(frozen=True)
class Unsaid:
    """What holds for neurons of which the file does not say it."""

    reset: Reset = "subtract"
    floor: float | None = None
    dt_ms: float | None = None


@dataclass(frozen=True, eq=False)
class Scale:
    """Elementwise product with ``factor``; not a node of a Graph, and folded into weights before there is one."""

    factor: Array


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
            raise InputError(self.where, f"{self.type} has no field {name!r}", "a file with all its fields")
        return self.values[name]

    def array(self, name: str, *axes: int) -> Array:
        """Field ``name``: finite numbers in an array with a number of axes among ``axes`` (none given: any)."""
        array = np.asarray(self.get(name))
        if array.dtype.kind not in "fiu":
            raise InputError(self.where, f"{name} is of {array.dtype}", "numbers")
        if axes and array.ndim not in axes:
            raise InputError(self.where, f"{name} has {array.ndim} axes", " or ".join(map(str, axes)))
        if not array.size:
            raise InputError(self.where, f"{name} is empty", "numbers")
        require_finite(self.where, name, array)
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def integers(self, name: str, least: int) -> tuple[int, ...]:
        """Field ``name``: whole numbers of at least ``least``."""
        array = self.array(name, 0, 1)
        if not np.array_equal(array, np.rint(array)) or np.any(array < least):
            raise InputError(self.where, f"{name} is {array.tolist()}", f"whole numbers of at least {least}")
        return tuple(int(value) for value in array.reshape(-1))

    def integer(self, name: str, least: int) -> int:
        if len(values := self.integers(name, least)) != 1:
            raise InputError(self.where, f"{name} is {values}", "one number")
        return values[0]

    def pair(self, name: str, least: int) -> Pair:
        """Field ``name`` as (vertical, horizontal); one number stands for both."""
        values = self.integers(name, least)
        if len(values) not in (1, 2):
            raise InputError(self.where, f"{name} is {values}", "one number or two")
        return values[0], values[-1]

    def shape(self, name: str) -> Shape:
        """Field ``name`` as (C, H, W); N stands for (N, 1, 1)."""
        return as_shape(self.integers(name, 1), f"{self.where}: {name}")

    def check_known(self, *known: str) -> None:
        """Raises UnsupportedError for a field that is not ``known`` and not zero: it may change what the node does."""
        harmless = {"type", "metadata", "input_type", "output_type", "input_shape", *known}
        for name in sorted(self.values.keys() - harmless):
            value = self.values[name]
            if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "fiub" or np.any(value):
                found = f"{self.type} has a field {name!r} whose meaning we do not know"
                raise UnsupportedError(self.where, found, f"only {', '.join(known) or 'a type'}")


def as_shape(sizes: tuple[int, ...], where: str) -> Shape:
    """``sizes`` (C, H, W) or (N,) as (C, H, W)."""
    match sizes:
        case (int(n),):
            return n, 1, 1
        case (int(c), int(h), int(w)):
            return c, h, w
    raise InputError(where, f"a shape {sizes}", "(C, H, W) or (N,), without axes of batch or time")


def stated_shapes(fields: Fields) -> dict[str, Shape]:
    """{"in" or "out": shape} that the node claims for itself, to be checked against the shapes that are."""
    match fields.type:
        case "Input" | "Output":
            return {"out": fields.shape("shape")} if "shape" in fields.values else {}
        case "Conv2d" if "input_shape" in fields.values:
            weight = fields.array("weight", 4)
            return {"in": (weight.shape[1] * fields.integer("groups", 1), *fields.pair("input_shape", 1))}
        case "Linear" | "Affine":
            return {"in": (fields.array("weight", 2).shape[1], 1, 1)}
        case "Flatten" if "input_type" in fields.values:
            sizes = fields.integers("input_type", 1)
            batch = len(sizes) == 4 and sizes[0] == 1
            return {"in": as_shape(sizes[1:] if batch else sizes, f"{fields.where}: input_type")}
        case "IF" | "LIF" if (threshold := fields.array("v_threshold")).size > 1:
            return {"out": as_shape(threshold.shape, f"{fields.where}: v_threshold")}
    return {}


def _input(fields: Fields, _: Unsaid) -> Node:
    fields.check_known("shape")
    return Input(fields.shape("shape"))


def _output(fields: Fields, _: Unsaid) -> Node:
    fields.check_known("shape")
    return Output()


def _conv(fields: Fields, _: Unsaid) -> Node:
    fields.check_known("weight", "bias", "stride", "padding", "dilation", "groups")
    weight = fields.array("weight", 4)
    stride, dilation = fields.pair("stride", 1), fields.pair("dilation", 1)
    word = fields.get("padding")
    if not isinstance(word, str):
        padding = fields.pair("padding", 0)
    elif word == "same":
        padding = same_padding((weight.shape[2], weight.shape[3]), stride, dilation, fields.where)
    elif word == "valid":
        padding = (0, 0)
    else:
        raise InputError(fields.where, f"padding is {word!r}", "numbers, 'same' or 'valid'")
    return _biased(fields, Conv(weight, None, stride, padding, dilation, fields.integer("groups", 1)))


def _linear(fields: Fields, _: Unsaid) -> Node:
    fields.check_known("weight")
    return Linear(fields.array("weight", 2))


def _affine(fields: Fields, _: Unsaid) -> Node:
    fields.check_known("weight", "bias")
    return _biased(fields, Linear(fields.array("weight", 2)))


def _biased(fields: Fields, node: Conv | Linear) -> Node:
    """``node`` with its bias; zeros are none unless stated otherwise. Some writers leave the field out for none."""
    if "bias" not in fields.values:
        return node
    bias = fields.array("bias", 1)
    if fields.stated.get("bias"):
        return type(node)(**{**vars(node), "bias": bias})
    return with_bias(node, bias)


def _sum_pool(fields: Fields, _: Unsaid) -> Node:
    return SumPool(*_windows(fields))


def _avg_pool(fields: Fields, _: Unsaid) -> Node:
    return AvgPool(*_windows(fields))


def _windows(fields: Fields) -> tuple[Pair, Pair]:
    fields.check_known("kernel_size", "stride", "padding")
    if any(padding := fields.pair("padding", 0)):
        raise UnsupportedError(fields.where, f"{fields.type} with padding {padding}", "padding 0")
    return fields.pair("kernel_size", 1), fields.pair("stride", 1)


def _flatten(fields: Fields, _: Unsaid) -> Node:
    """Flattens the whole map: from axis 0, or from axis 1 where the writer counts an axis of the batch."""
    fields.check_known("start_dim", "end_dim")
    rank = len(fields.integers("input_type", 1)) if "input_type" in fields.values else 3
    start, end = (int(fields.array(name, 0)) for name in ("start_dim", "end_dim"))
    if start + (rank if start < 0 else 0) not in (0, 1) or end not in (-1, rank - 1, rank):
        found = f"Flatten from axis {start} to axis {end}"
        raise UnsupportedError(fields.where, found, "all of the map as a vector: from 0 or 1 to -1")
    return Flatten()


def _integrate_and_fire(fields: Fields, unsaid: Unsaid) -> Node:
    fields.check_known("r", "v_threshold", "v_reset")
    threshold = _neuron_arrays(fields, "r", "v_threshold", "v_reset")["v_threshold"]
    return _spike(fields, unsaid, threshold, fields.array("r"))


def _leaky(fields: Fields, unsaid: Unsaid) -> Node:
    """An LIF node that we wrote. Of any other, the file does not say how far an input moves the membrane."""
    fields.check_known("tau", "r", "v_leak", "v_threshold", "v_reset")
    arrays = _neuron_arrays(fields, "tau", "r", "v_leak", "v_threshold", "v_reset")
    if (tau_ms := fields.stated.get("tau_ms")) is None:
        found = "LIF, of which NIR does not say how far an input moves the membrane (r dt / tau, dt unstated)"
        raise UnsupportedError(fields.where, found, "IF")
    expected = leak_fields(tau_ms, unsaid.dt_ms, arrays["tau"].shape)
    if not all(np.array_equal(arrays[name], array) for name, array in expected.items()):
        raise InputError(
            fields.where, f"tau, r and v_leak are not those of the stated tau of {tau_ms} ms", "both alike"
        )
    return _spike(fields, unsaid, arrays["v_threshold"], np.ones(1), tau_ms)


def _neuron_arrays(fields: Fields, *names: str) -> dict[str, Array]:
    """The parameters ``names``, all of one shape; v_reset may be missing, and must be 0."""
    arrays = {name: fields.array(name) for name in names if name != "v_reset" or name in fields.values}
    if len({array.shape for array in arrays.values()}) > 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(fields.where, f"parameters of unequal shapes: {found}", "one shape")
    if np.any(arrays["v_threshold"] <= 0):
        raise InputError(fields.where, f"v_threshold is {arrays['v_threshold'].min()}", "thresholds above 0")
    if np.any(arrays.get("v_reset", 0)):
        raise UnsupportedError(fields.where, "a v_reset that is not 0", "neurons that reset by subtraction or to 0")
    return arrays


def _spike(fields: Fields, unsaid: Unsaid, v_threshold: Array, r: Array, tau_ms: float | None = None) -> Spike:
    """Neurons with V / r for V, which takes r out of dV = r w: threshold and floor are divided by it."""
    said = fields.stated
    if np.any(r <= 0):
        raise UnsupportedError(fields.where, f"r is {r.min()}", "r above 0")
    floor = said.get("floor", unsaid.floor)
    if floor is not None and np.any(r != 1):
        if isinstance(factor := _one_number(r), np.ndarray):
            raise UnsupportedError(fields.where, "r differs between neurons that have a floor", "one r")
        floor = floor / factor
    threshold = _stated_threshold(fields, v_threshold)
    if np.any(r != 1):
        threshold = _one_number(np.asarray(threshold / r))
    if isinstance(threshold, np.ndarray):
        threshold = threshold.reshape(as_shape(threshold.shape, f"{fields.where}: v_threshold"))
    reset = said.get("reset", unsaid.reset)
    if reset not in ("subtract", "zero"):
        raise InputError(fields.where, f"metadata states the reset {reset!r}", "subtract or zero")
    return Spike(threshold, floor, reset, tau_ms, bool(said.get("at_most_one", True)))


def _stated_threshold(fields: Fields, v_threshold: Array) -> float | Array:
    """The threshold: the stated number where v_threshold is that number in its precision; else v_threshold.

    Where nothing is stated, an array of equal values is one number.
    """
    if "reset" not in fields.stated:
        return _one_number(v_threshold)
    if (number := fields.stated.get("threshold")) is None:
        return v_threshold
    if np.any(v_threshold != v_threshold.dtype.type(number)):
        raise InputError(fields.where, f"v_threshold is not the stated threshold {number}", "both alike")
    return number  # type: ignore[no-any-return]


def _one_number(array: Array) -> float | Array:
    """The value that all of ``array`` has, or ``array``."""
    first = array.reshape(-1)[0]
    return float(first) if np.all(array == first) else array


def _scale(fields: Fields, _: Unsaid) -> Scale:
    fields.check_known("scale")
    return Scale(fields.array("scale"))


NODES: Final[Mapping[str, Callable[[Fields, Unsaid], Node | Scale]]] = MappingProxyType({
    "Input": _input, "Output": _output, "Conv2d": _conv, "Linear": _linear, "Affine": _affine,
    "SumPool2d": _sum_pool, "AvgPool2d": _avg_pool, "Flatten": _flatten,
    "IF": _integrate_and_fire, "LIF": _leaky, "Scale": _scale,
})  # fmt: skip
"""The NIR nodes that are read, beside NIRGraph (flattened) and Identity (left out)."""

NEURONS: Final = ("IF", "LIF")
Parsed: TypeAlias = Node | Scale


def read_node(fields: Fields, unsaid: Unsaid) -> Parsed:
    """The node that ``fields`` describe. Raises UnsupportedError or InputError, naming it."""
    if fields.type not in NODES:
        raise UnsupportedError(fields.where, f"{fields.type} is not supported", f"one of {', '.join(NODES)}")
    return NODES[fields.type](fields, unsaid)
