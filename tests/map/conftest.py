"""The networks that several tests of the compiler look at."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool


@pytest.fixture
def nmnist() -> Graph:
    """The bias-free N-MNIST network: 6,160 weights, a 17x17 map pooled by 2 in the middle."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    spike = Spike(threshold=1.0, floor=-1.0)
    nodes: list[tuple[str, Node]] = [
        ("input", Input((2, 34, 34))),
        ("conv1", Conv(weight(8, 2, 3, 3), padding=(1, 1))),
        ("spike1", spike),
        ("pool1", SumPool((2, 2), (2, 2))),
        ("conv2", Conv(weight(16, 8, 3, 3), padding=(1, 1))),
        ("spike2", spike),
        ("pool2", SumPool((2, 2), (2, 2))),
        ("conv3", Conv(weight(16, 16, 3, 3), stride=(2, 2), padding=(1, 1))),
        ("spike3", spike),
        ("flatten1", Flatten()),
        ("fc1", Linear(weight(10, 256))),
        ("spike4", spike),
        ("output", Output()),
    ]
    return chain(nodes, name="nmnist")
