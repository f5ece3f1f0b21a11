"""What a Graph computes, in torch: the other side of every comparison with a user's module."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from deploytool.base.arrays import Array
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import AvgPool, Concat, Conv, Flatten, Input, Linear, Node, Spike, SumPool


def compute(graph: Graph, maps: Tensor, fire: Callable[[str, Tensor], Tensor]) -> dict[str, Tensor]:
    """The output of every node of ``graph`` for ``maps`` (N, C, H, W), in the dtype of ``maps``.

    ``fire(name, currents)`` returns the spikes of the neurons ``name``. The graph must have no Delay.
    """
    given: dict[str, Tensor] = {}
    for name in graph.order:
        node, sources = graph.nodes[name], [given[source] for source in graph.sources(name)]
        if isinstance(node, Input):
            given[name] = maps
        elif isinstance(node, Spike):
            given[name] = fire(name, sources[0])
        else:
            given[name] = _apply(node, sources)
    return given


def _apply(node: Node, sources: list[Tensor]) -> Tensor:
    x = sources[0]

    def tensor(array: Array | None) -> Tensor | None:
        return None if array is None else torch.tensor(array).to(x)

    match node:
        case Conv():
            weight, bias = tensor(node.weight), tensor(node.bias)
            assert weight is not None
            return functional.conv2d(x, weight, bias, node.stride, node.padding, node.dilation, node.groups)
        case Linear():
            weight, bias = tensor(node.weight), tensor(node.bias)
            assert weight is not None
            return functional.linear(x.flatten(1), weight, bias)[..., None, None]
        case AvgPool():
            return functional.avg_pool2d(x, node.kernel, node.stride)
        case SumPool():
            return functional.avg_pool2d(x, node.kernel, node.stride) * math.prod(node.kernel)
        case Flatten():
            return x.flatten(1)[..., None, None]
        case Concat():
            return torch.cat(sources, 1)
    return torch.stack(sources).sum(0)
