"""ONNX files with texts that are none, arrays of other shapes and numbers that overflow: one sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploytool.base.errors import DeployError
from deploytool.convert.onnx import read_onnx

onnx = pytest.importorskip("onnx", reason="onnx is an extra")


def model(**arrays: Any) -> Any:
    """A convolution and a batch norm of (1, 2, 5, 5), with ``arrays`` in place of some of its stored ones."""
    stored = {
        "weight": np.ones((4, 2, 3, 3), np.float32),
        **{name: np.ones(4, np.float32) for name in ("gamma", "beta", "mean", "variance")},
        **arrays,
    }
    nodes = [
        onnx.helper.make_node("Conv", ["x", "weight"], ["a"], "/0/Conv"),
        onnx.helper.make_node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["b"], "/1/Norm"),
        onnx.helper.make_node("Relu", ["b"], ["y"], "/2/Relu"),
    ]
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    ends = value("x", kind, (1, 2, 5, 5)), value("y", kind, (1, 4, 3, 3))
    initializers = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()]
    graph = onnx.helper.make_graph(nodes, "net", [ends[0]], [ends[1]], initializers)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def refusal(path: Path) -> str:
    with pytest.raises(DeployError) as error:
        read_onnx(path)
    (problem,) = error.value.problems
    return problem


def saved(content: bytes, path: Path) -> Path:
    path.write_bytes(content)
    return path


def test_the_file_these_are_made_from_is_sound(tmp_path: Path) -> None:
    path = saved(model().SerializeToString(), tmp_path / "net.onnx")
    assert read_onnx(path).shapes["2.Relu"] == (4, 3, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"/0/Conv", "net.onnx: NodeProto: the field 'name' is not UTF-8; need texts in UTF-8."),
        (b"gamma", "net.onnx: NodeProto: the field 'input' is not UTF-8; need texts in UTF-8."),
        (b"epsilon", "not a complete ONNX file ('utf-8' codec can't decode byte 0xc0"),
    ],
)
def test_a_text_that_is_not_utf_8(text: bytes, says: str, tmp_path: Path) -> None:
    made = model()
    made.graph.node[1].attribute.append(onnx.helper.make_attribute("epsilon", 1e-3))
    content = made.SerializeToString().replace(text, b"\xc0" + text[1:])
    assert says in refusal(saved(content, tmp_path / "net.onnx"))


def test_the_name_of_an_array_outside_the_file_that_is_not_utf_8(tmp_path: Path) -> None:
    made = model()
    tensor = made.graph.initializer[0]
    saved(tensor.raw_data, tmp_path / "weights.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    content = made.SerializeToString().replace(b"weight", b"\xc0eight").replace(b"\xc0eights.bin", b"weights.bin")
    assert "the field 'input' is not UTF-8" in refusal(saved(content, tmp_path / "net.onnx"))


@pytest.mark.parametrize("name", ["gamma", "beta", "mean", "variance"])
def test_a_batch_norm_of_another_shape(name: str, tmp_path: Path) -> None:
    path = saved(model(**{name: np.ones((2, 4), np.float32)}).SerializeToString(), tmp_path / "net.onnx")
    says = "net.onnx: node '/1/Norm': a batch norm with an array of shape (2, 4); need arrays of shape (4,)"
    assert says in refusal(path)


def test_weights_that_overflow(tmp_path: Path) -> None:
    """Each stored number is finite, their product is not."""
    arrays = {"gamma": np.full(4, 3e38, np.float32), "weight": np.full((4, 2, 3, 3), 9.0, np.float32)}
    path = saved(model(**arrays).SerializeToString(), tmp_path / "net.onnx")
    assert "node '0.Conv': weight has 72 values that are not finite in float32; need finite" in refusal(path)
