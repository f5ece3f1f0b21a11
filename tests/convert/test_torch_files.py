"""Files that claim to come from torch.save: damaged, of odd tensors, and of more values than they have."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from deploytool.base.errors import InputError
from deploytool.convert.torch.state_dict import read_state_dict


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_state_dict(path)
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("place", [b"PK\x01\x02", b"PK\x03\x04"])
def test_an_archive_with_a_damaged_entry(place: bytes, tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3, 4)}, tmp_path / "w.pt")
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content.replace(place, b"XX" + place[2:], 1))
    assert "cannot be read (BadZipFile: Bad magic number" in refusal(tmp_path / "w.pt")


def test_an_archive_that_unpacks_to_far_more_than_its_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(12):
            archive.writestr(f"w/data/{number}", bytes(100 * 2**20))
    assert "unpacks to more than 1 GiB and 20 times its size" in refusal(tmp_path / "w.pt")


def test_a_tensor_that_repeats_one_value_beyond_the_size_of_its_file(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1).expand(2**20, 2**20)}, tmp_path / "w.pt")
    assert "'weight': a tensor of shape (1048576, 1048576) is too large for a file of this size" in refusal(
        tmp_path / "w.pt"
    )


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_nested_tensor(layout: torch.layout, tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(1)], layout=layout)
    torch.save({"weight": nested}, tmp_path / "w.pt")
    assert "is a nested tensor, whose rows may differ in length; need one shape" in refusal(tmp_path / "w.pt")


def test_a_type_that_torch_cannot_convert(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2, 2).to_sparse().to(torch.float8_e5m2fnuz)}, tmp_path / "w.pt")
    assert "cannot be converted from torch.float8_e5m2fnuz" in refusal(tmp_path / "w.pt")


def saved(state: object, path: Path, older: bool = False) -> bytes:
    torch.save(state, path, _use_new_zipfile_serialization=not older)
    return path.read_bytes()


def repacked(content: bytes, path: Path, **changed: bytes) -> None:
    """The archive ``content`` at ``path``, with other ``data_pkl`` or ``data_0``."""
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            key = name.partition("/")[2].replace("/", "_").replace(".", "_")
            target.writestr(name, changed.get(key, source.read(name)))


def test_fewer_values_than_a_tensor_has(tmp_path: Path) -> None:
    content = saved({"weight": torch.ones(3, 4)}, tmp_path / "w.pt")
    repacked(content, tmp_path / "w.pt", data_0=bytes(16))
    assert "w.pt: 16 bytes for 12 values; need 48 bytes. Copy or save the file again." in refusal(tmp_path / "w.pt")


@pytest.mark.parametrize("older", [False, True])
def test_a_shape_that_reaches_beyond_the_stored_values(older: bool, tmp_path: Path) -> None:
    """In the form before archives, torch would make room for it, with whatever is in that memory."""
    content = saved({"weight": torch.ones(3, 4)}, tmp_path / "w.pt", older)
    shape, wider = b"K\x03K\x04\x86", b"K\x63K\x04\x86"
    if older:
        assert content.count(shape) == 1
        (tmp_path / "w.pt").write_bytes(content.replace(shape, wider))
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            pickled = archive.read("w/data.pkl")
        assert pickled.count(shape) == 1
        repacked(content, tmp_path / "w.pt", data_pkl=pickled.replace(shape, wider))
    assert "a tensor of shape (99, 4) with strides (4, 1) from element 0 on, of 48 bytes" in refusal(tmp_path / "w.pt")


def test_an_older_file_that_claims_more_values_than_it_has(tmp_path: Path) -> None:
    content = saved({"weight": torch.ones(3, 4)}, tmp_path / "w.pt", older=True)
    size = b"K\x0cN"
    assert content.count(size) == 1
    (tmp_path / "w.pt").write_bytes(content.replace(size, b"\x8a\x05\0\0\0\0\x10N"))
    assert "274,877,906,944 bytes of values are claimed; need values that are in the file" in refusal(tmp_path / "w.pt")


def test_views_of_one_tensor_and_an_older_file_are_read(tmp_path: Path) -> None:
    whole = torch.arange(24.0)
    state = {"a": whole[12:].reshape(3, 4), "b": whole[:12].reshape(4, 3).T, "c": whole[::2], "d": whole[:0]}
    for older in (False, True):
        saved(state, tmp_path / "w.pt", older)
        for name, array in read_state_dict(tmp_path / "w.pt").items():
            assert torch.equal(torch.tensor(array), state[name])


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "w.pt").touch()
    assert "w.pt: cannot be read (" in refusal(tmp_path / "w.pt")
