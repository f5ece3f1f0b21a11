"""Which events reach which neurons: the arithmetic of coordinates, along one axis (0 rows, 1 columns)."""

from __future__ import annotations

from deploytool.ir.program import Program, Route, Synapses


def targets(synapses: Synapses, axis: int, position: int) -> list[int]:
    """Rows or columns of the neurons that an event at ``position`` reaches, inside the input map or not."""
    stride, size = synapses.stride[axis], synapses.out_shape[1 + axis]
    taps = range(synapses.kernel[axis])
    shifted = (position + synapses.padding[axis] - tap * synapses.dilation[axis] for tap in taps)
    return [target // stride for target in shifted if target % stride == 0 and 0 <= target // stride < size]


def arrival_size(program: Program, source: str, route: Route, axis: int) -> int:
    """The number of positions along ``axis`` at which spikes of ``source`` can arrive through ``route``."""
    return -(-program.map_of(source)[1 + axis] // route.pool[axis])


def position_outside_map(program: Program, source: str, route: Route) -> tuple[int, int] | None:
    """The first (y, x) outside the input map of ``route.to`` at which a spike of ``source`` still reaches a neuron, or
    None.

    Such spikes come from rows and columns that do not fill a whole pooling window. A network and a Program drop them; a
    chip passes them on.
    """
    synapses = program.layers[route.to].synapses[route.synapses]
    stops = [arrival_size(program, source, route, axis) for axis in (0, 1)]

    def reached(axis: int, start: int) -> int | None:
        return next((p for p in range(start, stops[axis]) if targets(synapses, axis, p)), None)

    outside = [reached(axis, synapses.in_shape[1 + axis]) for axis in (0, 1)]
    if outside == [None, None]:
        return None
    row, column = reached(0, 0), reached(1, 0)
    ends = ((row, outside[1]), (outside[0], column))
    return min(((y, x) for y, x in ends if y is not None and x is not None), default=None)
