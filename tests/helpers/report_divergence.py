"""Two runs of a neuron that part, for the tests of the report."""

from __future__ import annotations

from deploytool.ir.divergence import Explained, LayerDivergence, Place, Side, Update

NEURON = Place("conv1", 2, 3, 4)


def side(run: str, spikes: int, updates: list[tuple[int, float, int]], steps: bool = False) -> Side:
    """A side whose V follows ``updates`` (t_us, weight, spikes), with a threshold of 1."""
    trace, v = [], 0.0
    for t_us, weight, fired in updates:
        end = v + weight - fired
        trace.append(Update(t_us, None if steps else Place("input", 0, 0, 0), weight, v, v + weight, fired, end))
        v = end
    raster = tuple((t_us, 2, 3, 4) for t_us, _, fired in updates for _ in range(fired))
    at = len(updates) // 2
    return Side(run, spikes, trace[at].before, trace[at].after, 1.0, -1.0, tuple(trace), at, raster)


def explained(*sides: Side) -> Explained:
    first = LayerDivergence("conv1", 3000, None, NEURON, (1, 0), (2, 1), ("floor",), (), "floor")
    return Explained(7, "seven", 1, "They differ.", first, sides, (first,))


EVENTS = [(1000, 0.5, 0), (2000, 0.25, 0), (3000, 0.5, 1), (4000, 0.125, 0)]
