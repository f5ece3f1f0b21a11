"""The environment that torchrun sets, and one that somebody set by hand."""

from __future__ import annotations

import pytest

from deploytool.base.errors import UsageError
from deploytool.base.machine import EVERYWHERE, is_first_process, launched_processes, trained_on


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched_processes() == 1


def test_torchrun_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "3"), ("RANK", "0"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    assert launched_processes() == 3


@pytest.mark.parametrize("size", ["x", "0", "-1", "", "9" * 5000, "²"])
def test_a_number_set_by_hand_is_one_sentence(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(UsageError, match=r"WORLD_SIZE=.*: no number of processes; need WORLD_SIZE, RANK"):
        launched_processes()


def test_a_size_without_a_rank_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"WORLD_SIZE=2: RANK, MASTER_ADDR, MASTER_PORT not set; .* Unset WORLD_SIZE"):
        launched_processes()


@pytest.mark.parametrize("rank", ["2", "x", "-1", "", "9" * 5000])
def test_a_rank_set_by_hand_is_one_sentence(monkeypatch: pytest.MonkeyPatch, rank: str) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", rank), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"WORLD_SIZE=2: RANK=.* is no number below it; need WORLD_SIZE, RANK"):
        launched_processes()


@pytest.mark.parametrize(
    ("size", "rank", "first"), [(None, "3", True), ("1", "3", True), ("2", "1", False), ("2", "0", True)]
)
def test_a_process_alone_is_the_first_whatever_its_rank(
    monkeypatch: pytest.MonkeyPatch, size: str | None, rank: str, first: bool
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size is not None:
        monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.setenv("RANK", rank)
    assert is_first_process() == first


def test_the_sentence_about_a_machine_names_what_training_depends_on() -> None:
    machine = {"processor": "a CPU", "instructions": "AVX2", "threads": 1, "python": "3.11.7", "torch": "2.4.0"}
    assert trained_on(machine) == (
        "Trained on a CPU (AVX2), 1 thread, with PyTorch 2.4.0, Python 3.11.7. Another processor, number of threads or "
        "version can train slightly different weights; everything after training is the same on every machine."
    )
    assert trained_on({**machine, **EVERYWHERE}) == (
        "Trained on a CPU (AVX2), 1 thread, with PyTorch 2.4.0, Python 3.11.7. Its figures are the same on every "
        "x86-64 processor and with any number of threads; another version can train slightly different weights; "
        "everything after training is the same on every machine."
    )
    assert "2 threads, 4 processes, a GPU, with" in trained_on(machine | {"threads": 2, "processes": 4, "gpu": "a GPU"})
