"""ONNX files of chains and other small networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploytool.base.arrays import Array

onnx = pytest.importorskip("onnx", reason="onnx is an extra")
RNG = np.random.default_rng(0)


def stored(*shape: int) -> Array:
    """Normal random values."""
    return RNG.normal(size=shape).astype(np.float32)


def write(path: Path, nodes: list[Any], tensors: dict[str, Array], shape: tuple[Any, ...], opset: int = 17) -> Any:
    """A file of ``nodes`` from "x" of ``shape`` to what the last one makes, with stored arrays by name."""
    value = onnx.helper.make_tensor_value_info
    ends = value("x", onnx.TensorProto.FLOAT, shape), value(nodes[-1].output[0], onnx.TensorProto.FLOAT, ("n",))
    stored_arrays = [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = onnx.helper.make_graph(nodes, "net", [ends[0]], [ends[1]], stored_arrays)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return model


def save(path: Path, shape: tuple[Any, ...], *layers: tuple[str, list[Array], dict[str, Any]], opset: int = 17) -> Any:
    """A chain of (operator, stored inputs, attributes), written to ``path``."""
    nodes, tensors, last = [], {}, "x"
    for index, (kind, arrays, attributes) in enumerate(layers):
        names = [f"p{index}_{number}" for number in range(len(arrays))]
        tensors |= dict(zip(names, arrays, strict=True))
        nodes.append(onnx.helper.make_node(kind, [last, *names], [f"t{index}"], f"/{index}/{kind}", **attributes))
        last = f"t{index}"
    return write(path, nodes, tensors, shape, opset)


def norm(features: int) -> list[Array]:
    """The stored arrays of a batch norm."""
    return [stored(features), stored(features), stored(features), np.abs(stored(features))]
