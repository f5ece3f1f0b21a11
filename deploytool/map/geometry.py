"""Which events reach which neurons: the arithmetic of coordinates, along one axis (0 rows, 1 columns)."""

from __future__ import annotations

from deploytool.ir.program import Layer, Program, Route


def targets(layer: Layer, axis: int, position: int) -> list[int]:
    """Rows or columns of the neurons of ``layer`` that an event at ``position`` reaches, inside its map or not."""
    stride, size = layer.stride[axis], layer.out_shape[1 + axis]
    shifted = (position + layer.padding[axis] - tap * layer.dilation[axis] for tap in range(layer.kernel[axis]))
    return [target // stride for target in shifted if target % stride == 0 and 0 <= target // stride < size]


def arriving(program: Program, source: str, route: Route, axis: int) -> int:
    """How many positions along ``axis`` the spikes of ``source`` take at the end of ``route``."""
    return -(-program.map_of(source)[1 + axis] // route.pool[axis])


def stray(program: Program, source: str, route: Route) -> tuple[int, int] | None:
    """The first (y, x) outside the map of ``route.to`` that a spike of ``source`` can take and that reaches a neuron.

    Such positions come from rows and columns that fill no whole pooling window. The network leaves them out, and
    so does a Program; a chip passes them on.
    """
    layer = program.layers[route.to]
    height, width = layer.in_shape[1:]
    rows, columns = (
        [p for p in range(arriving(program, source, route, axis)) if targets(layer, axis, p)] for axis in (0, 1)
    )
    return next(((y, x) for y in rows for x in columns if y >= height or x >= width), None)
