"""Damaged heaps of texts, in which HDF5 itself would go round without end."""

from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_of, require_sound_heaps
from deploytool.data.formats.table import FORMATS, read_raw
from deploytool.data.spikes.nirdata import read_nir_data

HEADER = 16
SIGNATURE = b"GCOL\x01\0\0\0"
REFUSAL = "a damaged heap of texts; need a complete HDF5 file. Copy or write the file again."


def texts(path: Path) -> Path:
    """An HDF5 file with a heap of two texts."""
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "4x3"
        file["names"] = ["one", "two"]
        for name in "txyp":
            file[name] = [1, 2]
    return path


def with_first_object(path: Path, header: bytes) -> Path:
    content = bytearray(texts(path).read_bytes())
    first = content.index(SIGNATURE) + HEADER
    content[first : first + len(header)] = header
    path.write_bytes(content)
    return path


def free(size: int) -> bytes:
    return bytes(8) + size.to_bytes(8, "little")


def used(size: int) -> bytes:
    return b"\1\0\1\0" + bytes(4) + size.to_bytes(8, "little")


def test_texts_as_hdf5_writes_them(tmp_path: Path) -> None:
    require_sound_heaps(texts(tmp_path / "a.h5"))


@pytest.mark.parametrize("header", [free(0), free(7), used(2**64 - 16), used(2**64 - 23)])
def test_an_object_that_hdf5_does_not_leave(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(InputError) as error:
        require_sound_heaps(with_first_object(tmp_path / "a.h5", header))
    assert REFUSAL in str(error.value)


@pytest.mark.parametrize("header", [free(2**64 - 1), used(2**64 - 24), used(2**63)])
def test_an_object_beyond_its_heap_is_left_to_hdf5(tmp_path: Path, header: bytes) -> None:
    path = with_first_object(tmp_path / "a.h5", header)
    require_sound_heaps(path)
    with h5py.File(path) as file, pytest.raises(OSError, match="Can't"):
        file["names"][:]


def test_heaps_that_overlap_are_refused_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 10,000 heaps, within an object each, claims the rest of the file: 5 * 10^7 objects."""
    import deploytool.base.hdf5 as module

    path, seen, size_of = tmp_path / "a.h5", [0], module._object_size
    path.write_bytes((used(16) + SIGNATURE + (2**40).to_bytes(8, "little")) * 10_000)

    def counted(header: bytes) -> int:
        seen[0] += 1
        return size_of(header)

    monkeypatch.setattr(module, "_object_size", counted)
    with pytest.raises(InputError, match="damaged heap"):
        require_sound_heaps(path)
    assert seen[0] == path.stat().st_size // 8 + 1


@pytest.mark.parametrize(
    "read", [lambda path: read_raw(path, FORMATS["hdf5"]), lambda path: read_nir_data(path, 2**20)]
)
def test_every_reader_of_foreign_hdf5_asks_first(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(InputError) as error:
        read(with_first_object(tmp_path / "a.h5", free(0)))
    assert REFUSAL in str(error.value)


def test_an_array_in_millions_of_chunks_is_not_read(tmp_path: Path) -> None:
    """HDF5 notes something of every chunk that it reads, stored or not: 4 GB for a file of 20 KB."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("few", (1000, 1000), "i8", chunks=(100, 100))
        file.create_dataset("many", (65536, 125), "i8", chunks=(1, 1))
        assert bytes_of(file["few"], "a.h5", 2**30) == 8_000_000
        with pytest.raises(InputError, match=r"/many of shape \(65536, 125\) is in 8,192,000 chunks; need fewer"):
            bytes_of(file["many"], "a.h5", 2**30)
