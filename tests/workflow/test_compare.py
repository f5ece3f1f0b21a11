"""The verb compare: what it stores, which samples it runs again, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, answer, invoke, network, refusal

from deploytool.convert.nir import write_nir
from deploytool.store.artifact import Store


def recording_of(made: Path, rung: str) -> str:
    """The recording of the pipeline on ``rung``: the one that is of all samples and kept some spikes."""
    for path in (made / "store").glob("recording-*"):
        asked = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["recipe"]
        if asked.get("rung") == rung or (asked.get("on") == rung and asked["rasters"] == 2):
            return path.name
    raise AssertionError(rung)


def compared(folder: Path, one: str, other: str, *options: object) -> dict[str, Any]:
    return dict(answer(invoke(folder, "compare", one, other, "--json", *options)))


def details_of(comparison: dict[str, Any]) -> dict[str, Any]:
    (difference,) = comparison["spike_difference"]
    return dict(difference["details"])


def test_event_driven_against_clock_driven(made: Path) -> None:
    emulator, quantised = recording_of(made, "emulator"), recording_of(made, "quantised")
    found = compared(made, emulator, quantised, "--explain", "--samples", 2)
    details = details_of(found)
    assert details["networks"] == "Both runs are of one network."
    assert details["not_explained"] == ""
    assert len(details["explained"]) == len(details["timing"]["samples"]) == 2
    for each in details["explained"]:
        assert each["says"].startswith(f"Sample {each['sample']} ({each['name']}")
        assert "the emulator and the quantised run first differ" in each["says"]
        assert each["first"]["step"] >= 1
        assert len(each["sides"]) == 2
        assert each["sides"][1]["trace"]
    again = compared(made, emulator, quantised, "--explain", "--samples", 2)
    assert again == found
    counts = details_of(compared(made, emulator, quantised))
    assert counts["explained"] == []
    assert counts["timing"]["samples"] == [0, 1]
    assert counts["maps"] == details["maps"]


def test_the_order_of_the_two_runs_does_not_change_the_reason(made: Path) -> None:
    pair = recording_of(made, "emulator"), recording_of(made, "quantised")
    reasons = []
    for one, other in (pair, pair[::-1]):
        (found,) = details_of(compared(made, one, other, "--explain", "--sample", 3))["explained"]
        reasons.append((found["first"]["reasons"], found["first"]["t_us"], found["first"]["neuron"]))
    assert reasons[0] == reasons[1]


def test_the_trained_network_is_followed_by_its_program(made: Path) -> None:
    found = details_of(compared(made, recording_of(made, "simulator"), recording_of(made, "torch"), "--explain"))
    assert found["not_explained"] == ""
    assert all("the torch run" in each["says"] for each in found["explained"])


def test_a_perturbed_run_is_repeated(made: Path, program: str) -> None:
    how = ("--perturb", "drop=5%", "--repeats", 1)
    asked = ("--data", "digits", "--samples", 30)
    spread = answer(invoke(made, "run", program, *asked, *how, "--json"))
    found = details_of(compared(made, spread["unperturbed"], spread["perturbed"][0], "--explain", "--samples", 3))
    assert found["not_explained"] == ""
    assert {each["first"]["reasons"][0] for each in found["explained"]} == {"lost input event"}
    assert "“emulator, 5 % of events lost”" in found["explained"][0]["says"]


def test_time_steps_of_another_number_are_not_explained(made: Path, program: str) -> None:
    asked = ("--data", "digits", "--samples", 30, "--on", "quantised", "--json")
    three, four = (
        answer(invoke(made, "run", program, *asked, "--time-steps", number))["artifact"] for number in (3, 4)
    )
    found = details_of(compared(made, three, four, "--explain", "--samples", 1))
    assert "in time steps that differ" in found["explained"][0]["says"]


def test_different_networks_are_compared_and_said(made: Path) -> None:
    other = made / "other.toml"
    other.write_text(RECIPE.replace('name = "small"', 'name = "small"\nseed = 7'))
    one = recording_of(made, "emulator")
    trained = answer(invoke(made, "pipeline", other, "--json"))
    (two,) = (run["recording"] for run in trained["rungs"] if run["name"] == "emulator")
    found = details_of(compared(made, one, two, "--explain", "--samples", 1))
    assert "The runs are of different networks" in found["networks"]
    assert found["explained"][0]["first"]["reasons"][0] in ("different weights", "different threshold")


@pytest.fixture(scope="module")
def from_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Two recordings made from a file of events: by the emulator, and in 3 time steps."""
    folder = tmp_path_factory.mktemp("files")
    write_nir(network(padding=(1, 1)), folder / "net.nir")
    rng = np.random.default_rng(0)
    events = np.zeros(400, [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "u1")])
    events["t"] = np.sort(rng.integers(0, 50_000, 400))
    events["x"], events["y"], events["p"] = rng.integers(0, 16, 400), rng.integers(0, 16, 400), rng.integers(0, 2, 400)
    np.save(folder / "events.npy", events)
    invoke(folder, "map", folder / "net.nir")
    run = ("run", "program@latest", "--data", folder / "events.npy", "--json")
    names = [answer(invoke(folder, *run))["artifact"]]
    names.append(answer(invoke(folder, *run, "--on", "quantised", "--time-steps", 3))["artifact"])
    return folder, names


