"""Congestion balancers at the command line: mapped, emulated with a count of what is dropped, refused elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import answer, invoke, refusal

from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.program_file import load_program
from deploytool.run.record.activity import updates_of_neurons


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """net.nir, in which an event makes two updates, and a sample of events at 0, 1, ... 5 ms."""
    nodes = [("in", Input((2, 1, 1))), ("fc", Conv(np.eye(2, dtype=np.float32)[:, :, None, None]))]
    write_nir(chain([*nodes, ("if", Spike(floor=-1.0)), ("out", Output())]), tmp_path / "net.nir")
    events = np.zeros(6, EVENT)
    events["t"] = np.arange(6) * 1000
    (tmp_path / "events" / "0").mkdir(parents=True)
    np.save(tmp_path / "events" / "0" / "a.npy", events)
    return tmp_path


def mapped(folder: Path, balance: str) -> Any:
    return answer(invoke(folder, "map", folder / "net.nir", "--balance", balance, "--json"))


def test_a_run_counts_what_a_balancer_drops(folder: Path) -> None:
    shown = mapped(folder, "fc=1000")
    assert shown["layers"][0]["balancer_synops_per_s"] == 1000
    ran = answer(invoke(folder, "run", "program@latest", "--data", folder / "events", "--rasters", 1, "--json"))
    assert ran["dropped_events"] == [{"layer": "fc", "dropped": 3, "most_per_sample": 3}]
    assert "board" not in ran
    assert ran["layers"][0]["spikes_per_sample"] == 3
    assert ran["synops_per_sample"] == 6
    program = load_program(folder / "store" / shown["artifact"])
    assert updates_of_neurons(program, {"input": np.ones((2, 1, 1), np.int64)}) == {}


def test_the_speed_is_the_demonstrated_one_unless_given(folder: Path) -> None:
    assert mapped(folder, "fc")["layers"][0]["balancer_synops_per_s"] == 200_000_000
    assert "--balance fc=fast" in refusal(invoke(folder, "map", folder / "net.nir", "--balance", "fc=fast"), 2)
    simulator = ("--balance", "fc", "--target", "simulator")
    assert "--balance" in refusal(invoke(folder, "map", folder / "net.nir", *simulator), 2)


def test_time_steps_refuse_a_balancer(folder: Path) -> None:
    mapped(folder, "fc")
    steps = ("--on", "quantised", "--time-steps", 4)
    result = invoke(folder, "run", "program@latest", "--data", folder / "events", *steps)
    assert "layer 'fc': has a congestion balancer, which this run does not model" in refusal(result, 6)
