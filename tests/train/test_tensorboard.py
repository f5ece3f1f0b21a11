"""TensorBoard event files: the records of the format, and the values that were put in."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.train.methods.table import train
from deploytool.train.task import Task
from deploytool.train.tensorboard import EventFile, crc32c


def test_crc32c_of_the_standard():
    """RFC 3720, appendix B.4, and the check value of every table of CRCs."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8) % 2**32


def records(content: bytes) -> Iterator[bytes]:
    while content:
        (length, crc) = struct.unpack("<QI", content[:12])
        assert crc == masked(content[:8])
        data = content[12 : 12 + length]
        assert struct.unpack("<I", content[12 + length : 16 + length]) == (masked(data),)
        yield data
        content = content[16 + length :]


def number(data: bytes, at: int) -> tuple[int, int]:
    """(value, next place) of the varint in ``data`` at ``at``."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, object]]:
    at = 0
    while at < len(data):
        key, at = number(data, at)
        match key & 7:
            case 0:
                value, at = number(data, at)
                yield key >> 3, value
            case 2:
                size, at = number(data, at)
                yield key >> 3, data[at : at + size]
                at += size
            case wire:
                size = {1: 8, 5: 4}[wire]
                yield key >> 3, struct.unpack("<d" if wire == 1 else "<f", data[at : at + size])[0]
                at += size


def scalars(path: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, {tag: value}) of every event but the first, which names the version."""
    first, *events = records(path.read_bytes())
    assert dict(fields(first))[3] == b"brain.Event:2"
    found = []
    for event in events:
        parts = dict(fields(event))
        values = [dict(fields(value)) for _, value in fields(parts[5])]
        found.append((parts[2], {value[1].decode(): value[2] for value in values}))
    return found


@given(
    epoch=st.integers(1, 2**40),
    values=st.dictionaries(st.text(min_size=1), st.floats(width=32, allow_nan=False), min_size=1),
)
def test_what_is_written_is_read(tmp_path_factory, epoch, values):
    values.pop("epoch", None)
    file = EventFile(tmp_path_factory.mktemp("events"))
    file.add({"epoch": epoch, **values})
    assert scalars(file.path) == [(epoch, values)]


def test_a_training_is_told_epoch_by_epoch(tmp_path):
    file = EventFile(tmp_path / "events")
    sides = 0, Sides(16, 1), Sides(8, 2)
    trained = train(Task(NETWORK, CONSTRAINTS, spec(epochs=2), *sides, tmp_path / "unfinished", observe=file.add))
    found = scalars(file.path)
    assert [step for step, _ in found] == [1, 2]
    for (_, values), row in zip(found, trained.history, strict=True):
        assert values == pytest.approx({tag: value for tag, value in row.items() if tag not in ("epoch", "chosen")})


def test_tensorboard_reads_it(tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    file = EventFile(tmp_path)
    file.add({"epoch": 300, "loss": 0.5})
    _, event = loader.LegacyEventFileLoader(str(file.path)).Load()
    assert (event.step, event.summary.value[0].tag, event.summary.value[0].simple_value) == (300, "loss", 0.5)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"--tensorboard .*file: cannot be written .*; need a writable folder"):
        EventFile(tmp_path / "file")
