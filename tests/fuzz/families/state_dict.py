"""Weights as torch.save and safetensors write them: tensors of every type, layout, size and name."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import struct
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from tests.fuzz.damage import FLOATS, NAMES, NUMBERS, damaged
from tests.fuzz.family import Family
from tests.fuzz.reading import convert_and_map

RECIPE: Final = """
name = "small"
[network]
input = [2, 6, 6]
[[network.layers]]
type = "conv"
out = 3
kernel = 3
[[network.layers]]
type = "spike"
[[network.layers]]
type = "flatten"
[[network.layers]]
type = "linear"
out = 4
[[network.layers]]
type = "spike"
"""
SHAPES: Final = {"0.weight": (3, 2, 3, 3), "3.weight": (4, 48)}
FLOAT_TYPES: Final = (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)
TYPES: Final = (
    *FLOAT_TYPES,
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.complex64, torch.complex128),
    *(torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.complex32),
)


def _state(random: random.Random) -> OrderedDict[str, Any]:
    """A sound state dict for RECIPE."""
    generator = torch.Generator().manual_seed(random.randrange(2**32))
    return OrderedDict((name, torch.randn(shape, generator=generator)) for name, shape in SHAPES.items())


def _other_type(random: random.Random, tensor: torch.Tensor) -> Any:
    return tensor.to(random.choice(TYPES))


def _other_values(random: random.Random, tensor: torch.Tensor) -> Any:
    tensor = tensor.double() if random.random() < 0.3 else tensor.clone()
    index = () if tensor.is_nested else tuple(random.randrange(max(size, 1)) for size in tensor.shape)
    if index and tensor.numel():
        tensor[index] = random.choice(FLOATS)
    return tensor * random.choice((1, 1, 1e-30, 1e30, 0))


def _other_shape(random: random.Random, tensor: torch.Tensor) -> Any:
    shape = list(tensor.shape)
    match random.randrange(5):
        case 0:
            shape = [random.choice((0, 1, 2, 3, 5)) for _ in range(random.randrange(7))]
        case 1:
            return tensor.flatten()
        case 2:
            return tensor.transpose(0, -1)
        case 3:
            return tensor.reshape([1] * random.randrange(1, 60) + shape)
        case _:
            if shape:
                shape[random.randrange(len(shape))] += random.choice((-1, 1, 7))
    return torch.ones([max(size, 0) for size in shape])


def _other_layout(random: random.Random, tensor: torch.Tensor) -> Any:
    matrix = tensor.reshape(tensor.shape[0], -1) if tensor.ndim > 1 and tensor.numel() else torch.ones(2, 2)
    makers: tuple[Callable[[], Any], ...] = (
        tensor.to_sparse,
        matrix.to_sparse_csr,
        matrix.to_sparse_csc,
        lambda: torch.sparse_coo_tensor(torch.tensor([[0, 9 ** random.randrange(18)]] * 2), torch.ones(2)),
        lambda: torch.sparse_coo_tensor(
            torch.zeros(2, 2, dtype=torch.long), torch.ones(2), [random.choice(NUMBERS[:21])] * 2
        ),
        lambda: torch.quantize_per_tensor(tensor, random.choice((0.1, 1e-30)), 3, torch.qint8),
        lambda: torch.quantize_per_channel(matrix, torch.ones(len(matrix)), torch.zeros(len(matrix)), 0, torch.quint8),
        lambda: torch.empty(tensor.shape, device="meta"),
        lambda: torch.nested.nested_tensor([tensor.flatten(), tensor.flatten()[:1]]),
        lambda: torch.nested.nested_tensor([matrix, matrix[:1]], layout=torch.jagged),
        lambda: tensor.to_mkldnn(),
        lambda: torch.ones(1).expand([random.choice((3, 10**5, 2**31))] * random.randrange(1, 4)),
        lambda: tensor.clone().requires_grad_(),
        lambda: torch.nn.Parameter(tensor),
        lambda: torch.nn.Buffer(tensor),
        lambda: torch.nn.UninitializedParameter(),
        lambda: tensor.to(torch.complex64).conj(),
        lambda: torch._neg_view(tensor) if hasattr(torch, "_neg_view") else tensor,
        lambda: torch.as_strided(tensor.flatten(), tensor.shape, [0] * tensor.ndim),
        lambda: torch.ones(tensor.shape).numpy().tolist(),
        lambda: random.choice((*NUMBERS, *FLOATS, *NAMES, None, [], {}, (), b"bytes", range(3).__len__())),
    )
    return random.choice(makers)()


def _other_names(random: random.Random, state: OrderedDict[str, Any]) -> Any:
    """The tensors under other names, in other orders, with more and fewer of them."""
    names = list(state)
    match random.randrange(8):
        case 0:
            name = random.choice(names)
            return OrderedDict((random.choice(NAMES) if key == name else key, value) for key, value in state.items())
        case 1:
            prefix = random.choice(("module.", "model.", "spiking_model.", *NAMES))
            return {prefix + name: value for name, value in state.items()}
        case 2:
            return {
                **state,
                random.choice(
                    (*NAMES, "1.spike_threshold", "1.min_v_mem", "0.bias", "1.v_mem", "x.weight_g")
                ): random.choice((torch.tensor(1.0), torch.ones(3), torch.ones(0), torch.tensor(float("nan")), 3)),
            }
        case 3:
            return {name: state[name] for name in names[: random.randrange(len(names))]}
        case 4:
            return {random.choice(("state_dict", "model", "weights", "x", "")): state, "epoch": random.choice(NUMBERS)}
        case 5:
            return {"a": state, random.choice(("b", "net", 3)): dict(state)}
        case 6:
            return {random.choice((3, None, 2.5, (1, 2), b"0.weight", True)): value for value in state.values()}
        case _:
            return random.choice((list(state.values()), state[names[0]], [], {}, None, 3, "text", [[[]]], {"a": {}}))


def _is_huge(tensor: torch.Tensor) -> bool:
    """Whether another change might make a copy beyond memory of ``tensor``, whose elements are perhaps one repeated."""
    try:
        return tensor.numel() > 10**6
    except (RuntimeError, ValueError, TypeError):
        return False


def _mutated_state(random: random.Random) -> Any:
    state = _state(random)
    changes = (_other_type, _other_values, _other_shape, _other_layout, _other_layout)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        name = random.choice(list(state))
        with contextlib.suppress(
            RuntimeError, ValueError, IndexError, TypeError
        ):  # torch lacks some types for some layouts
            state[name] = random.choice(changes)(random, state[name])
        if not isinstance(state[name], torch.Tensor) or _is_huge(state[name]):
            break
    return _other_names(random, state) if random.random() < 0.3 else state


def _saved(state: Any) -> bytes:
    """``state`` as torch writes it. What torch cannot write becomes a text."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.save(state, file)
        except Exception as error:
            return type(error).__name__.encode()
    return file.getvalue()


