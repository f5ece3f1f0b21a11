"""Hostile archives and files of arrays: a valid one with one array, or the container, changed."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DTYPES: Final = ("?", "i1", "u1", "<i2", ">i4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c16", "S3", "U3", "<M8[us]", "V4")


def array_changed(random: Random, array: NDArray[Any]) -> NDArray[Any]:
    """``array`` with another type, shape, or other values."""
    how = random.randrange(8)
    with np.errstate(all="ignore"):
        if how == 0:
            try:
                return array.astype(random.choice(DTYPES))
            except (ValueError, TypeError, RuntimeError):  # no such conversion
                return np.zeros(array.shape, random.choice(DTYPES))
        if how == 1:
            return array[..., np.newaxis] if random.random() < 0.5 else array[np.newaxis]
        if how == 2 and array.ndim:
            axis = random.randrange(array.ndim)
            return np.concatenate([array, array], axis) if random.random() < 0.5 else np.take(array, [], axis)
        if how == 3:
            return array.reshape(-1) if array.ndim != 1 else array[:-1]
        if how == 4 and array.ndim > 1:
            return np.swapaxes(array, 0, random.randrange(1, array.ndim))
        if how == 5:
            return np.zeros(random.choice([(), (0,), (1,), (3, 3), (0, 5, 5, 5), (1 << 20,)]), array.dtype)
        return values_changed(random, array)


def values_changed(random: Random, array: NDArray[Any]) -> NDArray[Any]:
    changed = array.copy()
    flat = changed.reshape(-1)
    if not flat.size:
        return np.zeros(1, array.dtype)
    index = random.randrange(flat.size) if random.random() < 0.7 else slice(None)
    if array.dtype.names:
        field = flat[random.choice(array.dtype.names)]
        limits = np.iinfo(field.dtype)
        field[index] = random.choice((limits.min, limits.max, 0, 1, 100))
    elif array.dtype.kind == "f":
        flat[index] = random.choice((np.nan, np.inf, -np.inf, 0, -1, 1e30, 1e-45))
    elif array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        flat[index] = random.choice((limits.min, limits.max, 0, 1, min(limits.max, 1000)))
    elif array.dtype.kind == "U":
        flat[index] = random.choice(("", "x", "\x1b[2J", "input", "999999999999999999999"))
    return changed


def arrays_changed(random: Random, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """``arrays`` with one or two of them changed, left out, renamed, exchanged or added."""
    found = dict(arrays)
    for _ in range(random.choice((1, 1, 1, 2))):
        if not found:
            break
        name, how = random.choice(sorted(found)), random.randrange(10)
        if how == 0:
            del found[name]
        elif how == 1:
            found[name + random.choice(("x", "/", "", "+"))] = found.pop(name)
        elif how == 2:
            other = random.choice(sorted(found))
            found[name], found[other] = found[other], found[name]
        elif how == 3:
            found[random.choice(("another", "", "counts/x", "spikes/x", "é\x1b"))] = found[name]
        else:
            found[name] = array_changed(random, found[name])
    return found


def npz(arrays: dict[str, NDArray[Any]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def read_npz(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def npz_changed(random: Random, content: bytes) -> bytes:
    """The archive ``content`` with an array or its container changed."""
    arrays = read_npz(content)
    how = random.randrange(8)
    if how == 0:
        return _with_member(random, arrays)
    if how == 1:
        return _lying(random, npz(arrays, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))))
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    return npz(arrays_changed(random, arrays), random.choice(kinds))


def _with_member(random: Random, arrays: dict[str, NDArray[Any]]) -> bytes:
    """An archive one of whose members has a header that lies, is a bomb, no array, or there twice."""
    buffer = io.BytesIO()
    name = random.choice(sorted(arrays))
    how = random.randrange(6)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, np.array(array, order="C"), allow_pickle=False)
            content = file.getvalue()
            if each == name and how == 0:
                content = header(random.choice(((1 << 40,), (1 << 20, 1 << 20, 4), (-1,), (2, 2**62)))) + content[128:]
            elif each == name and how == 1:
                content = header((1 << 28,)) + bytes(1 << 28)
            elif each == name and how == 2:
                content = content[: random.randrange(len(content))]
            elif each == name and how == 3:
                content = header((1,), "|O") + b"cos\nsystem\n(S'true'\ntR."
            archive.writestr(zipfile.ZipInfo(f"{each}.npy"), content, zipfile.ZIP_DEFLATED)
        if how == 4:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), b"twice")
        elif how == 5:
            other = random.choice(("no array", "../up.npy", "/root.npy", "a/b/c.npy", "x.npy"))
            archive.writestr(zipfile.ZipInfo(other), b"\x93NUMPY")
    return buffer.getvalue()


def header(shape: tuple[int, ...], descr: str = "<i8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _lying(random: Random, content: bytes) -> bytes:
    """The archive ``content`` whose directory states another size, place or kind of compression of a member."""
    found = bytearray(content)
    entries = [index for index in range(len(found) - 4) if found[index : index + 4] == b"PK\x01\x02"]
    entry = random.choice(entries)
    offset, size = random.choice(((20, 4), (24, 4), (42, 4), (10, 2), (8, 2), (6, 2), (16, 4), (28, 2), (30, 2)))
    value = random.choice((0, 1, 12, 93, 2**16 - 1, 2**31, 2**32 - 1)) % 256**size
    found[entry + offset : entry + offset + size] = value.to_bytes(size, "little")
    return bytes(found)


def tensors_changed(random: Random, content: bytes) -> bytes:
    """The safetensors file ``content`` with an array or its header changed."""
    from safetensors.numpy import load, save

    arrays = load(content)
    if random.random() < 0.6:
        kept = {
            name: np.ascontiguousarray(array)
            for name, array in arrays_changed(random, arrays).items()
            if array.dtype.kind in "?biuf"
        }
        return bytes(save(kept))
    (length,) = struct.unpack("<Q", content[:8])
    stated = json.loads(content[8 : 8 + length])
    name = random.choice([each for each in stated if each != "__metadata__"])
    entry = stated[name]
    how = random.randrange(6)
    if how == 0:
        entry["dtype"] = random.choice(
            ("BF16", "F8_E4M3", "F8_E5M2", "U64", "BOOL", "F64", "I4", "", "C64", "U8", "F16")
        )
    elif how == 1:
        entry["shape"] = random.choice(([1 << 40], [0], [-1], [1 << 62, 4], [], entry["shape"][::-1], ["1"]))
    elif how == 2:
        entry["data_offsets"] = random.choice(([0, 1 << 40], [0, 0], [4, 0], [-4, 0], [0], []))
    elif how == 3:
        stated["__metadata__"] = {"a": "b" * random.choice((1, 100_000))}
    elif how == 4:
        stated[name] = random.choice((None, [], 1, {"dtype": "F32"}))
    else:
        dtype = random.choice(("BF16", "F8_E4M3"))
        for each in stated:
            if each != "__metadata__":
                first, last = stated[each]["data_offsets"]
                width = 2 if dtype == "BF16" else 1
                stated[each] = {"dtype": dtype, "shape": [(last - first) // width], "data_offsets": [first, last]}
    text = json.dumps(stated).encode()
    return struct.pack("<Q", random.choice((len(text), len(text), len(text), 2**60))) + text + content[8 + length :]
