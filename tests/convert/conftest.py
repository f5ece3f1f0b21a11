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
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Linear, Output, Spike, SumPool


@pytest.fixture(scope="session")
def analog() -> Callable[[Graph, Array], Array]:
    """The output (C, H, W) of a network for one map, with a ReLU in place of the neurons."""

    def run(graph: Graph, values: Array) -> Array:
        x = torch.from_numpy(np.asarray(values, np.float64))[None]
        made: dict[str, Tensor] = {}
        for name in graph.order:
            made[name] = _apply(graph.nodes[name], [made[source] for source in graph.sources(name)] or [x])
        return made[graph.of_type(Output)[0]][0].numpy()

    return run


def _apply(node: object, inputs: list[Tensor]) -> Tensor:
    x = inputs[0]

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
            return torch.stack(inputs).sum(0)
        case Concat():
            return torch.cat(inputs, 1)
    return x.flatten(1)[..., None, None] if type(node).__name__ == "Flatten" else x
