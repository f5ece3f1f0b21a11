"""What tests of the borders share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deploytool.base.arrays import Array
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Linear, Spike, SumPool


@pytest.fixture(scope="session")
def analog() -> Callable[[Graph, Array], Array]:
    """The output (C, H, W) of a graph for one map, with a ReLU in place of the neurons."""

    def run(graph: Graph, values: Array) -> Array:
        given: dict[str, Tensor] = {}
        for name in graph.order:
            sources = [given[source] for source in graph.sources(name)]
            given[name] = _apply(graph.nodes[name], sources or [torch.from_numpy(np.asarray(values, np.float64))[None]])
        return given["output"][0].numpy()

    return run


@pytest.fixture(scope="session")
def clocked() -> Callable[[Graph, Array], Array]:
    """The output (T, C, H, W) of a graph for maps (T, C, H, W), one per time step; a neuron may fire often in one."""

    def run(graph: Graph, maps: Array) -> Array:
        given: dict[str, Tensor] = {}
        for name in graph.order:
            sources = [given[source] for source in graph.sources(name)]
            node = graph.nodes[name]
            given[name] = (
                _fire(node, sources[0])
                if isinstance(node, Spike)
                else _apply(node, sources or [torch.from_numpy(np.asarray(maps, np.float64))])
            )
        return given["output"].numpy()

    return run


def _fire(node: Spike, currents: Tensor) -> Tensor:
    v, spikes = torch.zeros_like(currents[0]), []
    for current in currents:
        v = v + current
        fired = torch.floor(v / torch.as_tensor(node.threshold)).clamp(min=0)
        v = v - fired * torch.as_tensor(node.threshold) if node.reset == "subtract" else v * (fired == 0)
        v = v if node.floor is None else v.clamp(min=node.floor)
        spikes.append(fired)
    return torch.stack(spikes)


def _apply(node: object, sources: list[Tensor]) -> Tensor:
    x = sources[0]

    def tensor(array: Array) -> Tensor:
        return torch.from_numpy(array.astype(np.float64))

    match node:
        case Conv():
            bias = None if node.bias is None else tensor(node.bias)
            return functional.conv2d(
                x, tensor(node.weight), bias, node.stride, node.padding, node.dilation, node.groups
            )
        case Linear():
            bias = None if node.bias is None else tensor(node.bias)
            return functional.linear(x.flatten(1), tensor(node.weight), bias)[..., None, None]
        case AvgPool():
            return functional.avg_pool2d(x, node.kernel, node.stride)
        case SumPool():
            return functional.avg_pool2d(x, node.kernel, node.stride) * (node.kernel[0] * node.kernel[1])
        case Spike():
            return functional.relu(x)
        case Add():
            return torch.stack(sources).sum(0)
        case Concat():
            return torch.cat(sources, 1)
    return x.flatten(1)[..., None, None] if type(node).__name__ == "Flatten" else x
