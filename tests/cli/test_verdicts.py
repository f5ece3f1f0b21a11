"""Verdicts on the command line: runs by name, every limit checked or not run, and what continuous integration gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from helpers.command import Deploytool, answer, refusal

from deploytool.cli.commands.validate import LimitOptions
from deploytool.recipe import ValidateSection

pytest.importorskip("torch")
pytest.importorskip("sklearn")


def test_every_key_of_the_recipe_is_an_option() -> None:
    assert {field.name for field in dataclasses.fields(LimitOptions)} == set(ValidateSection.model_fields)


DATA = ("--data", "digits", "--samples", 20)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> dict[str, str]:
    """{what it is: the recording} of runs of one program: plain, perturbed, and with several numbers of time steps."""
    from helpers.command import invoke

    made: Path = request.getfixturevalue("made")
    program: str = request.getfixturevalue("program")

    def run(*arguments: object) -> Any:
        return answer(invoke(made, "run", program, *DATA, *arguments, "--json"))

    found = {f"T{steps}": run("--on", "quantised", "--time-steps", steps)["artifact"] for steps in (2, 6)}
    lost = run("--perturb", "drop=20%", "--repeats", 2)
    found |= {"plain": lost["unperturbed"], "draw 1": lost["perturbed"][0], "draw 2": lost["perturbed"][1]}
    return found | {"simulator": run("--on", "simulator")["artifact"]}


def test_the_newest_program_for_the_chip_is_run_and_said(cli: Deploytool, made: Path) -> None:
    result = cli("run", "program@latest", *DATA, "--on", "emulator")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("program@latest is ")]
    assert (made / "store" / line.split()[2].rstrip(",") / "configuration.json").exists()
    assert line.endswith("of the same graph is for the simulator")
    assert "program@latest is" not in cli("run", "program@latest", *DATA, "--on", "emulator", "--quiet").stderr


def test_runs_are_called_by_what_they_are(cli: Deploytool, runs: dict[str, str]) -> None:
    names = {
        "T6": "quantised",
        "T2": "quantised, T = 2",
        "plain": "emulator",
        "simulator": "simulator, int8/int16",
        "draw 1": "emulator, 20 % of events lost, draw 1",
        "draw 2": "emulator, 20 % of events lost, draw 2",
    }
    report = answer(cli("validate", *(runs[name] for name in names), "--json"))
    found = {rung["recording"]: rung for rung in report["rungs"] if rung["status"] == "run"}
    assert {found[runs[which]]["name"] for which in names} == set(names.values())
    assert {which: found[runs[which]]["name"] for which in names} == names
    assert [found[runs[which]]["time_steps"] for which in ("T2", "T6", "plain")] == [2, 6, None]
    assert all(rung["arithmetic"] == "int8/int16" for rung in found.values())
    shown = cli("validate", *(runs[name] for name in names)).stdout
    assert "emulator, 20 % of events lost" in shown


def test_a_limit_is_checked_on_every_named_pair(cli: Deploytool, runs: dict[str, str]) -> None:
    pair = ("validate", runs["plain"], runs["T6"], "--against", runs["draw 1"])
    report = answer(cli(*pair, "--max-spike-difference", 0, "--json"), exit_code=9)
    lost = "emulator, 20 % of events lost"
    assert [(check["reference"], check["test"], check["passed"]) for check in report["verdict"]["checks"]] == [
        (lost, "quantised", False),
        (lost, "emulator", False),
    ]
    report = answer(cli(*pair, "--max-spike-difference", 1000, "--json"))
    assert [check["passed"] for check in report["verdict"]["checks"]] == [True, True]


def test_a_required_rung_that_did_not_run_is_negative(cli: Deploytool, runs: dict[str, str]) -> None:
    report = answer(cli("validate", runs["draw 1"], "--require", "emulator", "--json"), exit_code=9)
    assert [(check["test"], check["passed"]) for check in report["verdict"]["checks"]] == [("emulator", False)]
    answer(cli("validate", runs["plain"], "--require", "emulator", "--json"))
    assert "need one of torch, quantised" in refusal(cli("validate", runs["plain"], "--require", "chip"), 2)


def test_a_recipe_can_require_a_board(cli: Deploytool, made: Path) -> None:
    report = answer(cli("pipeline", made / "recipe.toml", "--set", 'validate.require=["board"]', "--json"), exit_code=9)
    assert report["verdict"]["passed"] is False


def test_continuous_integration_gets_the_checks(
    cli: Deploytool, runs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    asked = ("--min-accuracy", 0, "--require", "board", "--junit", tmp_path / "checks.xml")
    result = cli("validate", runs["plain"], *asked, "--github-summary")
    assert result.exit_code == 9
    suite = ElementTree.parse(tmp_path / "checks.xml").getroot()
    assert [case.get("name") for case in suite] == ["require (board)", "min_accuracy (emulator)"]
    assert [len(case) for case in suite] == [1, 0]
    assert "| A run on the board is required: not run | failed |" in (tmp_path / "summary.md").read_text()


def test_recordings_of_other_samples_or_networks_are_refused(cli: Deploytool, runs: dict[str, str], made: Path) -> None:
    listed = answer(cli("show", "--json"))["artifacts"]
    recordings = [answer(cli("show", row["artifact"], "--json")) for row in listed if row["on"] == "emulator"]
    other = next(found["artifact"] for found in recordings if found["samples"] == 30)
    says = refusal(cli("validate", runs["plain"], other), 5)
    assert f"{other} against {runs['plain']}: 30 samples against 20; need recordings of the same samples" in says
    changed = ("--set", "train.epochs=1", "--set", 'run.on=["emulator"]', "--set", "report.samples=0")
    answer(cli("pipeline", made / "recipe.toml", *changed, "--json"))
    newest = answer(cli("show", "recording@latest", "--json"))["artifact"]
    says = refusal(cli("validate", other, newest, "--max-spike-difference", 5), 5)
    assert f"{other} and {newest}: they ran different networks" in says
    assert says.rstrip().endswith(f"Run deploytool compare {other} {newest} to compare them.")
