"""TensorBoard event files: what TensorBoard reads there is the history of the training."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from helpers.command import RECIPE, invoke, refusal
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec

from deploytool.base.errors import ArtifactError
from deploytool.train.methods.table import train
from deploytool.train.task import Task, Trained
from deploytool.train.tensorboard import event_file

Scalars = dict[int, dict[str, float]]


def scalars(folder: Path) -> list[Scalars]:
    """{step: {tag: value}} of every event file in ``folder``, the oldest first."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    files = []
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns):
        found: Scalars = {}
        for event in loader.LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(event.step, {})[value.tag] = value.simple_value
        files.append(found)
    return files


def watched(folder: Path, stop_after: int = 0) -> Trained:
    """Three epochs told to TensorBoard, which ``stop_after`` some of them are interrupted."""
    told: list[float] = []
    with event_file(folder / "events") as write:

        def observe(epoch, best):
            write(epoch, best)
            told.append(epoch["epoch"])
            if len(told) == stop_after:
                raise KeyboardInterrupt

        sides = 0, Sides(16, 1), Sides(8, 2)
        return train(Task(NETWORK, CONSTRAINTS, spec(epochs=3), *sides, folder / "unfinished", observe=observe))


def rows(trained: Trained) -> Scalars:
    return {
        int(row["epoch"]): pytest.approx({tag: value for tag, value in row.items() if tag not in ("epoch", "chosen")})
        for row in trained.history
    }


def test_every_value_of_an_epoch_is_a_scalar_at_its_step(tmp_path):
    trained = watched(tmp_path)
    assert scalars(tmp_path / "events") == [rows(trained)]


def test_a_resumed_training_goes_on_in_a_file_of_its_own(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        watched(tmp_path, stop_after=2)
    (before,) = scalars(tmp_path / "events")
    wanted = rows(watched(tmp_path))
    assert before == {step: wanted[step] for step in (1, 2)}
    assert scalars(tmp_path / "events") == [before, {3: wanted[3]}]


def test_an_epoch_is_in_the_file_when_the_call_returns(tmp_path):
    with event_file(tmp_path) as write:
        write({"epoch": 300, "loss": 0.5}, True)
        assert scalars(tmp_path) == [{300: {"loss": 0.5}}]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArtifactError, match=r"--tensorboard .*file: cannot be written .*; need a writable folder"),
        event_file(tmp_path / "file"),
    ):
        pass


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(_writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    with event_file(tmp_path) as write:
        monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.flush", full)
        with pytest.raises(ArtifactError, match=r"cannot be written \(No space left on device\)"):
            write({"epoch": 1, "loss": 0.5}, True)


def test_without_tensorboard_the_option_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    said = refusal(invoke(tmp_path, "train", tmp_path / "recipe.toml", "--tensorboard", tmp_path / "events"), 2)
    assert "--tensorboard: TensorBoard is not installed; need pip install 'deploytool[tensorboard]'." in said
    assert not (tmp_path / "events").exists()