def test_files_that_are_gone_are_said(from_files: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, names = from_files
    moved = tmp_path / "events.npy"
    (folder / "events.npy").rename(moved)
    gone = details_of(compared(folder, *names, "--explain"))
    assert gone["explained"] == []
    assert "the samples it was made from were not found" in gone["not_explained"]
    there = details_of(compared(folder, *names, "--explain", "--data", moved))
    assert there["not_explained"] == ""
    assert len(there["explained"]) == 1
    moved.rename(folder / "events.npy")


def test_a_program_that_is_gone_is_said(from_files: tuple[Path, list[str]]) -> None:
    folder, names = from_files
    program = Store(folder / "store").get("program@latest").path
    program.rename(folder / "elsewhere")
    found = details_of(compared(folder, *names, "--explain", "--data", folder / "events.npy"))
    assert "the program it was made from is not in the store" in found["not_explained"]
    (folder / "elsewhere").rename(program)


def test_recordings_of_others_are_compared_by_counts_and_spikes(made: Path, program: str, tmp_path: Path) -> None:
    asked = ("--data", "digits", "--samples", 6, "--rasters", 6, "--json")
    emulated = answer(invoke(made, "run", program, *asked))["artifact"]
    answer(invoke(made, "export", emulated, "--spikes", tmp_path / "spikes.npz", "--json"))
    foreign = answer(
        invoke(
            made,
            *("import-recording", tmp_path / "spikes.npz", "--program", program, "--rung", "board"),
            *("--samples-of", emulated, "--json"),
        )
    )["artifact"]
    found = details_of(compared(made, emulated, foreign, "--explain", "--samples", 1))
    assert [each["says"].endswith("all kept spikes are the same.") for each in found["explained"]] == [True]
    assert "it was not run by deploytool, so only its counts and spikes are known" in found["not_explained"]
    assert found["worst"] == found["changed"] == []
    assert all(layer["victor_purpura"] == 0 for layer in found["timing"]["layers"])
    assert len(found["timing"]["samples"]) == 6


def test_what_is_refused(made: Path) -> None:
    emulator, quantised = recording_of(made, "emulator"), recording_of(made, "quantised")
    assert f"both are {emulator}" in refusal(invoke(made, "compare", emulator, emulator), 2)
    says = refusal(invoke(made, "compare", emulator, quantised, "--explain", "--sample", "nobody"), 2)
    assert says.startswith("--sample nobody: not a sample of the recordings; need a name, or a number from 0 to 29")


def test_on_a_terminal(made: Path) -> None:
    emulator, quantised = recording_of(made, "emulator"), recording_of(made, "quantised")
    shown = invoke(made, "compare", emulator, quantised, "--explain", "--samples", 1, "--verbose").stdout
    for part in ("spike difference", "neurons that differ most", "Victor-Purpura", "why", "layers of sample"):
        assert part in shown
