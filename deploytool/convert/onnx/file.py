"""ONNX files, read without trusting their stated sizes; each fault gives a one-sentence error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, Pair
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.base.extras import require

TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "FLOAT": np.dtype(np.float32),
    "DOUBLE": np.dtype(np.float64),
    "FLOAT16": np.dtype(np.float16),
    "BFLOAT16": np.dtype(np.uint16),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "BOOL": np.dtype(np.bool_),
}
"""The supported types of stored arrays, and their layout in a file."""

REALS: Final = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
"""The types with fractions."""

SIZE_MAX: Final = 2**40
"""No axis, kernel, stride or padding of a network is larger; it keeps products of sizes within 64 bits."""


@dataclass(frozen=True)
class Operator:
    """One ONNX node: its type, input tensors, output tensors and attributes. An omitted input is ""."""

    where: str
    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: Any

    @property
    def output(self) -> str:
        return self.outputs[0]

    def get(self, name: str, default: Any) -> Any:
        """Attribute ``name``. Raises InputError if its type is not that of ``default``."""
        found = self.attributes.get(name, default)
        if default is not None and not isinstance(found, type(default)):
            raise InputError(self.where, f"{self.type} with {name} = {found!r}", f"{name} like {default!r}")
        return found

    def numbers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Attribute ``name``, N whole numbers, where N is the length of ``default``."""
        found = self.attributes.get(name, default)
        if not isinstance(found, (list, tuple)) or not all(isinstance(value, int) for value in found):
            raise InputError(self.where, f"{self.type} with {name} = {found!r}", "whole numbers")
        values = tuple(found)
        if len(values) != len(default) or any(abs(value) > SIZE_MAX for value in values):
            raise UnsupportedError(
                self.where, f"{self.type} with {name} = {values}", f"{len(default)} numbers of at most {SIZE_MAX}"
            )
        return values

    def pair(self, name: str, default: Pair = (1, 1)) -> Pair:
        """Attribute ``name`` as (vertical, horizontal), both at least 1."""
        vertical, horizontal = self.numbers(name, default)
        if min(vertical, horizontal) < 1:
            raise InputError(self.where, f"{self.type} with {name} = {(vertical, horizontal)}", "numbers of at least 1")
        return vertical, horizontal

    def require(self, name: str, allowed: Any, default: Any) -> None:
        """Raises UnsupportedError if attribute ``name`` is not ``allowed``."""
        if (found := self.get(name, default)) != allowed:
            raise UnsupportedError(self.where, f"{self.type} with {name} = {found}", f"{name} = {allowed}")


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """The content of a file: ``operators`` in order, stored arrays by name, the one input and the outputs.

    ``sizes`` are those of the input without its batch axis, 0 if they are not fixed; ``batch`` is the fixed size of
    the batch axis, or 1. ``opsets`` {domain: version}.
    """

    name: str
    operators: tuple[Operator, ...]
    constants: Mapping[str, Array]
    input: str
    sizes: tuple[int, ...]
    batch: int
    outputs: tuple[str, ...]
    opsets: Mapping[str, int]


