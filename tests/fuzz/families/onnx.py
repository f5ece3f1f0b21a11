"""ONNX files: every field of the protocol buffers of a sound network set to something else, and external data."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor as Descriptor
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

from deploytool.workflow.sources.networks import ImportOptions
from tests.fuzz.damage import FLOATS, NAMES, NUMBERS, damaged
from tests.fuzz.family import Family
from tests.fuzz.reading import convert_and_map

OPERATORS: Final = (
    *("Conv", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Concat", "BatchNormalization", "Relu", "AveragePool"),
    *("GlobalAveragePool", "ReduceMean", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast"),
    *(
        "Constant",
        "ConstantOfShape",
        "DequantizeLinear",
        "Expand",
        "Gather",
        "Neg",
        "Range",
        "Reciprocal",
        "ReduceProd",
    ),
    *("Slice", "Sqrt", "Transpose", "Shape", "CastLike", "MaxPool", "Softmax", "ArgMax", "If", "Loop", "Clip"),
)
ATTRIBUTES: Final = (
    *("kernel_shape", "strides", "pads", "dilations", "group", "auto_pad", "alpha", "beta", "transA", "transB", "axis"),
    *("axes", "keepdims", "epsilon", "momentum", "training_mode", "ceil_mode", "count_include_pad", "allowzero", "to"),
    *(
        "value",
        "value_ints",
        "value_float",
        "value_string",
        "sparse_value",
        "start",
        "end",
        "perm",
        "body",
        "then_branch",
    ),
)


def _network(random: random.Random) -> onnx.ModelProto:
    """A sound network: a convolution or none, one or two linear layers, in the ways in which exporters write them."""
    rng = np.random.default_rng(random.randrange(2**32))
    nodes: list[onnx.NodeProto] = []
    stored: dict[str, np.ndarray] = {}
    last = "x"

    def layer(kind: str, *arrays: Any, **attributes: Any) -> None:
        nonlocal last
        names = [f"p{len(stored) + index}" for index in range(len(arrays))]
        stored.update({name: np.asarray(array) for name, array in zip(names, arrays, strict=True)})
        made = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, [last, *names], [made], f"/{len(nodes)}/{kind}", **attributes))
        last = made

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    shape: tuple[Any, ...] = (random.choice((1, "batch")), 2, 6, 6)
    if random.random() < 0.8:
        layer("Conv", normal(4, 2, 3, 3), *random.choice(((), (normal(4),))), pads=[1, 1, 1, 1])
        match random.randrange(4):
            case 0:
                layer("BatchNormalization", normal(4), normal(4), normal(4), np.abs(normal(4)))
            case 1:
                layer(random.choice(("Add", "Mul", "Sub", "Div")), normal(4, 1, 1))
        layer("Relu")
        if random.random() < 0.3:
            relu = last
            layer("Conv", normal(4, 2, 1, 1), group=2)
            nodes.append(helper.make_node("Add", [last, relu], [f"t{len(nodes)}"], "/join"))
            last = nodes[-1].output[0]
            layer("Relu")
        match random.randrange(3):
            case 0:
                layer("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
                features = 36
            case 1:
                layer("GlobalAveragePool")
                features = 4
            case _:
                features = 144
    else:
        features = 72
    if random.random() < 0.5:
        layer("Flatten")
    else:
        layer("Reshape", np.array([random.choice((0, 1)) if shape[0] == 1 else 0, -1]))
    for outputs in random.choice(((3,), (5, 3))):
        if random.random() < 0.5:
            layer("Gemm", normal(outputs, features), normal(outputs), transB=1)
        else:
            layer("MatMul", normal(features, outputs))
        features = outputs
        layer("Relu")
    value = helper.make_tensor_value_info
    ends = value("x", TensorProto.FLOAT, shape), value(last, TensorProto.FLOAT, (shape[0], features))
    initializers = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "net", [ends[0]], [ends[1]], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", random.choice((11, 13, 17)))], ir_version=8)


def _messages(message: Message) -> Iterator[Message]:
    """``message`` and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == Descriptor.TYPE_MESSAGE:
            for inner in value if _is_repeated(field) else [value]:
                yield from _messages(inner)


def _is_repeated(field: Descriptor) -> bool:
    return bool(field.is_repeated)


def _value(random: random.Random, field: Descriptor) -> Any:
    """A value for ``field``, which is no message."""
    integers = {
        Descriptor.TYPE_INT32: (-(2**31), 2**31),
        Descriptor.TYPE_INT64: (-(2**63), 2**63),
        Descriptor.TYPE_UINT64: (0, 2**64),
        Descriptor.TYPE_ENUM: (0, 30),
    }
    if field.type in integers:
        low, high = integers[field.type]
        return random.choice([number for number in (*NUMBERS, *range(24)) if low <= number < high])
    if field.type in (Descriptor.TYPE_FLOAT, Descriptor.TYPE_DOUBLE):
        return random.choice(FLOATS[:8] if field.type == Descriptor.TYPE_FLOAT else FLOATS)
    texts = (*NAMES, *OPERATORS, *ATTRIBUTES, "x", "t0", "t1", "p0", "p1", "batch", "ai.onnx.ml")
    text = random.choice(texts)
    if field.type == Descriptor.TYPE_BYTES:
        return random.choice((text.encode(), b"\xff\xfe", bytes(random.choice((0, 1, 4, 16, 100))), b"NOTSET"))
    return text


