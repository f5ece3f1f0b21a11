"""Networks around every limit of the chip, as programs in integers on drawn cores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from helpers.layers import changed, make_layer
from hypothesis import strategies as st

from deploytool.base.arrays import Pair, Shape
from deploytool.chip.chips import CHIPS
from deploytool.chip.memory import cores_for
from deploytool.ir.program import Layer, Program, Route

CHIP = CHIPS["speck2e"]


@dataclass(frozen=True)
class Menu:
    """What the quantities of a network are drawn from; ``words`` bounds the weights and the neurons of a layer."""

    kernels: tuple[int, ...] = (1, 1, 2, 3, 3, 5, 7, 16)
    strides: tuple[int, ...] = (1, 1, 1, 2, 4, 8)
    paddings: tuple[int, ...] = (0, 0, 1, 2, 7)
    poolings: tuple[int, ...] = (1, 1, 2, 2, 4)
    features: tuple[int, ...] = (1, 2, 3, 8, 9, 16, 17, 32, 64, 65, 128)
    sides: tuple[int, ...] = (1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 24, 31, 32, 33, 34, 48, 63, 64)
    words: int = 1 << 13
    anywhere: bool = False
    """Layers go on cores that do not hold them."""


LEGAL = Menu()
MENUS = {
    "inside all limits": LEGAL,
    "kernel": Menu(kernels=(15, 16, 17), strides=(1, 2), paddings=(0, 7), sides=(16, 17, 20, 24, 33)),
    "stride": Menu(strides=(1, 2, 3, 4, 8, 16)),
    "padding": Menu(paddings=(5, 6, 7, 8)),
    "pooling": Menu(poolings=(1, 2, 3, 4, 8), strides=(1,), sides=(8, 9, 12, 16, 24, 32)),
    "features": Menu(features=(1, 1023, 1024, 1025), kernels=(1,), paddings=(0,), sides=(1, 2), words=1 << 17),
    "sides": Menu(sides=(62, 64, 65, 66, 126, 127, 128, 129, 130), strides=(1, 2, 2, 4), kernels=(1, 2, 3)),
    "memory": Menu(features=(1, 2, 16, 17, 32, 33, 64, 65, 128, 256, 257), words=1 << 17),
    "cores": Menu(words=1 << 15, anywhere=True),
}
"""Menus that each lead to another limit and stay inside most others."""


@st.composite
def layers(draw: st.DrawFn, menu: Menu, into: Shape, out: int | None = None, alike: Layer | None = None) -> Layer:
    """A layer on a map of ``into``, with the geometry of ``alike`` where that is given."""
    if alike is None:
        padding = (draw(st.sampled_from(menu.paddings)), draw(st.sampled_from(menu.paddings)))
        kernel = min(draw(st.sampled_from(menu.kernels)), into[1] + 2 * padding[0], into[2] + 2 * padding[1])
        stride = (draw(st.sampled_from(menu.strides)), draw(st.sampled_from(menu.strides)))
    else:
        padding, kernel, stride = alike.single.padding, alike.single.kernel[0], alike.single.stride
    height, width = ((into[1 + i] + 2 * padding[i] - kernel) // stride[i] + 1 for i in (0, 1))
    count = draw(st.sampled_from(menu.features)) if out is None else out
    while count > 1 and count * max(into[0] * kernel * kernel, height * width) > menu.words:
        count //= 2
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    biased = draw(st.sampled_from([False, False, True]))
    return make_layer(
        weights=rng.integers(-128, 128, (count, into[0], kernel, kernel), np.int8),
        threshold=draw(st.sampled_from([1, 72, 72, 72, 32640])),
        in_shape=into,
        out_shape=(count, height, width),
        routes=(),
        bias=rng.integers(-(1 << 15), 1 << 15, count, np.int16) if biased else None,
        floor=draw(st.sampled_from([-1, -72, -72, -32768])),
        reset=draw(st.sampled_from(["subtract", "zero"])),
        stride=stride,
        padding=padding,
    )


def pooled(shape: Shape, pool: Pair) -> Shape:
    return shape[0], shape[1] // pool[0], shape[2] // pool[1]


@st.composite
def routes(draw: st.DrawFn, menu: Menu, source: Layer, to: str, shift: int = 0) -> Route:
    """A route to ``to``, with a pooling that leaves something of the map."""
    smallest = min(source.out_shape[1:])
    pool = draw(st.sampled_from([size for size in menu.poolings if size <= smallest]))
    return Route(to, (pool, pool), shift)


@st.composite
def chains(draw: st.DrawFn, menu: Menu, into: Shape) -> dict[str, Layer]:
    names = [f"l{i}" for i in range(draw(st.integers(1, 4)))]
    found: dict[str, Layer] = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        layer = draw(layers(menu, into))
        if following is not None:
            layer = replace(layer, routes=(draw(routes(menu, layer, following)),))
            into = pooled(layer.out_shape, layer.routes[0].pool)
        found[name] = layer
    return found


@st.composite
def forks(draw: st.DrawFn, menu: Menu, into: Shape) -> dict[str, Layer]:
    """One layer with two destinations, each with its own pooling."""
    first = draw(layers(menu, into))
    ways = tuple(draw(routes(menu, first, to)) for to in ("b", "c"))
    ends = {way.to: draw(layers(menu, pooled(first.out_shape, way.pool))) for way in ways}
    return {"a": replace(first, routes=ways), **ends}


@st.composite
def joins(draw: st.DrawFn, menu: Menu, into: Shape) -> dict[str, Layer]:
    """Two layers side by side in front of a third, with a gap, with an overlap, or with the same features (an Add)."""
    few = st.sampled_from([1, 2, 5, 16])
    a = draw(layers(menu, into, draw(few)))
    right = a.out_shape[0]
    shift = draw(st.sampled_from([right, right, right, right + 1, right - 1, 0, 0, 1023]))
    b = draw(layers(menu, into, draw(few) if shift else right, alike=a))
    way = draw(routes(menu, a, "c"))
    size = draw(st.sampled_from([0, 0, 0, 1])) + (right + b.out_shape[0] if shift else right)
    c = draw(layers(menu, (size, *pooled(a.out_shape, way.pool)[1:])))
    return {"a": replace(a, routes=(way,)), "b": replace(b, routes=(replace(way, feature_shift=shift),)), "c": c}


@st.composite
def beside_input(draw: st.DrawFn, menu: Menu, into: Shape) -> dict[str, Layer]:
    """The input in front of a layer that another one feeds too."""
    a = changed(draw(layers(menu, into, 2)), stride=(1, 1))
    a = changed(
        a,
        weights=np.ones((2, into[0], 1, 1), np.int8),
        padding=(0, 0),
        out_shape=(2, *into[1:]),
        routes=(Route("b", feature_shift=draw(st.sampled_from([into[0], into[0], into[0] + 1, 0]))),),
    )
    return {"a": a, "b": draw(layers(menu, (into[0] + 2, *into[1:])))}


@st.composite
def programs(draw: st.DrawFn, menu: Menu) -> Program:
    """A network on drawn cores."""
    outside = draw(st.sampled_from([False, False, False, True]))
    first = LEGAL if outside else menu
    height, width = draw(st.sampled_from(first.sides)), draw(st.sampled_from(first.sides))
    window = tuple(draw(st.sampled_from([n for n in first.poolings if n <= side])) for side in (height, width))
    shape = (3 if outside else draw(st.sampled_from([1, 2])), height, width)
    kind = draw(st.sampled_from([chains, chains, chains, forks, joins, joins, beside_input]))
    found: dict[str, Layer] = draw(kind(menu, pooled(shape, window)))
    fed = {chains: ["l0"], forks: ["a"], joins: ["a", "b"], beside_input: ["a", "b"]}[kind]
    cores = on_cores(found, draw(st.permutations(range(len(CHIP.cores)))), menu.anywhere)
    return Program(
        CHIP.name,
        "int8/int16",
        shape,
        tuple(Route(name, window) for name in fed),
        found,
        (list(found)[-1],),
        "",
        core_of=cores,
    )


def on_cores(found: dict[str, Layer], cores: list[int], anywhere: bool) -> dict[str, int]:
    """Each layer on the first of ``cores`` that is free and, unless ``anywhere``, holds it where one does."""
    free, chosen = list(cores), {}
    for name in sorted(found, key=lambda name: len(cores_for(found[name].memory(), CHIP))):
        fitting = set(free) if anywhere else set(free) & set(cores_for(found[name].memory(), CHIP))
        chosen[name] = next((core for core in free if core in fitting), free[0])
        free.remove(chosen[name])
    return chosen
