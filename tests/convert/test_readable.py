"""Layers that only have a number get readable names; nothing else changes."""

from __future__ import annotations

import numpy as np

from deploytool.convert.readable import with_readable_names
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool

ONES = np.ones((2, 2, 3, 3), np.float32)


def named(*names: str) -> list[tuple[str, Node]]:
    nodes = (Conv(ONES), Spike(), SumPool((2, 2), (2, 2)), Conv(ONES), Spike(), Flatten(), Linear(np.ones((3, 2))))
    inside = list(zip(names, (*nodes, Spike()), strict=True))
    return [("input", Input((2, 8, 8))), *inside, ("output", Output())]


def test_layers_of_a_sequential() -> None:
    graph = chain(named(*map(str, range(8))))
    renamed, originals = with_readable_names(graph)
    wanted = ["conv1", "spike1", "pool1", "conv2", "spike2", "flatten1", "fc1", "spike3"]
    assert list(renamed.nodes) == ["input", *wanted, "output"]
    assert originals == dict(zip(wanted, map(str, range(8)), strict=True))
    assert renamed.digest == chain(named(*wanted)).digest


def test_names_that_say_something_stay_and_are_not_taken_twice() -> None:
    graph = chain(named("features.0", "act", "conv2", "features.3", "spike2", "flat", "head.fc", "9"))
    renamed, originals = with_readable_names(graph)
    assert list(renamed.nodes)[1:-1] == ["conv1", "act", "conv2", "conv3", "spike2", "flat", "head.fc", "spike3"]
    assert originals == {"conv1": "features.0", "conv3": "features.3", "spike3": "9"}


def test_numbers_of_onnx_come_with_an_operator() -> None:
    names = ("0.Conv", "1.Relu", "features.2.MaxPool", "Conv.x", "node_relu", "3.Flatten", "9.Gemm", "9.Gemm.spike")
    renamed, _ = with_readable_names(chain(named(*names)))
    wanted = ["conv1", "spike1", "pool1", "Conv.x", "node_relu", "flatten1", "fc1", "spike3"]
    assert list(renamed.nodes)[1:-1] == wanted


def test_a_graph_of_readable_names_is_unchanged() -> None:
    graph = chain(named("a", "b", "c", "d", "e", "f", "g", "h"))
    renamed, originals = with_readable_names(graph)
    assert (renamed.digest, originals) == (graph.digest, {})
