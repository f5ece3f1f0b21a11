"""The README tells of every command, and what it shows runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from deploytool.base.errors import DeployError
from deploytool.chip.chips import chip_names
from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.map.rules import RULES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TABLE = README.split("## Commands")[1].split("\n\n")[1]
EXAMPLES = [line for row in TABLE.splitlines() for line in re.findall(r"`(deploytool [^`]*)`", row.split("|")[1])]
SLOW = {"pipeline", "train", "bench"}


def commands() -> set[str]:
    group = typer.main.get_command(app)
    names = {name for name in group.commands if name != "device"}  # type: ignore[attr-defined]
    return names | {f"device {name}" for name in group.commands["device"].commands}  # type: ignore[attr-defined]


def test_every_command_is_in_the_table() -> None:
    shown = {" ".join(example.split()[1:3]) for example in EXAMPLES}
    assert {name for name in commands() if not any(f"{line} ".startswith(f"{name} ") for line in shown)} == set()


def test_every_command_has_help_and_an_example() -> None:
    for name in commands():
        result = CliRunner().invoke(app, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert f"Example: deploytool {name}" in result.stdout


def test_every_exit_code_is_told() -> None:
    for kind in DeployError.__subclasses__():
        assert re.search(rf"\b{kind.exit_code} \w", README), kind.__name__


def test_no_placeholder_is_left() -> None:
    assert "@@" not in README


def test_the_rules_of_every_chip_can_be_printed() -> None:
    for chip in chip_names():
        result = CliRunner().invoke(app, ["check", "--rules", "--chip", chip])
        assert result.exit_code == 0
        assert all(rule.id in result.stdout for rule in RULES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.nir and a store that holds one artifact of each kind the examples name."""
    folder = tmp_path_factory.mktemp("readme")
    weight = np.linspace(-0.5, 1, 10 * 2 * 16 * 16, dtype=np.float32).reshape(10, 2, 16, 16)
    nodes = [("in", Input((2, 16, 16))), ("conv1", Conv(weight)), ("if1", Spike(floor=-1.0)), ("out", Output())]
    write_nir(chain(nodes), folder / "net.nir")
    return folder


@pytest.mark.parametrize("example", [line for line in EXAMPLES if line.split()[1] not in SLOW])
def test_examples_run(example: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(folder)
    runner = CliRunner()
    if not Path("artifacts").exists():
        for line in ("convert net.nir", "map graph@latest", "run program@latest --data digits --samples 20"):
            assert runner.invoke(app, line.split()).exit_code == 0
        assert runner.invoke(app, ["validate", "recording@latest", "--against", "recording@latest"]).exit_code == 0
    arguments = shlex.split(re.sub(r"recording-\w+", "recording@latest", example))[1:]
    result = runner.invoke(app, arguments)
    driver = importlib.util.find_spec("samna")
    assert result.exit_code == (8 if arguments[:2] == ["device", "list"] and driver is None else 0), result.output
