"""The benchmark of training compares what is the same: the gradients of the first step agree."""

from __future__ import annotations

import pytest

from deploytool.bench.speed import peers


def test_gradients_of_the_whole_network_are_those_of_sinabs(monkeypatch):
    pytest.importorskip("sinabs.layers")
    monkeypatch.setattr(peers, "in_turn", lambda *sides, **_: [1.0] * len(sides))
    row = peers.row("sinabs", 10)
    assert row["time steps"] == 10
    assert row["gradients apart"] < 1e-4
    assert row["ms"] == 1e3 / peers.IN_A_ROW
    assert row["times faster"] == 1


def test_a_library_that_is_not_there_is_not_run(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert peers.training_steps() == [
        {"peer": name, "result": f"not run: {name} is not installed"} for name in ("sinabs", "SpikingJelly")
    ]
