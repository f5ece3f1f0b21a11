"""The GitHub action: its inputs are what its steps use, and its command says whether a network fits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.command import network

from deploytool.convert.nir import write_nir

ACTION = Path(__file__).parents[1] / "action.yml"


def action() -> Any:
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))


def step(name: str) -> Any:
    return next(step for step in action()["runs"]["steps"] if step["name"] == name)


def run(folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str], str]:
    """(what the step did, its outputs, the summary) with ``inputs``, as the runner of GitHub Actions calls it."""
    commands = folder / "bin"
    commands.mkdir()
    for command, arguments in (("deploytool", "-m deploytool"), ("python", "")):
        (commands / command).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (commands / command).chmod(0o755)
    given = {name: str(field.get("default", "")) for name, field in action()["inputs"].items()} | inputs
    checking = step("Check the network")
    environment = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: given[found[1]], value)
        for name, value in checking["env"].items()
    }
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment |= {name: str(path) for name, path in files.items()}
    environment |= {"RUNNER_TEMP": str(folder), "PATH": f"{commands}:{os.environ['PATH']}"}
    script = folder / "script.sh"
    script.write_text(checking["run"])
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    done = subprocess.run(shell, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    summary = files["GITHUB_STEP_SUMMARY"]
    return done, outputs, summary.read_text() if summary.exists() else ""


def test_every_input_is_used_and_every_output_is_set() -> None:
    found = action()
    assert found["runs"]["using"] == "composite"
    text = ACTION.read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.(\w+)", text)) == set(found["inputs"])
    assert all(field["description"] for field in (*found["inputs"].values(), *found["outputs"].values()))
    for name, field in found["outputs"].items():
        assert field["value"] == f"${{{{ steps.check.outputs.{name} }}}}"
        assert f'"{name}=' in step("Check the network")["run"]
    for each in found["runs"]["steps"]:
        assert each["shell"] == "bash"
        assert "${{" not in each["run"], "an expression in a script would run what an input contains"


def test_a_network_that_fits(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    done, outputs, summary = run(tmp_path, network="net.nir", options="--pin conv=3")
    assert done.returncode == 0, done.stderr
    assert (outputs["fits"], outputs["exit-code"]) == ("true", "0")
    report = json.loads(Path(outputs["report"]).read_text())
    assert report["fits"] is True
    assert json.loads(done.stdout) == report
    assert {layer["name"]: layer["core"] for layer in report["layers"]}["conv"] == 3
    assert summary.startswith("## deploytool check: net.nir fits speck2e\n")


def test_a_network_that_does_not_fit_fails_the_step(tmp_path: Path) -> None:
    write_nir(network(stride=(3, 3)), tmp_path / "net.nir")
    done, outputs, summary = run(tmp_path, network="net.nir", chip="speck2e")
    assert done.returncode == 7
    assert (outputs["fits"], outputs["exit-code"]) == ("false", "7")
    assert "### Problems" in summary


def test_a_missing_file_fails_the_step(tmp_path: Path) -> None:
    done, outputs, summary = run(tmp_path, network="absent.nir")
    assert done.returncode == int(outputs["exit-code"]) != 0
    assert outputs["fits"] == "false"
    assert "absent.nir" in done.stderr
    assert summary == ""


@pytest.mark.parametrize("text", ["$(touch hacked)", "`touch hacked`", '"; touch hacked; "'])
def test_an_input_is_never_run(tmp_path: Path, text: str) -> None:
    run(tmp_path, network=text, chip=text)
    assert not (tmp_path / "hacked").exists()
