"""The least memory of a training: what is refused before anything is allocated."""

from __future__ import annotations

from typing import Any

import pytest

from deploytool.base.memory import VARIABLE
from deploytool.recipe import DataSection, NetworkSection, TrainSection
from deploytool.train.footprint import too_large

NETWORK = NetworkSection.model_validate(
    {
        "input": (2, 16, 16),
        "layers": [
            {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 10},
            {"type": "spike"},
        ],
    }
)
EVENTS = DataSection(set="digits")


def places(samples: int | None = None, data: DataSection = EVENTS, **keys: Any) -> list[str]:
    spec = TrainSection.model_validate({"time_steps": 10, "epochs": 1, "batch": 8, "learning_rate": 1e-3, **keys})
    return [str(problem).partition(" would take")[0] for problem in too_large(NETWORK, spec, data, samples)]


@pytest.fixture(autouse=True)
def _bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1GB")


def test_an_ordinary_training_is_fine() -> None:
    assert places() == []


def test_numbers_beyond_memory_are_named() -> None:
    assert places(time_steps=10**9) == [
        "train.time_steps: one sample in 1,000,000,000 time steps",
        "train.time_steps: the backward pass over 1,000,000,000 time steps",
    ]
    assert places(epochs=10**12) == ["train.epochs: the history"]


def test_a_batch_counts_as_far_as_there_are_samples() -> None:
    needed = 4 * 10 * 2 * 16 * 16
    assert places(samples=10**9 // needed, batch=10**9, accumulate=4) == []
    assert places(samples=10**9 // needed + 1, batch=10**9, accumulate=4) == [
        f"train.time_steps: a batch of {10**9 // needed + 1:,} samples in 10 time steps"
    ]
    assert places(samples=10**9, batch=8) == []


def test_the_backward_pass_takes_a_part_of_a_batch_at_a_time() -> None:
    kept = 2 * 400 * (4 * 16 * 16 + 10)
    batch = 10**9 // kept + 1
    assert places(samples=batch, batch=batch, time_steps=400) == [
        "train.time_steps: the backward pass over 400 time steps"
    ]
    assert places(samples=batch, batch=batch, time_steps=400, accumulate=2) == []
    assert places(samples=batch, batch=batch, time_steps=400, method="trev") == []


def test_the_weights_count(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = 2 * 4 * (4 * 2 * 9 + 10 * 4 * 256)
    monkeypatch.setenv(VARIABLE, str(weights - 1))
    assert places(time_steps=1) == ["network.layers: the weights and their gradients"]
