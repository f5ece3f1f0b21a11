"""Every function of the API gives what the command gives for the same input: artifacts with the same digests."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import Deploytool, answer

import deploytool as dt


@pytest.fixture(scope="module")
def store(made: Path) -> Path:
    """The store of a pipeline that the command line ran."""
    return made / "store"


def named(store: Path, kind: str, **recipe: Any) -> str:
    """The artifact of ``kind`` whose manifest states all of ``recipe``."""
    for path in sorted(store.glob(f"{kind}-*/manifest.json")):
        stated = json.loads(path.read_text())["recipe"]
        if all(stated.get(key) == value for key, value in recipe.items()):
            return path.parent.name
    raise AssertionError(f"no {kind} with {recipe} in {store}")


def test_train_and_load_and_compile(made: Path, store: Path, tmp_path: Path) -> None:
    """In a store of its own, so that nothing is found there."""
    model = dt.train(made / "recipe.toml", store=tmp_path)
    assert model.name == named(store, "model")
    graph = dt.load(model)
    assert graph.name == named(store, "graph")
    program, simulated = dt.compile(graph), dt.compile(graph, "simulator")
    assert program.name == next(path.parent.name for path in store.glob("program-*/configuration.json"))
    assert simulated.name == named(store, "program", target="simulator")


def test_runs_and_verdicts(store: Path, cli: Deploytool, tmp_path: Path) -> None:
    events = dt.events("digits", count=30)
    program = dt.save(dt.open(program_of(store), store), tmp_path)
    emulated = dt.emulate(program, events, rasters=2)
    simulated = dt.simulate(dt.load("graph@latest", store=store), events, rasters=2)
    asked = ("--data", "digits", "--samples", "30", "--rasters", "2", "--json")
    assert emulated.name == answer(cli("run", program.name, "--on", "emulator", *asked))["artifact"]
    float_program = named(store, "program", target="simulator")
    assert simulated.name == answer(cli("run", float_program, "--on", "simulator", *asked))["artifact"]

    told = answer(cli("compare", emulated.name, simulated.name, "--explain", "--json"))
    assert dt.compare(emulated, simulated, explain=True).name == told["artifact"]
    limits = ("--against", simulated.name, "--max-spike-difference", "90")
    told = answer(cli("validate", emulated.name, *limits, "--json"))
    verdict = dt.validate([emulated], against=simulated, max_spike_difference=90)
    assert verdict.name == told["artifact"]
    assert verdict.as_json()["verdict"] == told["verdict"]


def program_of(store: Path) -> str:
    return next(path.parent.name for path in store.glob("program-*/configuration.json"))


def test_compile_with_options(store: Path, cli: Deploytool) -> None:
    net = dt.open("graph@latest", store)
    told = answer(cli("map", net.name, "--target", "dynapcnn", "--pin", "conv1=1", "--no-split", "--json"))
    assert dt.compile(net, "dynapcnn", pins={"conv1": 1}, split=False).name == told["artifact"]
    told = answer(cli("map", net.name, "--weight-bits", "4", "--requantise", "--json"))
    assert dt.compile(net, weight_bits=4, requantise=True).name == told["artifact"]
    told = answer(cli("map", net.name, "--quantise", "calibrated", "--data", "digits", "--json"))
    assert dt.compile(net, calibration="digits").name == told["artifact"]


def test_calibration_on_samples_of_a_script(store: Path) -> None:
    net, samples = dt.open("graph@latest", store), dt.events("digits", count=6)
    found = dt.compile(net, calibration=list(samples))
    assert found.describe()["calibration"]
    assert found.artifact.manifest.recipe["calibration"] == {"in memory": 6}
    assert found.artifact.manifest.recipe["map"]["calibration_samples"] == 2
    with pytest.raises(dt.DeployError, match=r"calibration: found 2 samples; need at least 3"):
        dt.compile(net, calibration=list(samples)[:2])


def test_recipes_of_every_kind(made: Path, store: Path) -> None:
    """A file, a dictionary and a Recipe are one request, which the store answers."""
    values = tomllib.loads((made / "recipe.toml").read_text())
    name = dt.open("model@latest", store).name
    assert dt.train(values, store=store).name == name
    assert dt.train(dt.Recipe.model_validate(values), store=store).name == name
    changed = dt.Recipe.model_validate({**values, "seed": 1})
    assert dt.train(changed, set=["seed=0"], store=store).name == name
    assert said(dt.check(values)) == said(dt.check(made / "recipe.toml"))


def test_clock_driven(store: Path, cli: Deploytool) -> None:
    events = dt.events("digits", count=30)
    program = dt.open(program_of(store), store)
    asked = ("--data", "digits", "--samples", "30", "--time-steps", "6", "--json")
    told = answer(cli("run", program.name, "--on", "quantised", *asked))
    assert dt.clock_driven(program, events, 6).name == told["artifact"]
    assert dt.clock_driven(dt.open("model", store)).name == named(store, "recording", rung="torch")


def said(fit: dt.Fit) -> Any:
    """What it says after a way through JSON."""
    return json.loads(json.dumps(fit.as_json()))


def test_check(store: Path, made: Path, cli: Deploytool) -> None:
    told = answer(cli("check", made / "recipe.toml", "--json"))
    assert said(dt.check(made / "recipe.toml")) == told
    told = answer(cli("check", "model@latest", "--chip", "dynapcnn", "--json"))
    assert said(dt.check(dt.open("model@latest", store), "dynapcnn")) == told
    told = answer(cli("check", "model@latest", "--rate", "10000", "--json"))
    assert said(dt.check(dt.open("model@latest", store), rate=10_000)) == told


def test_events_in_memory_are_those_of_a_file(store: Path, cli: Deploytool, tmp_path: Path) -> None:
    """An array gives the spikes that its file gives."""
    stream = dt.events("digits", count=1)[0]
    array = np.zeros(len(stream), [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    for field, of_stream in (("x", "x"), ("y", "y"), ("t", "t"), ("p", "c")):
        array[field] = stream.events[of_stream]
    np.save(tmp_path / "events.npy", array)
    program = dt.open(program_of(store), store)
    told = answer(cli("run", program.name, "--on", "emulator", "--data", tmp_path / "events.npy", "--json"))
    from_file, in_memory = dt.open(told["artifact"], store), dt.emulate(program, array)
    assert in_memory.counts.keys() == from_file.counts.keys()
    for layer, counts in from_file.counts.items():
        np.testing.assert_array_equal(in_memory.counts[layer], counts)
    assert int(in_memory.value.durations_us[0]) == int(from_file.value.durations_us[0])
