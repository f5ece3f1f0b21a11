"""ONNX networks that are taken give the values that onnx's reference gives; what would change them is refused."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from helpers.onnx_files import norm, onnx, save, stored, write

from deploytool.base.arrays import Array
from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.convert.onnx import read_onnx
from deploytool.ir.graph import Graph

Drawn: TypeAlias = tuple[list[Array], dict[str, Any]]
"""The stored inputs and the attributes of an operator."""


class Draw(random.Random):
    """Draws numbers and arrays."""

    def array(self, *shape: int) -> Array:
        return np.random.default_rng(self.getrandbits(32)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("kind", "shape"), [("Add", (3, 1)), ("Div", (3, 1)), ("Mul", (1, 1, 3)), ("Sub", (3, 3))])
def test_an_array_that_would_change_the_shape_of_a_vector_is_refused(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    save(tmp_path / "net.onnx", ("batch", 4), ("MatMul", [stored(4, 3)], {}), (kind, [stored(*shape)], {}))
    with pytest.raises(UnsupportedError, match=f"{kind} with an array of shape .*; need one number, or one for each"):
        read_onnx(tmp_path / "net.onnx")
    save(tmp_path / "net.onnx", ("batch", 4), ("Gemm", [stored(4, 3), stored(*shape)], {}))
    with pytest.raises(UnsupportedError, match=r"Gemm with an array of shape .*of the 3 features"):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 1)])
def test_a_bias_of_another_shape_than_a_convolution_has_is_no_input(shape: tuple[int, ...], tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", (1, 2, 4, 4), ("Conv", [stored(3, 2, 1, 1), stored(*shape)], {}))
    with pytest.raises(InputError, match=r"node '/0/Conv': a bias of shape .*; need shape \(3,\)"):
        read_onnx(tmp_path / "net.onnx")


def test_a_dropout_that_is_on_is_ignored_with_a_note(tmp_path: Path) -> None:
    told: list[str] = []
    for on in (True, False):
        dropout = ("Dropout", [np.array(0.5, np.float32), np.array(on)], {})
        save(tmp_path / "net.onnx", (1, 4), ("MatMul", [stored(4, 3)], {}), dropout, ("Relu", [], {}))
        read_onnx(tmp_path / "net.onnx", tell=told.append)
    assert told == ["net.onnx: ignored the Dropout 1.Dropout, which is on: export the network in eval mode"]


def test_a_batch_norm_of_the_statistics_of_a_batch_is_refused(tmp_path: Path) -> None:
    """Before opset 14 its further outputs said so."""
    make = onnx.helper.make_node
    arrays = dict(zip(("gamma", "beta", "mean", "variance"), norm(2), strict=True))
    for more in (["m", "v", "sm", "sv"], ["", "", "", ""]):
        nodes = [make("Conv", ["x", "w"], ["a"]), make("BatchNormalization", ["a", *arrays], ["b", *more])]
        write(
            tmp_path / "net.onnx",
            [*nodes, make("Relu", ["b"], ["y"])],
            arrays | {"w": stored(2, 1, 1, 1)},
            (1, 1, 3, 3),
            9,
        )
        if any(more):
            with pytest.raises(UnsupportedError, match="statistics of a batch; need its running statistics"):
                read_onnx(tmp_path / "net.onnx")
        else:
            read_onnx(tmp_path / "net.onnx")


def _conv(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    groups = draw.choice((1, 1, shape[1]))
    features, kernel = groups * draw.choice((1, 2)), [draw.choice((1, 2, 3)), draw.choice((1, 2))]
    weight = draw.array(features, shape[1] // groups, *kernel)
    attributes: dict[str, Any] = {"group": groups, "strides": [draw.choice((1, 2)), draw.choice((1, 3))]}
    match draw.randrange(4):
        case 0:
            attributes["pads"] = [draw.choice((0, 1, 2)), 1] * 2
        case 1:
            attributes["auto_pad"] = draw.choice(("VALID", "SAME_UPPER", "SAME_LOWER", "NOTSET"))
        case 2:
            attributes["dilations"] = [draw.choice((1, 2)), draw.choice((1, 2))]
    return [weight, draw.array(features)] if draw.random() < 0.5 else [weight], attributes


def _gemm(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    features, turned = draw.choice((1, 3)), draw.choice((0, 1))
    bias = draw.choice(((), (features,), (1, features), (features, 1), (1,)))
    weight = draw.array(features, shape[1]) if turned else draw.array(shape[1], features)
    return [weight, draw.array(*bias)], {"transB": turned, "alpha": draw.choice((1.0, 1.0, 1.0, 0.5))}


def _array(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    """An array that may be broadcast along any axis."""
    whole = [size if draw.random() < 0.4 else 1 for size in shape]
    per_feature = [1, shape[1], *[1] * (len(shape) - 2)]
    return [draw.array(*draw.choice(([], whole, per_feature, per_feature[1:], shape[-1:])))], {}


def _pool(draw: Draw, _: tuple[int, ...]) -> Drawn:
    attributes = {"kernel_shape": [draw.choice((1, 2)), draw.choice((1, 2, 3))], "strides": [1, draw.choice((1, 2))]}
    more = draw.choice(({}, {}, {"ceil_mode": 1}, {"pads": [1, 0, 1, 0]}, {"auto_pad": "SAME_UPPER"}))
    return [], {**attributes, **more}


def _axes(draw: Draw, _: tuple[int, ...]) -> Drawn:
    return [np.array(draw.choice(([2, 3], [-1, -2], [2], [3], [1], [0])), np.int64)], {}


def _mean(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    return _axes(draw, shape)[0], {"keepdims": draw.choice((0, 1))}


def _reshape(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    size = int(np.prod(shape[1:]))
    wanted = draw.choice(((0, -1), (-1, size), shape, (0, size, 1, 1), (0, shape[1], -1), (0, -1, shape[1])))
    return [np.array(wanted, np.int64)], {}


def _cast(draw: Draw, _: tuple[int, ...]) -> Drawn:
    kinds = onnx.TensorProto
    return [], {"to": draw.choice((kinds.FLOAT, kinds.DOUBLE, kinds.INT32, kinds.BOOL))}


def _batch_norm(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    return [draw.array(shape[1]) for _ in range(3)] + [np.abs(draw.array(shape[1]))], {
        "epsilon": draw.choice((1e-5, 0.5))
    }


def _turned(draw: Draw, shape: tuple[int, ...]) -> Drawn:
    return [], {"perm": draw.sample(range(len(shape)), len(shape))}


def _plain(_: Draw, __: tuple[int, ...]) -> Drawn:
    return [], {}


OPERATORS: Final[Mapping[str, Callable[[Draw, tuple[int, ...]], Drawn]]] = MappingProxyType(
    {
        **dict.fromkeys(("Relu", "Identity", "Dropout", "GlobalAveragePool", "Softmax"), _plain),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _array),
        **dict.fromkeys(("Squeeze", "Unsqueeze"), _axes),
        "Conv": _conv,
        "Gemm": _gemm,
        "MatMul": lambda draw, shape: ([draw.array(shape[-1], draw.choice((1, 2)))], {}),
        "AveragePool": _pool,
        "ReduceMean": _mean,
        "Reshape": _reshape,
        "Flatten": lambda draw, _: ([], {"axis": draw.choice((1, 1, 0, 2, -1))}),
        "Cast": _cast,
        "BatchNormalization": _batch_norm,
        "Transpose": _turned,
    }
)
LAYERS: Final = ("Conv", "Gemm", "MatMul", "Relu")
"""Those that are drawn more often, so that many networks are taken."""


def _answer(model: Any, values: Array) -> Array:
    """What onnx's reference computes. Raises an exception for a model that is no network."""
    from onnx.reference import ReferenceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(ReferenceEvaluator(model).run(None, {"x": values})[0], np.float64)


