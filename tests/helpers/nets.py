"""The networks of the field as graphs, with random weights: VGG and ResNet, of any width, on any map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, AvgPool, Conv, Flatten, Input, Linear, Node, Output, Spike

VGG9: Final = ("p4", 64, 128, "p2", 256, 256, "p2", 512, 512, "p2", 512, 512, "p2")
"""On events of 2x128x128."""
VGGSNN: Final = (64, 128, "p2", 256, 256, "p2", 512, 512, "p2", 512, 512, "p2")
"""On events of 2x48x48."""
VGG11: Final = (64, "p2", 128, "p2", 256, 256, "p2", 512, 512, "p2", 512, 512, "p2")
VGG16: Final = (64, 64, "p2", 128, 128, "p2", 256, 256, 256, "p2", 512, 512, 512, "p2", 512, 512, 512, "p2")
RESNET18: Final = ((64, 2), (128, 2), (256, 2), (512, 2))
RESNET19: Final = ((128, 3), (256, 3), (512, 2))
"""(features, blocks) of each stage, all but the first of which begin with a stride of 2."""


@dataclass
class Builder:
    """A graph that grows: nodes are added behind ``last``, with weights that let about as many spikes out as in.

    ``window`` is that of the average pooling since the last weights, if any."""

    shape: tuple[int, int, int]
    spike: Spike
    gain: float = 1.5
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    last: str = "in"
    window: int = 1

    def __post_init__(self) -> None:
        self.nodes["in"] = Input(self.shape)

    def add(self, name: str, node: Node, *sources: str) -> str:
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources or (self.last,)]
        self.last = name
        return name

    def weights(self, *shape: int) -> np.ndarray:
        scale = self.gain * self.window**1.5 / math.sqrt(math.prod(shape[1:]))
        self.window = 1
        return self.rng.normal(0.0, scale, shape).astype(np.float32)

    def conv(self, name: str, into: int, out: int, kernel: int, stride: int = 1, source: str | None = None) -> str:
        side = kernel // 2
        node = Conv(self.weights(out, into, kernel, kernel), None, (stride, stride), (side, side))
        return self.add(name, node, *([source] if source else []))

    def pool(self, name: str, window: int) -> str:
        self.window = window
        return self.add(name, AvgPool((window, window), (window, window)))

    def head(self, features: int, classes: Sequence[int]) -> Graph:
        self.add("flatten", Flatten())
        for number, out in enumerate(classes, start=1):
            self.add(f"fc{number}", Linear(self.weights(out, features)))
            self.add(f"spike_fc{number}", self.spike)
            features = out
        self.add("out", Output())
        return Graph(self.nodes, tuple(self.edges))


def vgg(
    layers: Sequence[int | str],
    shape: tuple[int, int, int],
    width: int = 1,
    classes: int = 10,
    spike: Spike | None = None,
) -> Graph:
    """3x3 convolutions of so many features, and average poolings; every number of features over ``width``."""
    net = Builder(shape, spike or Spike(1.0, -1.0))
    (features, height, columns), number = shape, 0
    for layer in layers:
        if isinstance(layer, str):
            size = int(layer[1:])
            net.pool(f"pool{len(net.nodes)}", size)
            height, columns = height // size, columns // size
        else:
            number += 1
            net.conv(f"conv{number}", features, layer // width, 3)
            net.add(f"spike{number}", net.spike)
            features = layer // width
    return net.head(features * height * columns, [classes])


def resnet(
    stages: Sequence[tuple[int, int]],
    shape: tuple[int, int, int],
    width: int = 1,
    classes: Sequence[int] = (10,),
    spike: Spike | None = None,
) -> Graph:
    """A 3x3 stem and basic blocks; a shortcut is the identity, or a 1x1 convolution where the shape changes."""
    net = Builder(shape, spike or Spike(1.0, -1.0))
    features = stages[0][0] // width
    net.conv("stem", shape[0], features, 3)
    net.add("spike_stem", net.spike)
    for stage, (wanted, blocks) in enumerate(stages):
        for block in range(blocks):
            at, out = f"{stage}_{block}", wanted // width
            stride = 2 if stage and not block else 1
            source = net.last
            net.conv(f"a{at}", features, out, 3, stride)
            net.add(f"spike_a{at}", net.spike)
            summed = [net.conv(f"b{at}", out, out, 3)]
            same = stride == 1 and features == out
            summed.append(source if same else net.conv(f"shortcut{at}", features, out, 1, stride, source))
            net.add(f"add{at}", Add(), *summed)
            net.add(f"spike{at}", net.spike)
            features = out
    size = -(-shape[1] // 2 ** (len(stages) - 1))
    net.pool("mean", size)
    return net.head(features, classes)


def weight_count(graph: Graph) -> int:
    return sum(node.weight.size for node in graph.nodes.values() if isinstance(node, Conv | Linear))


def neuron_count(graph: Graph) -> int:
    return sum(math.prod(graph.shapes[name]) for name in graph.of_type(Spike))
