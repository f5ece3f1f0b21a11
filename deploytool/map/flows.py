"""The outputs of Graph nodes while they are grouped into layers: spikes, and currents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from deploytool.base.arrays import Array, Pair, Shape, one_number
from deploytool.ir.nodes import Conv, Linear
from deploytool.ir.program import Route


@dataclass(frozen=True, eq=False)
class Tap:
    """Spikes of ``layer`` before they reach weights: pooled, shifted by ``feature_shift`` features, scaled by
    ``factor``, and delayed by ``delay_us``, one number or (C, H, W) of that layer. On a feedback path ``layer`` is the
    name of a Delay."""

    layer: str
    features: int
    pool: Pair = (1, 1)
    feature_shift: int = 0
    factor: float = 1.0
    delay_us: int | Array = 0

    @property
    def plain(self) -> bool:
        """Whether the spikes are unchanged, except for the feature shift."""
        return self.pool == (1, 1) and self.factor == 1 and isinstance(self.delay_us, int) and self.delay_us == 0

    def pooled(self, window: Pair, share: float) -> Tap:
        """A copy after a pooling."""
        pool = self.pool[0] * window[0], self.pool[1] * window[1]
        return replace(self, pool=pool, factor=self.factor * share)

    def delayed(self, delay_us: int | Array, source: Shape) -> Tap:
        """A copy after a Delay of ``delay_us``; the layer's map is ``source``."""
        return replace(self, delay_us=self.delay_us + _at_sources(delay_us, self, source))

    def then(self, way: Tap, source: Shape) -> Tap:
        """A copy continued along ``way``; the layer's map is ``source``."""
        further = self.delayed(way.delay_us, source).pooled(way.pool, way.factor)
        return replace(further, feature_shift=self.feature_shift + way.feature_shift)

    def route(self, to: str, synapses: int) -> Route:
        """The route of the spikes to layer ``to``, to its synapses with index ``synapses``."""
        delay = one_number(np.asarray(self.delay_us))
        delay_us = tuple(delay.ravel().tolist()) if isinstance(delay, np.ndarray) else int(delay)
        return Route(to, self.pool, self.feature_shift, synapses, delay_us)


def _at_sources(delay_us: int | Array, tap: Tap, source: Shape) -> int | Array:
    """``delay_us`` where the spikes of ``tap`` arrive, for each neuron (C, H, W) of their layer; else the nearest."""
    if isinstance(delay_us, int):
        return delay_us
    c, y, x = np.indices(source)
    places = c + tap.feature_shift, y // tap.pool[0], x // tap.pool[1]
    found: Array = delay_us[tuple(np.minimum(at, size - 1) for at, size in zip(places, delay_us.shape, strict=True))]
    return found


@dataclass(frozen=True, eq=False)
class Spikes:
    """Output of ``node``: spikes of one or more layers on a map of ``shape``, treated as a vector if ``flat``."""

    node: str
    taps: tuple[Tap, ...]
    shape: Shape
    flat: bool = False


@dataclass(frozen=True, eq=False)
class WeightedSpikes:
    """The spikes ``source`` multiplied by the weights of ``node``, or by 1 for a shortcut, which has no node."""

    node: str | None
    weights: Conv | Linear
    source: Spikes


@dataclass(frozen=True, eq=False)
class Currents:
    """Output of ``node``: a sum of weighted spikes on a map of ``shape``, computed by the nodes ``through``."""

    node: str
    weighed: tuple[WeightedSpikes, ...]
    shape: Shape
    through: tuple[str, ...]
    flat: bool = False


Flow: TypeAlias = Spikes | Currents
