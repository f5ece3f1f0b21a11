"""Follows one sample through a program: every input event of every layer and every spike, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.program import Program
from deploytool.ir.traffic import Arrivals
from deploytool.run.plan.layers import LayerPlan

_NONE: Final = (*(np.empty(0, np.int64) for _ in range(4)), np.empty((0, 3), np.int64))


@dataclass(eq=False)
class Follower:
    """Listens to a run of ``program`` and keeps what it hears.

    ``causes`` order what happens: the number of the causing input event, or of the time step, or a key of the time and
    the root (`deploytool.run.engine.windowed`).
    """

    program: Program
    inputs: dict[str, list[tuple[Array, ...]]] = field(default_factory=dict)
    outputs: dict[str, list[Array]] = field(default_factory=dict)

    def arrived(self, layer: LayerPlan, causes: Array, times_us: Array, sites: Array) -> None:
        """``layer`` is about to process input events at ``sites`` (N,), rows of ``layer.coordinates``, in order.

        All parts of a logical layer get the same events; those of the first are kept.
        """
        logical, _ = self.program.place_in(layer.name)
        if self.program.parts[logical][0] != layer.name:
            return
        inside = layer.coordinates[sites, 0] >= 0
        causes, times_us, sites = causes[inside], times_us[inside], sites[inside]
        offsets = np.array([offset for _, offset in layer.feeders] + ([layer.tick_site] if layer.ticks else []))
        flows = np.searchsorted(offsets, sites, side="right") - 1
        each = causes, times_us, flows, sites - offsets[flows], layer.coordinates[sites]
        self.inputs.setdefault(logical, []).append(each)

    def left(self, layer: str, causes: Array) -> None:
        """Logical layer ``layer`` fired spikes, in order, each caused by one of ``causes`` (N,)."""
        self.outputs.setdefault(layer, []).append(causes)

    def arrivals(self) -> dict[str, Arrivals]:
        """{logical layer: its input events}."""
        return {name: Arrivals(*_joined([_NONE, *self.inputs.get(name, [])])) for name in self.program.parts}

    def causes(self) -> dict[str, Array]:
        """{logical layer: (N,) the cause of each spike}."""
        return {name: np.concatenate([_NONE[0], *self.outputs.get(name, [])]) for name in self.program.parts}


def _joined(parts: list[tuple[Array, ...]]) -> tuple[Any, ...]:
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