def read_file(path: Path) -> OnnxFile:
    """The content of the ONNX file ``path``, including arrays in other files of its folder.

    Raises UsageError if the onnx package is missing, InputError for a file that is missing or damaged,
    UnsupportedError for more than one input and for arrays of a type that is not in `TYPES`.
    """
    proto = _load(path)
    _require_text(proto, path)
    graph = proto.graph
    if graph.sparse_initializer:
        raise UnsupportedError(path.name, "sparse stored arrays", "dense ones")
    constants = {tensor.name: _array(tensor, path) for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    if len(inputs) != 1:
        raise UnsupportedError(path.name, f"{len(inputs)} inputs", "one")
    sizes = [int(axis.dim_value) for axis in inputs[0].type.tensor_type.shape.dim]
    return OnnxFile(
        name=path.name,
        operators=tuple(_operators(graph, path)),
        constants=constants,
        input=inputs[0].name,
        sizes=tuple(sizes[1:]),
        batch=max(sizes[0], 1) if sizes else 1,
        outputs=tuple(item.name for item in graph.output),
        opsets={item.domain: item.version for item in proto.opset_import},
    )


def _load(path: Path) -> Any:
    require(str(path), "onnx")
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise InputError(str(path), "no such file", "an ONNX file")
    try:
        proto = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(str(path))
    except (OSError, DecodeError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise InputError(str(path), f"not a complete ONNX file ({reason})", "a file that onnx can read") from None
    return proto


def _require_text(message: Any, path: Path) -> None:
    """Raises InputError if a text anywhere in ``message`` is not UTF-8: protobuf then gives its bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_MESSAGE, field.TYPE_STRING):
            continue
        is_one = isinstance(value, str | bytes) or hasattr(value, "ListFields")
        for item in [value] if is_one else value:
            if field.type == field.TYPE_MESSAGE:
                _require_text(item, path)
            elif not isinstance(item, str):
                where = f"{path.name}: {message.DESCRIPTOR.name}"
                raise InputError(where, f"the field {field.name!r} is not UTF-8", "texts in UTF-8")


def _operators(graph: Any, path: Path) -> Iterator[Operator]:
    from onnx import helper

    for index, item in enumerate(graph.node):
        name = item.name.strip("/").replace("/", ".") or f"{item.op_type}_{index}"
        where = f"{path.name}: node {item.name or name!r}"
        try:
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in item.attribute}
        except ValueError as error:
            found = f"an attribute that cannot be read ({error})"
            raise InputError(where, found, "attributes of a known type") from None
        for attribute in attributes.values():
            if hasattr(attribute, "data_location") and attribute.external_data:
                raise UnsupportedError(where, "an array outside the file", "arrays of nodes in the file itself")
        inputs, outputs = tuple(item.input), tuple(item.output)
        if not outputs:
            raise InputError(where, f"{item.op_type} has no output", "an output")
        yield Operator(where, name, item.op_type, inputs, outputs, attributes, item)


def type_name(number: int) -> str:
    """``FLOAT``, ``INT64``: the name of the type of values ``number``."""
    from onnx import TensorProto

    names: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return names.get(number, f"number {number}")


def _array(tensor: Any, path: Path) -> Array:
    """The stored array ``tensor``. Raises InputError if the number of bytes does not fit its shape."""
    from onnx import TensorProto, numpy_helper

    where = f"{path.name}: array {tensor.name!r}"
    kind = type_name(tensor.data_type)
    if kind not in TYPES:
        raise UnsupportedError(where, f"values of type {kind}", f"one of {', '.join(TYPES)}")
    shape = tuple(tensor.dims)
    if any(size < 0 or size > SIZE_MAX for size in shape):
        raise InputError(where, f"the shape {shape}", "sizes of 0 or more")
    size = math.prod(shape)
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = _outside(tensor, path, where, size * TYPES[kind].itemsize)
        tensor = TensorProto(dims=shape, data_type=tensor.data_type, name=tensor.name, raw_data=raw)
    elif tensor.HasField("raw_data") and len(tensor.raw_data) != size * TYPES[kind].itemsize:
        found = f"{len(tensor.raw_data)} bytes for the shape {shape}"
        raise InputError(where, found, f"{size * TYPES[kind].itemsize} bytes")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(where, f"cannot be read ({error})", f"values for the shape {shape}") from None
    if array.size != size:
        raise InputError(where, f"{array.size} values for the shape {shape}", f"{size} values")
    return array.astype(np.float32) if kind == "BFLOAT16" else array


def _outside(tensor: Any, path: Path, where: str, size: int) -> bytes:
    """The ``size`` bytes of an array kept in another file of the same folder."""
    told = {item.key: item.value for item in tensor.external_data}
    location = told.get("location", "")
    folder, file = path.resolve().parent, (path.parent / location).resolve()
    if not location or Path(location).is_absolute() or not file.is_relative_to(folder) or not file.is_file():
        raise InputError(where, f"stored in {location!r}", "a file in the folder of the model")
    offset, length = told.get("offset", "0"), told.get("length", str(size))
    if not (offset.isdecimal() and length.isdecimal() and len(offset + length) < 40):
        raise InputError(where, f"offset {offset!r} and length {length!r}", "whole numbers")
    if int(length) != size or int(offset) + size > file.stat().st_size:
        found = f"bytes {offset} to {int(offset) + int(length)} of {location}, which has {file.stat().st_size}"
        raise InputError(where, found, f"{size} bytes within the file")
    with file.open("rb") as stream:
        stream.seek(int(offset))
        return bytes(stream.read(size))