def _saved_as_before(random: random.Random) -> bytes:
    """A sound state dict in the form before archives, whose key of its one storage is no longer an address."""
    tensors = _state(random)
    whole = torch.cat([tensor.flatten() for tensor in tensors.values()])
    parts = whole.split([tensor.numel() for tensor in tensors.values()])
    state = {name: part.reshape(SHAPES[name]) for name, part in zip(tensors, parts, strict=True)}
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return re.sub(rb"X[\x0c-\x0f]\0\0\0\d{12,15}", b"X\x0e\0\0\0" + b"1" * 14, file.getvalue())


def _pickle_changed(random: random.Random, content: bytes) -> bytes:
    """The archive ``content`` with numbers of its pickle, such as sizes, strides and offsets, set to others."""
    import zipfile

    file = io.BytesIO()
    method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(file, "w", method) as target:
        dropped = random.choice(source.namelist()) if random.random() < 0.1 else ""
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                data = _numbers_changed(random, data)
            elif random.random() < 0.1:
                data = random.choice((b"", data[:-1], data * 3, data[: len(data) // 2]))
            if name != dropped:
                target.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def _numbers_changed(random: random.Random, pickled: bytes) -> bytes:
    """``pickled`` with one to three of its small numbers replaced by others of the same length or longer."""
    import pickletools

    places = [at for operation, _, at in pickletools.genops(pickled) if operation.name == "BININT1"]
    found = bytearray(pickled)
    for at in sorted(random.sample(places, min(len(places), random.choice((1, 1, 2, 3)))), reverse=True):
        number = random.choice(NUMBERS[:-1])
        packed = number.to_bytes(20, "little", signed=True)
        found[at : at + 2] = b"\x8a\x14" + packed
    return bytes(found)


def _torch_file(random: random.Random, folder: Path) -> Path:
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    if random.random() < 0.1:
        content = _saved_as_before(random)
    else:
        content = _saved(_state(random) if random.random() < 0.4 else _mutated_state(random))
    if random.random() < 0.3 and content[:2] == b"PK":
        content = _pickle_changed(random, content)
    elif random.random() < 0.3:
        content = damaged(random, content)
    path = folder / f"weights{random.choice(('.pt', '.pth', '.ckpt', '.bin'))}"
    path.write_bytes(content)
    return path


DTYPES: Final = (
    *("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16", "I32", "U32", "F64", "I64", "U64", "C64"),
    *("F4", "F6_E2M3", "f32", "", 3, None),
)
"""Types of a tensor in a safetensors file, and what is none."""


def _safetensors_file(random: random.Random, folder: Path) -> Path:
    """A header of JSON before the values, with sizes, types and offsets that may contradict each other."""
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    header: dict[str, Any] = {}
    values = b""
    for name, tensor in _state(random).items():
        raw = tensor.numpy().tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(values), len(values) + len(raw)],
        }
        values += raw
    for _ in range(random.choice((0, 1, 1, 2))):
        _change(random, header[random.choice(list(SHAPES))])
    if random.random() < 0.3:
        header[random.choice((*NAMES, "__metadata__"))] = random.choice(
            (
                {},
                {"a": "b"},
                {"a": 3},
                [],
                3,
                header["0.weight"],
                {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
            )
        )
    text = json.dumps(header, ensure_ascii=random.random() < 0.9).encode("utf-8", "surrogateescape")
    if random.random() < 0.05:
        text = b"[" * random.choice((10, 10**5)) + text
    size = len(text) if random.random() < 0.9 else random.choice([n for n in NUMBERS if 0 <= n < 2**64])
    content = struct.pack("<Q", size) + text + values
    if random.random() < 0.2:
        content = damaged(random, content)
    path = folder / "weights.safetensors"
    path.write_bytes(content)
    return path


def _change(random: random.Random, entry: dict[str, Any]) -> None:
    """Changes what the header says of a tensor: its type, shape or place, or leaves one of them out."""
    match random.randrange(5):
        case 0:
            entry["dtype"] = random.choice(DTYPES)
            if random.random() < 0.5 and len(entry["data_offsets"]) == 2:
                bits = {"8": 8, "6": 16, "2": 32, "4": 64}.get(str(entry["dtype"])[-1:], 8)
                size = max((entry["data_offsets"][1] - entry["data_offsets"][0]) * 8 // bits, 1)
                entry["shape"] = [size]
        case 1:
            entry["shape"] = [random.choice(NUMBERS) for _ in range(random.randrange(6))]
        case 2:
            entry["data_offsets"] = [random.choice((*NUMBERS, 216)) for _ in range(random.choice((0, 1, 2, 2, 2, 3)))]
        case 3:
            entry.pop(random.choice(list(entry)), None)
            entry.setdefault("shape", [1])
            entry.setdefault("data_offsets", [0, 4])
            entry.setdefault("dtype", "F32")
        case _:
            shape = random.choice(((0,), (1,), (54,), (2, 27), (0, 10**9), (2**40, 2**40)))
            entry["shape"] = list(shape)


def _read(path: Path) -> object:
    from deploytool.workflow.sources.networks import ImportOptions

    return convert_and_map(path, ImportOptions(network=path.parent / "recipe.toml"))


FAMILIES: Final = (Family("state-dict", _torch_file, _read), Family("safetensors", _safetensors_file, _read))
