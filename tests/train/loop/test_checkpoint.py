"""Checkpoints: a folder that is valid at every moment, whenever training stops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deploytool.base.errors import ArtifactError
from deploytool.train.loop.checkpoint import NAME, Checkpoint, load_checkpoint, save_checkpoint


def checkpoint(epochs: int, value: float = 0.0) -> Checkpoint:
    return Checkpoint("key", tuple({"epoch": e + 1} for e in range(epochs)), {"weights/a": np.full(3, value)})


def test_checkpoints_replace_each_other(tmp_path):
    assert load_checkpoint(tmp_path, "key") is None
    for epochs in (1, 2):
        save_checkpoint(checkpoint(epochs, epochs), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "epoch-2.safetensors"]
    found = load_checkpoint(tmp_path, "key")
    assert found is not None
    assert len(found.history) == 2
    assert found.group("weights")["a"].tolist() == [2, 2, 2]
    assert load_checkpoint(tmp_path, "another key") is None


@pytest.mark.parametrize("kept", [0, 1])
def test_killed_while_saving_leaves_the_one_before(tmp_path, monkeypatch, kept):
    """``kept`` of the two files of the second checkpoint reach their place before the end comes."""
    save_checkpoint(checkpoint(1, 1), tmp_path)
    moved = []

    def replace(source: Path, target: Path) -> None:
        if len(moved) == kept:
            raise KeyboardInterrupt
        moved.append(target)
        source.rename(target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(checkpoint(2, 2), tmp_path)
    found = load_checkpoint(tmp_path, "key")
    assert found is not None
    assert found.group("weights")["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "damage", ["not json", "{}", "[]", "[" * 100_000, json.dumps({"key": "key", "history": [], "tensors": "gone"})]
)
def test_damaged_checkpoint_is_refused(tmp_path, damage):
    (tmp_path / NAME).write_text(damage)
    with pytest.raises(ArtifactError, match=r"checkpoint.json: not readable .* to train from the start"):
        load_checkpoint(tmp_path, "key")


def test_every_flipped_bit_is_found(tmp_path):
    save_checkpoint(checkpoint(2, 2), tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            with pytest.raises(ArtifactError, match=r"checkpoint.json: not readable"):
                load_checkpoint(tmp_path, "key")
        path.write_bytes(content)


def test_tensors_of_another_file_are_not_read(tmp_path):
    save_checkpoint(checkpoint(2, 2), tmp_path)
    save_checkpoint(checkpoint(2, 3), tmp_path / "other")
    (tmp_path / "other" / "epoch-2.safetensors").replace(tmp_path / "epoch-2.safetensors")
    with pytest.raises(ArtifactError, match=r"epoch-2.safetensors does not match its SHA-256"):
        load_checkpoint(tmp_path, "key")


@pytest.mark.parametrize("epochs", [(1, 2147483648), (2, 1), (0, 1), (1, 1), (1, 2.5)])
def test_epochs_are_numbered(tmp_path, epochs):
    history = tuple({"epoch": epoch} for epoch in epochs)
    save_checkpoint(Checkpoint("key", history, {"weights/a": np.zeros(3)}), tmp_path)
    with pytest.raises(ArtifactError, match="the epochs of its history are not 1, 2, 3 and so on"):
        load_checkpoint(tmp_path, "key")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    """Training that went on from them ended in a traceback when the next checkpoint was written."""
    arrays = {"weights/a": np.array([1, value], np.float32)}
    save_checkpoint(Checkpoint("key", ({"epoch": 1, "loss": 0.5},), arrays), tmp_path)
    with pytest.raises(ArtifactError, match="weights/a has values that are not finite"):
        load_checkpoint(tmp_path, "key")


def test_complex_numbers_are_refused(tmp_path):
    """Torch warned that it takes their real parts, between the lines of a training that went on from them."""
    arrays = {"weights/a": np.array([1, 2], np.complex64)}
    save_checkpoint(Checkpoint("key", ({"epoch": 1, "loss": 0.5},), arrays), tmp_path)
    with pytest.raises(ArtifactError, match="weights/a is of type complex64"):
        load_checkpoint(tmp_path, "key")


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        save_checkpoint(checkpoint(1), tmp_path / "file")
