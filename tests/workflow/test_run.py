"""Runs at the command line: interrupted and resumed, spread over processes, perturbed, and what is told of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Output, Spike, SumPool

SAMPLES = 12


def invoke(store: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--store", str(store)])


def answer(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir, and events/<class>/*.npy: twelve samples of three classes."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(0.1, 0.25, (4, 2, 3, 3)).astype(np.float32), padding=(1, 1))
    nodes = [
        ("in", Input((2, 8, 8))),
        ("conv", conv),
        ("if1", Spike(floor=-1.0)),
        ("pool", SumPool((2, 2), (2, 2))),
        ("flat", Flatten()),
        ("fc", Linear(rng.normal(0.05, 0.25, (3, 64)).astype(np.float32))),
        ("if2", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    write_nir(chain(nodes), folder / "net.nir")
    for index in range(SAMPLES):
        events = np.zeros(200, EVENT)
        events["t"] = np.sort(rng.integers(0, 100_000, 200))
        for axis, size in zip("cyx", (2, 8, 8), strict=True):
            events[axis] = rng.integers(0, size, 200)
        path = folder / "events" / str(index % 3) / f"{index}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, events)
    return folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Path:
    """A store that holds the program."""
    assert invoke(tmp_path, "map", folder / "net.nir").exit_code == 0
    return tmp_path


def run(store: Path, folder: Path, *options: object) -> Result:
    return invoke(store, "run", "program@latest", "--data", folder / "events", *options, "--json")


def test_a_run_tells_what_an_engineer_asks(store: Path, folder: Path) -> None:
    shown = answer(run(store, folder, "--rasters", SAMPLES))
    conv, fc = shown["layers"]
    assert [(row["layer"], row["neurons"]) for row in shown["neurons"]] == [("conv", 256), ("fc", 3)]
    assert conv["synops_per_sample"] + fc["synops_per_sample"] == pytest.approx(shown["synops_per_sample"], abs=0.51)
    assert conv["rate_hz"] > 0
    assert {"silent_neurons", "saturated_neurons", "weights_above_threshold"} <= shown["neurons"][0].keys()
    assert all(row["v_in_int16"].endswith("(bound)") for row in shown["neurons"])
    assert shown["decision"]["samples"] > 0
    assert shown["decision"]["max_ms"] <= 100
    assert " uJ per sample" in shown["energy"]
    assert "366 pJ per SynOp" in shown["energy"]
    assert {row["part"]: row["core"] for row in shown["load"]}.keys() == {"conv", "fc"}
    assert sum(row["mean_synops_per_s"] for row in shown["load"]) == pytest.approx(
        10 * shown["synops_per_sample"], rel=0.1
    )
    assert "is the busiest" in shown["busiest_core"]
    assumed = answer(invoke(store, "show", shown["artifact"], "--synop-pj", 2, "--json"))
    assert "assumed by you: 2 pJ per SynOp" in assumed["energy"]
    measured = answer(run(store, folder, "--extremes"))
    assert all(row["v_in_int16"].endswith("(measured)") for row in measured["neurons"])


def test_the_report_has_the_activity_of_every_layer(store: Path, folder: Path) -> None:
    name = answer(run(store, folder))["artifact"]
    report = answer(invoke(store, "validate", name, "--json"))
    rung = next(rung for rung in report["rungs"] if rung["name"] == "emulator")
    assert [row["layer"] for row in rung["layers"]] == ["conv", "fc"]
    assert " uJ per sample" in rung["energy"]
    assert rung["energy_uj"] > 0
    assert [row["layer"] for row in rung["load"]] == ["conv", "fc"]


def test_an_interrupted_run_is_resumed(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploytool.data.recordings import chosen
    from deploytool.run.jobs import resume

    read = chosen.read_events

    class Interrupting(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            if index == 7:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(index)

    def interrupting(*arguments: Any) -> Interrupting:
        return Interrupting(read(*arguments))

    monkeypatch.setattr(chosen, "read_events", interrupting)
    monkeypatch.setattr(resume, "FINISH_S", 200.0)  # loops may be compiled first, on a busy machine
    cut = run(store, folder)
    assert cut.exit_code == 130
    assert "Finishing and keeping" in cut.stderr
    assert len(list((store / "unfinished").glob("*/*.npz"))) == 1
    monkeypatch.undo()
    resumed = run(store, folder)
    assert "8 samples are already finished" in resumed.stderr
    assert not (store / "unfinished").exists()
    other = store / "other"
    assert invoke(other, "map", folder / "net.nir").exit_code == 0
    assert answer(resumed)["digest"] == answer(run(other, folder))["digest"]


def test_dask_workers_make_the_same_recording(store: Path, folder: Path) -> None:
    pytest.importorskip("distributed")
    spread = answer(run(store, folder, "--scheduler", "local:1"))
    other = store / "other"
    assert invoke(other, "map", folder / "net.nir").exit_code == 0
    assert answer(run(other, folder))["digest"] == spread["digest"]


def test_a_perturbation_tells_its_spread(store: Path, folder: Path) -> None:
    asked = ("--perturb", "order=8us,drop=5%,threshold=5%,weights=5%", "--repeats", 3, "--seed", 1)
    found = answer(run(store, folder, *asked))
    accuracy, difference, _ = found["spread"]
    assert found["repeats"] == len(set(found["perturbed"])) == 3
    assert 0 < difference["min"] <= difference["mean"] <= difference["max"]
    assert difference["sd"] > 0
    assert 0 <= accuracy["min"] <= accuracy["max"] <= 100
    shown = answer(invoke(store, "show", found["perturbed"][2], "--json"))
    assert shown["perturbation"] == "order=8us,drop=5%,threshold=5%,weights=5% seed 1 repeat 2"
    again = run(store, folder, *asked)
    assert "  made" not in again.stderr
    assert answer(again) == found


def test_options_that_do_not_go_together(store: Path, folder: Path) -> None:
    for options, sentence in [
        (("--perturb", "noise=1%"), "--perturb noise=1%"),
        (("--scheduler", "slurm"), "need local"),
        (("--extremes", "--on", "quantised", "--time-steps", 3), "--extremes"),
    ]:
        result = run(store, folder, *options)
        assert result.exit_code == 2, result.output
        assert sentence in result.stderr


def test_events_outside_the_map_are_an_error(store: Path, tmp_path: Path) -> None:
    events = np.zeros(3, EVENT)
    events["x"] = 8
    np.save(tmp_path / "out.npy", events)
    result = invoke(store, "run", "program@latest", "--data", tmp_path / "out.npy")
    assert result.exit_code == 5
    assert "x = 8" in result.stderr
