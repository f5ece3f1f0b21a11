"""Which events reach which neurons: the arithmetic of coordinates, along one axis (0 rows, 1 columns)."""

from __future__ import annotations

from deploytool.ir.program import Program, Route, Synapses


def targets(synapses: Synapses, axis: int, position: int) -> list[int]:
    """Rows or columns of the neurons that an event at ``position``, inside the input map or not, reaches."""
    stride, size = synapses.stride[axis], synapses.out_shape[1 + axis]
    taps = range(synapses.kernel[axis])
    shifted = (position + synapses.padding[axis] - tap * synapses.dilation[axis] for tap in taps)
    return [target // stride for target in shifted if target % stride == 0 and 0 <= target // stride < size]


def arriving(program: Program, source: str, route: Route, axis: int) -> int:
    """How many positions along ``axis`` the spikes of ``source`` take at the end of ``route``."""
    return -(-program.map_of(source)[1 + axis] // route.pool[axis])


def stray(program: Program, source: str, route: Route) -> tuple[int, int] | None:
    """The first (y, x) outside the map of ``route.to`` that a spike of ``source`` can take and that reaches a neuron.

    Such positions come from rows and columns that fill no whole pooling window. The network leaves them out, and
    so does a Program; a chip passes them on.
    """
    synapses = program.layers[route.to].synapses[route.synapses]
    height, width = synapses.in_shape[1:]
    rows, columns = (
        [p for p in range(arriving(program, source, route, axis)) if targets(synapses, axis, p)] for axis in (0, 1)
    )
    return next(((y, x) for y in rows for x in columns if y >= height or x >= width), None)
