"""Archives of arrays: they come back, and no size is believed that the file contradicts."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from deploytool.base.npy import BYTES_MIN, DAMAGE, Archive, array_of_file, header_of_array


def written(arrays: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    return file


def array(shape: tuple[int, ...], descr: str = "<i8", content: bytes = b"") -> bytes:
    """A .npy file that states ``shape`` and ``descr``, whatever its ``content``."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + content


def test_arrays_come_back() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(6).reshape(2, 3), b=np.array("text"))
    archive = Archive(file)
    assert archive.headers["a"].shape == (2, 3)
    found = archive.read_together(["a", "b"])
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert str(found["b"]) == "text"
    assert archive.read("a").tolist() == found["a"].tolist()


def test_files_of_python_2_are_read_in_silence() -> None:
    """Python 2 wrote long integers into headers, which NumPy reads with a warning."""
    content = array((2,), content=np.arange(2).tobytes()).replace(b"(2,)", b"(2L,)").replace(b" \n", b"\n", 1)
    assert b"(2L,)" in content
    assert array_of_file(io.BytesIO(content), len(content)).tolist() == [0, 1]
    archive = Archive(written({"a.npy": content}))
    assert archive.read("a").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: written({"a.npy": array((2**40,), content=bytes(16))}), "does not fit in it"),
        (lambda: written({"a.npy": array((-1,))}), "does not fit in it"),
        (lambda: written({"a.npy": array((1,), content=bytes(16))}), "has other bytes than those of an array"),
        (lambda: written({"a.npy": array((1,), "|O", b"cos\nsystem\n")}), "pickled objects"),
        (lambda: written({"a.txt": b"no array"}), "is no array"),
        (lambda: written({"a.npy": array((2,), content=bytes(16))}, zipfile.ZIP_LZMA), "compressed in another way"),
        (lambda: io.BytesIO(b"no archive"), "not a zip file"),
    ],
)
def test_what_is_no_archive_of_arrays_is_refused(make: Callable[[], io.BytesIO], says: str) -> None:
    with pytest.raises(DAMAGE, match=says):
        Archive(make())


@pytest.mark.parametrize("shape", ["(True,)", "(2, False)", "(2.0,)", "(-1,)", "2"])
def test_a_shape_that_is_none_is_refused(shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)
    with pytest.raises(ValueError, match=r"its header is damaged|cut short"):
        header_of_array(io.BytesIO(content), len(content))


@pytest.mark.parametrize(("shape", "descr"), [((0, 2**63 + 1), "<i8"), ((0, 2**40), "|u1"), ((10**15,), "|V0")])
def test_lengths_that_no_bytes_contradict_are_refused(shape: tuple[int, ...], descr: str) -> None:
    """An axis of length 0, or elements without bytes, make any other length fit in a file."""
    content = array(shape, descr)
    with pytest.raises(ValueError, match=r"its header is damaged|does not fit in it"):
        header_of_array(io.BytesIO(content), len(content))


def test_a_header_that_takes_seconds_to_parse_is_refused() -> None:
    for version, width in ((b"\x01", 2), (b"\x02", 4)):
        content = b"\x93NUMPY" + version + b"\x00" + (9000).to_bytes(width, "little") + b"{" + b" " * 9000
        with pytest.raises(ValueError, match="a header of 9,000 bytes; at most 4,096"):
            header_of_array(io.BytesIO(content), len(content))


def test_a_bomb_is_not_read() -> None:
    number = BYTES_MIN // 8 + 1
    archive = Archive(written({"a.npy": array((number,), content=bytes(8 * number))}))
    with pytest.raises(ValueError, match="are possible in a file of this size"):
        archive.read("a")


def test_arrays_that_are_too_large_together_are_not_read() -> None:
    number = BYTES_MIN // 16 + 1
    archive = Archive(written({name: array((number,), content=bytes(8 * number)) for name in ("a.npy", "b.npy")}))
    assert len(archive.read("a")) == number
    with pytest.raises(ValueError, match="are possible in a file of this size"):
        archive.read_together(["a", "b"])


def test_a_stated_size_that_compression_cannot_reach_is_refused() -> None:
    content = bytearray(written({"a.npy": array((2,), content=bytes(16))}).getvalue())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    with pytest.raises(ValueError, match="2,147,483,648 bytes does not fit in the file"):
        Archive(io.BytesIO(bytes(content)))
