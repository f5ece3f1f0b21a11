"""ONNX networks: the same activations with ReLUs, and refusal by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.onnx_files import RNG, norm, onnx, save, stored, write

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, RecipeError, UnsupportedError, UsageError
from deploytool.convert.ann import ann_weights
from deploytool.convert.onnx import read_onnx
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import AvgPool, Conv, Linear, Spike
from deploytool.recipe import NetworkSection


def test_the_network_computes_what_it_did(tmp_path: Path, analog: Callable[[Graph, Array], Array]) -> None:
    model = save(
        tmp_path / "net.onnx",
        ("batch", 2, 9, 9),
        ("Conv", [stored(4, 2, 3, 3), stored(4)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("BatchNormalization", norm(4), {"epsilon": 0.1}),
        ("Relu", [], {}),
        ("AveragePool", [], {"kernel_shape": [2, 2], "strides": [1, 1]}),
        ("Conv", [stored(4, 2, 1, 1)], {"group": 2}),
        ("Add", [stored(1, 4, 1, 1)], {}),
        ("Relu", [], {}),
        ("Identity", [], {}),
        ("GlobalAveragePool", [], {}),
        ("Reshape", [np.array([0, -1])], {}),
        ("MatMul", [stored(4, 6)], {}),
        ("Add", [stored(6)], {}),
        ("Relu", [], {}),
        ("Gemm", [stored(3, 6), stored(3)], {"transB": 1}),
    )
    graph = read_onnx(tmp_path / "net.onnx", threshold=2.0, floor=-1.0)
    values = RNG.normal(size=(2, 9, 9)).astype(np.float32)
    reference = pytest.importorskip("onnx.reference")
    (expected,) = reference.ReferenceEvaluator(model).run(None, {"x": values[None]})
    np.testing.assert_allclose(analog(graph, values).reshape(-1), expected[0].clip(0), rtol=1e-4, atol=1e-5)
    neurons = [node for node in graph.nodes.values() if isinstance(node, Spike)]
    assert [(node.threshold, node.floor, node.reset) for node in neurons] == [(2.0, -1.0, "subtract")] * 4
    assert graph.order[-3:] == ("13.Gemm", "13.Gemm.spike", "output")
    with pytest.raises(UsageError, match=r"--floor: found 0\.5; need a number of at most 0"):
        read_onnx(tmp_path / "net.onnx", floor=0.5)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (("MaxPool", [], {"kernel_shape": [2, 2]}), "node '/1/MaxPool': MaxPool is not supported"),
        (("AveragePool", [], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}), "AveragePool with padding"),
        (("AveragePool", [], {"kernel_shape": [2, 2], "ceil_mode": 1}), "ceil_mode = 1"),
        (("Conv", [stored(1, 2, 2, 2)], {"pads": [0, 0, 1, 1]}), "equal padding on opposite sides"),
        (("Conv", [stored(1, 2, 2, 2)], {"auto_pad": "SAME_UPPER"}), "auto_pad SAME_UPPER"),
        (("Flatten", [], {"axis": 2}), "axis = 2"),
        (("Reshape", [np.array([0, 2, -1])], {}), "Reshape of 2x5x5"),
        (("Add", [stored(1, 2, 5, 5)], {}), "one number, or one for each of the 2 features"),
        (("Cast", [], {"to": onnx.TensorProto.INT64}), "a Cast to INT64; need one of FLOAT, DOUBLE, FLOAT16, BFLOAT16"),
    ],
)
def test_what_is_not_the_same_is_refused_by_name(layer: Any, says: str, tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 2, 5, 5), ("Conv", [stored(2, 2, 1, 1)], {}), layer)
    with pytest.raises(UnsupportedError, match=says):
        read_onnx(tmp_path / "net.onnx")


def test_a_batch_norm_after_a_relu_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 2, 5, 5), ("Relu", [], {}), ("BatchNormalization", norm(2), {}))
    with pytest.raises(UnsupportedError, match=r"'/1/BatchNormalization'.*without weights before it"):
        read_onnx(tmp_path / "net.onnx")


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(InputError, match="no such file"):
        read_onnx(path)
    path.write_bytes(b"a poem")
    with pytest.raises(InputError, match="not a complete ONNX file"):
        read_onnx(path)
    save(path, (1, 2, "height", 5), ("Relu", [], {}))
    with pytest.raises(InputError, match=r"input 'x' has the sizes \[2, 0, 5\]"):
        read_onnx(path)
    save(path, (1, 2, 5, 5), ("Conv", [stored(2, 3, 1, 1)], {}))
    with pytest.raises(InputError, match="'/0/Conv'"):
        read_onnx(path)


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'deploytool\[onnx\]'"):
        read_onnx(tmp_path / "net.onnx")


def recipe_network(*layers: dict[str, Any]) -> NetworkSection:
    return NetworkSection.model_validate({"input": (2, 6, 6), "layers": layers})


CHAIN = (
    {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
    {"type": "spike"},
    {"type": "avgpool", "kernel": 2},
    {"type": "flatten"},
    {"type": "linear", "out": 5},
    {"type": "spike"},
    {"type": "linear", "out": 3},
    {"type": "spike"},
)


def trained_chain(path: Path) -> Graph:
    save(
        path,
        ("batch", 2, 6, 6),
        ("Conv", [stored(4, 2, 3, 3), stored(4)], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", norm(4), {}),
        ("Relu", [], {}),
        ("AveragePool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Flatten", [], {}),
        ("Gemm", [stored(5, 36), stored(5)], {"transB": 1}),
        ("Relu", [], {}),
        ("MatMul", [stored(5, 3)], {}),
    )
    return read_onnx(path)


@pytest.mark.parametrize("answer", [CHAIN, CHAIN[:-1]])
def test_the_arrays_of_an_ann_go_to_the_layers_of_a_recipe(answer: Any, tmp_path: Path) -> None:
    graph = trained_chain(tmp_path / "net.onnx")
    arrays = ann_weights(graph, recipe_network(*answer))
    nodes = [node for node in graph.nodes.values() if isinstance(node, Conv | Linear)]
    for name, node in zip(("conv1", "fc1", "fc2"), nodes, strict=True):
        assert np.array_equal(arrays[name], node.weight)
        bias = np.zeros(len(node.weight)) if node.bias is None else node.bias
        assert np.array_equal(arrays[f"{name}.bias"], bias)
    assert len(arrays) == 6


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (
            ({**CHAIN[0], "kernel": 1, "padding": 0}, *CHAIN[1:]),
            r"'conv1': is a Conv \(4, 2, 1, 1\).*need a Conv \(4, 2, 3",
        ),
        ((*CHAIN[:2], {"type": "sumpool", "kernel": 2}, *CHAIN[3:]), "'pool1': is a SumPool.*need a AvgPool"),
        (CHAIN[:6], "network.layers: 5 layers .*need 7"),
    ],
)
def test_an_ann_of_other_layers_is_refused(layers: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=says):
        ann_weights(trained_chain(tmp_path / "net.onnx"), recipe_network(*layers))


def test_an_ann_of_another_input_is_refused(tmp_path: Path) -> None:
    network = recipe_network(*CHAIN).model_copy(update={"input": (2, 7, 6)})
    with pytest.raises(RecipeError, match=r"network.input: found 2x7x6; need 2x6x6"):
        ann_weights(trained_chain(tmp_path / "net.onnx"), network)


def test_a_module_with_relus_is_an_ann_too() -> None:
    torch = pytest.importorskip("torch")
    from deploytool.convert.torch.modules import from_module

    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    ).eval()
    arrays = ann_weights(from_module(module, (2, 6, 6), relu=Spike()), recipe_network(*CHAIN))
    assert np.array_equal(arrays["fc2.bias"], module[7].bias.detach().numpy())
    with pytest.raises(UnsupportedError, match="ReLU is not supported"):
        from_module(module, (2, 6, 6))


def test_operators_of_stored_arrays_are_computed(tmp_path: Path) -> None:
    """Equal arrays are written once, with an Identity for the others; weights may be transposed, or int8."""
    integers, scale = RNG.integers(-127, 128, (3, 16)).astype(np.int8), np.float32(0.01)
    tensors = {"w": stored(4, 1, 3, 3), "one": np.ones(4, np.float32), "zero": np.zeros(4, np.float32), "q": integers}
    tensors |= {"scale": np.array(scale)}
    make = onnx.helper.make_node
    nodes = [
        make("Identity", ["one"], ["variance"]),
        make("Identity", ["zero"], ["mean"]),
        make("Conv", ["x", "w"], ["a"]),
        make("BatchNormalization", ["a", "one", "zero", "mean", "variance"], ["b"], epsilon=0.0),
        make("Relu", ["b"], ["c"]),
        make("Flatten", ["c"], ["d"]),
        make("DequantizeLinear", ["q", "scale"], ["r"]),
        make("Transpose", ["r"], ["t"], perm=[1, 0]),
        make("MatMul", ["d", "t"], ["y"]),
    ]
    write(tmp_path / "net.onnx", nodes, tensors, ("batch", 1, 4, 4))
    graph = read_onnx(tmp_path / "net.onnx")
    (linear,) = (graph.nodes[name] for name in graph.of_type(Linear))
    assert isinstance(linear, Linear)
    np.testing.assert_array_equal(linear.weight, integers * scale)
    (conv,) = (graph.nodes[name] for name in graph.of_type(Conv))
    assert isinstance(conv, Conv)
    np.testing.assert_array_equal(conv.weight, tensors["w"])


@pytest.mark.parametrize(
    ("kind", "arrays", "attributes"),
    [
        ("GlobalAveragePool", [], {}),
        ("ReduceMean", [np.array([-1, -2])], {"keepdims": 0}),
        ("ReduceMean", [np.array([2, 3])], {"keepdims": 1}),
        ("AveragePool", [], {"kernel_shape": [8, 8]}),
    ],
)
def test_every_spelling_of_a_global_average_pool(
    kind: str, arrays: list[Array], attributes: dict[str, Any], tmp_path: Path
) -> None:
    tail: list[tuple[str, list[Array], dict[str, Any]]] = (
        [] if attributes.get("keepdims") == 0 else [("Flatten", [], {})]
    )
    layers = [(kind, arrays, attributes), *tail, ("MatMul", [np.eye(2, dtype=np.float32)], {})]
    save(tmp_path / "net.onnx", ("batch", 2, 8, 8), *layers, opset=18)
    graph = read_onnx(tmp_path / "net.onnx")
    (pool,) = (graph.nodes[name] for name in graph.of_type(AvgPool))
    assert pool.kernel == (8, 8)


def test_a_flatten_in_the_arithmetic_of_shapes(tmp_path: Path) -> None:
    """x.view(x.size(0), -1) with a batch axis of any size."""
    make, tensors = onnx.helper.make_node, {"w": stored(128, 3), "i": np.array(0), "axes": np.array([0])}
    nodes = [
        make("Relu", ["x"], ["a"]),
        make("Shape", ["a"], ["s"]),
        make("Gather", ["s", "i"], ["g"], axis=0),
        make("Unsqueeze", ["g", "axes"], ["u"]),
        make("Concat", ["u", "rest"], ["c"], axis=0),
        make("Reshape", ["a", "c"], ["d"]),
        make("MatMul", ["d", "w"], ["y"]),
    ]
    write(tmp_path / "net.onnx", nodes, tensors | {"rest": np.array([-1])}, ("batch", 2, 8, 8))
    graph = read_onnx(tmp_path / "net.onnx")
    assert [type(graph.nodes[name]).__name__ for name in graph.order] == [
        "Input",
        "Spike",
        "Flatten",
        "Linear",
        "Spike",
        "Output",
    ]


def test_a_declared_batch_size_is_the_batch(tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (8, 2, 3, 3), ("Reshape", [np.array([8, -1])], {}), ("MatMul", [stored(18, 3)], {}))
    assert read_onnx(tmp_path / "net.onnx").shapes["output"] == (3, 1, 1)
    save(tmp_path / "net.onnx", (8, 2, 3, 3), ("Reshape", [np.array([4, -1])], {}), ("MatMul", [stored(36, 3)], {}))
    with pytest.raises(UnsupportedError, match=r"Reshape of 2x3x3 to \(4, -1\); need \(batch, all values\)"):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "ArgMax", "Sigmoid"])
def test_an_answer_at_the_end_is_ignored_with_a_note(kind: str, tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 4), ("Gemm", [stored(3, 4)], {"transB": 1}), (kind, [], {}))
    told: list[str] = []
    graph = read_onnx(tmp_path / "net.onnx", tell=told.append)
    assert graph.order[-2:] == ("0.Gemm.spike", "output")
    assert [note.split(":")[1].split()[:3] for note in told] == [["ignored", "the", kind], ["the", "last", "layer"]]


def test_a_softmax_in_the_middle_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 4), ("Softmax", [], {}), ("Gemm", [stored(3, 4)], {"transB": 1}))
    with pytest.raises(UnsupportedError, match="Softmax is not supported"):
        read_onnx(tmp_path / "net.onnx")


def test_weights_that_are_read_twice_keep_their_batch_norm_out(tmp_path: Path) -> None:
    make, tensors = onnx.helper.make_node, {"w": stored(4, 2, 1, 1)}
    tensors |= dict(zip(("gamma", "beta", "mean", "variance"), norm(4), strict=True))
    nodes = [
        make("Conv", ["x", "w"], ["a"]),
        make("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["b"]),
        make("Add", ["a", "b"], ["y"]),
    ]
    write(tmp_path / "net.onnx", nodes, tensors, (1, 2, 3, 3))
    with pytest.raises(UnsupportedError, match="BatchNormalization of a, which other nodes also use"):
        read_onnx(tmp_path / "net.onnx")


def test_stored_arrays_that_belie_their_shape(tmp_path: Path) -> None:
    model = save(tmp_path / "net.onnx", (1, 4), ("Gemm", [stored(3, 4)], {"transB": 1}))
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"not a complete ONNX file|44 bytes for the shape \(3, 4\); need 48 bytes"):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "absent.bin", "w.bin"])
def test_arrays_outside_the_file_stay_in_its_folder(location: str, tmp_path: Path) -> None:
    model = save(tmp_path / "net.onnx", (1, 4), ("Gemm", [stored(3, 4)], {"transB": 1}))
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "4"), ("length", "48")):
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "model").mkdir()
    for folder in (tmp_path, tmp_path / "model"):
        (folder / "w.bin").write_bytes(b"\0\0\0\0" + data)
    file = tmp_path / "model" / "net.onnx"
    file.write_bytes(model.SerializeToString())
    if location == "w.bin":
        assert read_onnx(file).of_type(Linear)
        (tmp_path / "model" / "w.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"not a complete ONNX file|in the folder of the model|bytes 4 to 52 of w.bin"):
        read_onnx(file)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"strides": [0, 0]}, r"strides = \(0, 0\); need numbers of at least 1"),
        ({"dilations": [0, 1]}, r"dilations = \(0, 1\); need numbers of at least 1"),
        ({"pads": [2**61] * 4}, "pads = .* need 4 numbers of at most"),
        ({"pads": [-1] * 4}, "padding .* need padding of 0 or more"),
        ({"group": 0}, "0 groups; need at least 1"),
    ],
)
def test_numbers_without_meaning(attributes: dict[str, Any], says: str, tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 2, 5, 5), ("Conv", [stored(2, 2, 1, 1)], attributes))
    with pytest.raises((InputError, UnsupportedError), match=says):
        read_onnx(tmp_path / "net.onnx")


def test_a_map_that_no_memory_holds(tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 2, 10**9, 10**9), ("Conv", [stored(2, 2, 1, 1)], {}))
    with pytest.raises(InputError, match="need maps of at most 268,435,456 values"):
        read_onnx(tmp_path / "net.onnx")


def test_stored_arrays_of_other_types(tmp_path: Path) -> None:
    model = save(tmp_path / "net.onnx", (1, 4), ("Gemm", [stored(3, 4)], {"transB": 1}))
    half = onnx.helper.make_tensor("p0_0", onnx.TensorProto.BFLOAT16, (3, 4), np.arange(12, dtype=np.float32))
    model.graph.initializer[0].CopyFrom(half)
    onnx.save(model, tmp_path / "net.onnx")
    linear = read_onnx(tmp_path / "net.onnx").nodes["0.Gemm"]
    assert isinstance(linear, Linear)
    np.testing.assert_array_equal(linear.weight, np.arange(12).reshape(3, 4))
    text = onnx.helper.make_tensor("p0_0", onnx.TensorProto.STRING, (1,), [b"a"])
    model.graph.initializer[0].CopyFrom(text)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match="values of type STRING"):
        read_onnx(tmp_path / "net.onnx")