def _change_field(random: random.Random, message: Message, donors: list[Message]) -> None:
    """Another value, or none, or one more, for a field of ``message``."""
    present = [field for field, _ in message.ListFields()]
    fields = message.DESCRIPTOR.fields if random.random() < 0.2 or not present else present
    field = random.choice(fields)
    value = getattr(message, field.name)
    if field.type == Descriptor.TYPE_MESSAGE:
        kin = [donor for donor in donors if donor.DESCRIPTOR is field.message_type]
        copies = [type(donor).FromString(donor.SerializeToString()) for donor in kin[:50]]
        if not _is_repeated(field):
            if copies and random.random() < 0.7:
                value.CopyFrom(random.choice(copies))
            else:
                message.ClearField(field.name)
        elif value and random.random() < 0.4:
            del value[random.randrange(len(value))]
        elif copies:
            value.append(random.choice(copies))
        else:
            value.add()
    elif _is_repeated(field):
        match random.randrange(4):
            case 0 if value:
                del value[random.randrange(len(value))]
            case 1 if value:
                value[random.randrange(len(value))] = _value(random, field)
            case 2 if value:
                value.extend(list(value) * random.choice((1, 3)))
            case _:
                value.append(_value(random, field))
    elif random.random() < 0.2:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _value(random, field))


def _change_tensor(random: random.Random, tensor: onnx.TensorProto, folder: Path) -> None:
    """Another type, shape, number of values, or place for the stored array ``tensor``."""
    match random.randrange(6):
        case 0:
            tensor.data_type = random.randrange(30)
        case 1:
            tensor.dims[:] = [random.choice(NUMBERS[:22]) for _ in range(random.randrange(6))]
        case 2:
            tensor.dims[:] = random.choice(([1, *tensor.dims], tensor.dims[:-1], tensor.dims[::-1], [0], [-1], []))
        case 3:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            if values.size:
                values.flat[random.randrange(values.size)] = random.choice(FLOATS)
            kinds = (np.float32, np.float64, np.float16, np.int64, np.int8, np.uint8, np.bool_, np.complex64)
            with np.errstate(all="ignore"):
                tensor.CopyFrom(numpy_helper.from_array(values.astype(random.choice(kinds)), tensor.name))
        case 4:
            tensor.raw_data = random.choice(
                (b"", tensor.raw_data[:-1], tensor.raw_data * 2, b"\xff" * len(tensor.raw_data))
            )
        case _:
            _move_out(random, tensor, folder)


def _move_out(random: random.Random, tensor: onnx.TensorProto, folder: Path) -> None:
    """Keeps the values in another file, or claims to."""
    raw = tensor.raw_data
    (folder / "weights.bin").write_bytes(bytes(8) + raw)
    (folder / "link.bin").unlink(missing_ok=True)
    (folder / "link.bin").symlink_to("/etc/hostname")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = ("../net", "/etc/hostname", "link.bin", "nothing", "", ".", "net.onnx", *NAMES)
    numbers = (*map(str, NUMBERS), "", "-1", "1e3", "0x10", "９", " 8", "8\n")
    told = {"location": "weights.bin", "offset": "8", "length": str(len(raw))}
    if random.random() < 0.7:
        key = random.choice(("location", "offset", "length"))
        told[key] = random.choice(places if key == "location" else numbers)
    if random.random() < 0.2:
        told.pop(random.choice(list(told)))
    for key, value in told.items():
        tensor.external_data.add(key=key, value=value)


def _change_node(random: random.Random, node: onnx.NodeProto) -> None:
    """Another operator, or another attribute."""
    match random.randrange(3):
        case 0:
            node.op_type = random.choice(OPERATORS)
        case 1:
            numbers = [number for number in NUMBERS if abs(number) < 2**63]
            values = (
                random.choice(numbers),
                [random.choice(numbers[:12]) for _ in range(random.choice((1, 2, 4, 4, 5)))],
                random.choice(FLOATS[:8]),
                "SAME_UPPER",
                numpy_helper.from_array(np.ones((2, 2), np.float32)),
            )
            name = random.choice(ATTRIBUTES)
            kept = [attribute for attribute in node.attribute if attribute.name != name]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute(name, random.choice(values))])
        case _:
            names = random.choice((node.input, node.output))
            if names and random.random() < 0.3:
                del names[-1]
            elif names:
                texts = ("x", "t0", "t1", "t2", "p0", "p1", "p2", "", "nothing")
                names[random.randrange(len(names))] = random.choice(texts)


def _change(random: random.Random, model: onnx.ModelProto, folder: Path) -> None:
    """One change anywhere in ``model``."""
    match random.randrange(4):
        case 0 if model.graph.initializer:
            tensor = random.choice(model.graph.initializer)
            if tensor.HasField("raw_data"):
                _change_tensor(random, tensor, folder)
        case 1 if model.graph.node:
            _change_node(random, random.choice(model.graph.node))
        case _:
            messages = list(_messages(model))
            _change_field(random, random.choice(messages), messages)


def _mutated(random: random.Random, folder: Path) -> Path:
    model = _network(random)
    for _ in range(random.choice((0, 1, 1, 1, 1, 2, 3))):
        with contextlib.suppress(ValueError, TypeError):  # of values that a field does not take
            _change(random, model, folder)
    content = model.SerializeToString(deterministic=True)
    if random.random() < 0.1:
        name = random.choice((b"t0", b"p1", b"/1/", b"net", b"Relu", b"pads"))
        content = content.replace(name, bytes([random.choice((0xFF, 0xC0, 0x80))]) + name[1:])
    if random.random() < 0.2 and content:
        content = damaged(random, content)
    path = folder / "net.onnx"
    path.write_bytes(content)
    return path


def _read(path: Path) -> object:
    return convert_and_map(path, ImportOptions(floor=-1.0 if path.stat().st_size % 2 else None))


FAMILIES: Final = (Family("onnx", _mutated, _read),)