def _draw(seed: int, path: Path) -> tuple[Any, tuple[int, ...]]:
    """(a random model, which is written to ``path`` and which the reference can compute, the shape of its input)."""
    draw = Draw(seed)
    shape = (1, 3) if draw.random() < 0.3 else (1, draw.choice((1, 2)), draw.choice((1, 4, 5)), draw.choice((1, 5)))
    nodes: list[Any] = [onnx.helper.make_node("Identity", ["x"], ["t0"])]
    tensors: dict[str, Array] = {}
    shapes, model, length = [shape], None, draw.randint(2, 6)
    for _ in range(50 * length):
        index = draw.randrange(len(nodes)) if draw.random() < 0.2 else len(nodes) - 1
        kind, made = draw.choice((*OPERATORS, *6 * LAYERS, "Concat", "Sum")), f"t{len(nodes)}"
        if kind in ("Concat", "Sum"):
            arrays, attributes = [], {"axis": draw.choice((1, 1, -1))} if kind == "Concat" else {}
            names = [f"t{draw.randrange(len(nodes))}"]
        else:
            arrays, attributes = OPERATORS[kind](draw, shapes[index])
            names = [f"{made}_{number}" for number in range(len(arrays))]
        inputs = [f"t{index}", *names]
        if kind in ("Add", "Mul") and draw.random() < 0.3:
            inputs.reverse()
        node = onnx.helper.make_node("Add" if kind == "Sum" else kind, inputs, [made], f"/{made}", **attributes)
        stored_now = tensors | dict(zip(names, arrays, strict=False))
        try:
            larger = write(path, [*nodes, node], stored_now, ("batch", *shape[1:]), 18)
            answer = _answer(larger, np.ones(shape, np.float32))
        except Exception:  # what the reference refuses in any way is no network
            continue
        if answer.ndim in (2, 4) and answer.size:
            nodes, tensors, shapes, model = [*nodes, node], stored_now, [*shapes, answer.shape], larger
        if len(nodes) > length:
            break
    onnx.save(model, path)
    return model, shape


def test_random_networks_give_the_values_of_the_reference(
    tmp_path: Path, analog: Callable[[Graph, Array], Array]
) -> None:
    found: Counter[str] = Counter()
    for seed in range(600):
        model, shape = _draw(seed, tmp_path / "net.onnx")
        try:
            graph = read_onnx(tmp_path / "net.onnx")
        except DeployError:
            found["refused"] += 1
            continue
        found["taken"] += 1
        if model.graph.node[-1].op_type == "Softmax":
            continue
        values = Draw(seed).array(*shape)
        answer = analog(graph, values[0].reshape(*shape[1:], *[1] * (4 - len(shape))))
        expected = _answer(model, values).clip(0)
        message = f"seed {seed}: {[(node.op_type, list(node.input)) for node in model.graph.node]}"
        assert answer.size == expected.size, message
        np.testing.assert_allclose(answer.reshape(-1), expected.reshape(-1), rtol=1e-3, atol=1e-4, err_msg=message)
    assert found["taken"] > 60, found
