"""Networks with known answers: what a core must do, feature by feature. The emulator gives the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.chip.chips import Core, chip_named
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.selftest.networks import alone, another, events, every_place, layer, program, random_events

ONE: Final[Shape] = (1, 1, 1)
TWO: Final[Shape] = (2, 1, 1)


class Known(NamedTuple):
    """A program on a core, and its input."""

    program: Program
    stream: EventStream


def _core(chip: str, core: int) -> Core:
    return chip_named(chip).cores[core]


def _weights(chip: str, core: int) -> Known:
    """Random weights in the whole kernel memory: 8 features in, 4x4 kernels; events in the middle reach them all."""
    out = _core(chip, core).kernel_words // (8 * 16)
    weights = np.random.default_rng(core).integers(-128, 128, (out, 8, 4, 4))
    whole = layer(weights, (8, 7, 7), (out, 4, 4), threshold=100, floor=-100)
    places = np.random.default_rng(1).permutation(np.repeat(np.arange(8), 6))
    middle = np.stack([places, np.full(48, 3), np.full(48, 3)], axis=1)
    return Known(alone(chip, core, whole), events((8, 7, 7), middle))


def _threshold(chip: str, core: int) -> Known:
    """Subtraction, and a rest above the threshold that waits: weights 3 and 12 at threshold 5."""
    return Known(alone(chip, core, layer([[[[3]]], [[[12]]]], ONE, (2, 1, 1))), events(ONE, np.zeros((9, 3), int)))


def _zero(chip: str, core: int) -> Known:
    """Reset to zero, with the same weights."""
    zero = layer([[[[3]]], [[[12]]]], ONE, (2, 1, 1), reset="zero")
    return Known(alone(chip, core, zero), events(ONE, np.zeros((9, 3), int)))


def _floor(chip: str, core: int) -> Known:
    """A floor of -4 stops inhibition: -2 -4 -4 -4, then 0 4 8."""
    lower = layer([[[[-2]], [[4]]]], TWO, ONE, floor=-4)
    return Known(alone(chip, core, lower), events(TWO, np.array([[c, 0, 0] for c in (0, 0, 0, 0, 1, 1, 1)])))


def _start(chip: str, core: int) -> Known:
    """Membranes that start at 0 to 31, one for each neuron of an oblong map; 16 of them fire at their first event."""
    start = np.random.default_rng(2).permutation(32).astype(np.int16).reshape(2, 2, 8)
    ready = layer([[[[1]]], [[[1]]]], (1, 2, 8), (2, 2, 8), threshold=17, v_init=start)
    return Known(alone(chip, core, ready), every_place((1, 2, 8), 1000))


def _geometry(chip: str, core: int) -> Known:
    """Kernels without symmetry, strides 1 and 2, paddings 1 and 2, on an oblong map."""
    weights = np.random.default_rng(3).integers(-4, 7, (6, 2, 3, 3))
    odd = layer(weights, (2, 8, 14), (6, 8, 8), stride=(1, 2), padding=(1, 2))
    return Known(alone(chip, core, odd), random_events((2, 8, 14), 120, seed=4))


def _destinations(chip: str, core: int) -> Known:
    """Two destinations with poolings 1 and 2, and pooling 4 after one of them; a shift of features beside another."""
    one, two = another(core), another(core, another(core))
    relay = layer(np.eye(2).reshape(2, 2, 1, 1) * 5, (2, 8, 8), (2, 8, 8), [Route("plain"), Route("pooled", (2, 2))])
    rng = np.random.default_rng(5)
    plain = layer(rng.integers(-3, 6, (4, 2, 3, 3)), (2, 8, 8), (4, 8, 8), padding=(1, 1))
    pooled = layer(rng.integers(-3, 6, (4, 2, 2, 2)), (2, 4, 4), (4, 3, 3))
    layers = {"relay": relay, "plain": plain, "pooled": pooled}
    both = program(chip, layers, [core, one, two], [Route("relay")], ["plain", "pooled"])
    return Known(both, random_events((2, 8, 8), 80, seed=6))


def _shift(chip: str, core: int) -> Known:
    """Two cores side by side in the features of ``core``, which pools by 4 before the second."""
    one, two = another(core), another(core, another(core))
    a = layer([[[[5]], [[0]]]], (2, 4, 4), (1, 4, 4), [Route("join", (4, 4))])
    b = layer([[[[0]], [[5]]]], (2, 4, 4), (1, 4, 4), [Route("join", (4, 4), feature_shift=1)])
    join = layer([[[[5]], [[-2]]], [[[3]], [[4]]]], TWO, TWO, floor=-6)
    joined = program(chip, {"a": a, "b": b, "join": join}, [one, two, core], [Route("a"), Route("b")])
    return Known(joined, random_events((2, 4, 4), 60, seed=7))


def _rows(chip: str, core: int) -> Known:
    """Every neuron that the core has: 64x64 neurons of as many features as fit, each fires once."""
    features = _core(chip, core).neuron_words // (64 * 64)
    full = layer(np.full((features, 1, 1, 1), 5), (1, 64, 64), (features, 64, 64))
    return Known(alone(chip, core, full), every_place((1, 64, 64), 100))


CASES: Final[Mapping[str, tuple[str, Callable[[str, int], Known]]]] = MappingProxyType(
    {
        "weights": ("every weight of the kernel memory", _weights),
        "threshold": ("firing at the threshold, subtraction, the rest waits", _threshold),
        "zero": ("reset to zero", _zero),
        "floor": ("the floor stops inhibition", _floor),
        "start": ("initial membranes and their addresses on an oblong map", _start),
        "geometry": ("kernels, strides and paddings of an oblong map", _geometry),
        "destinations": ("two destinations with a pooling each", _destinations),
        "shift": ("pooling by 4 and a shift of features", _shift),
        "rows": ("every neuron of every row", _rows),
    }
)
"""{id: (what it tests, the network for a core)}. Each runs on every core in turn."""
