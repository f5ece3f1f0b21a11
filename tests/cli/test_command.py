"""Commands: dataclasses of options become options, and what a function raises becomes a sentence and an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner, Result

from deploytool.base.errors import FitError
from deploytool.base.interrupts import Interrupted
from deploytool.base.memory import memory_allowed
from deploytool.cli.command import command
from deploytool.cli.invocation import Invocation


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(min=1, help="Columns.")]
    height: int = 2


def run(function: Callable[..., int | None], *arguments: str) -> Result:
    made = command("deploytool draw --width 3", name="draw")(function)

    class Group(TyperGroup):
        def get_command(self, _ctx: Any, _name: str) -> TyperCommand:
            return made

    app = typer.Typer(cls=Group)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["draw", *arguments])


def draw(invocation: Any, size: Size, colour: str = "red") -> int:
    invocation.show({"area": size.width * size.height, "colour": colour, "store": str(invocation.cache.store.root)})
    return 3


def test_the_fields_of_a_dataclass_are_options(tmp_path: Path) -> None:
    result = run(draw, "--width", "3", "--colour", "blue", "--store", str(tmp_path), "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {"area": 6, "colour": "blue", "store": str(tmp_path)}


def test_a_field_without_a_default_is_required_and_limits_hold() -> None:
    assert "--width" in run(draw).stderr
    assert run(draw, "--width", "0").exit_code == 2


def test_help_has_every_option_in_order_and_the_example() -> None:
    shown = run(draw, "--help").stdout
    places = [shown.index(option) for option in ("--width", "--height", "--colour", "--store", "--json", "--quiet")]
    assert places == sorted(places)
    assert "Example: deploytool draw --width 3" in shown


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (FitError("conv", "too large"), 7, "conv: too large."),
        (KeyboardInterrupt(), 130, "Interrupted. Run the same command again to continue; finished work is kept."),
        (Interrupted(15), 143, "Terminated. Run the same command again to continue; finished work is kept."),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "draw: PyTorch is not installed; need pip install 'deploytool[train]'.",
        ),
        (
            ModuleNotFoundError("x", name="x"),
            1,
            "This is a bug in deploytool (ModuleNotFoundError); please report it with the lines above.",
        ),
        (ValueError("x"), 1, "This is a bug in deploytool (ValueError); please report it with the lines above."),
    ],
)
def test_what_is_raised_has_a_sentence_and_an_exit_code(error: BaseException, code: int, sentence: str) -> None:
    def fail(_: Any) -> None:
        raise error

    result = run(fail, "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout) == {"error": {"exit_code": code, "problems": [sentence]}}
    assert sentence in result.stderr
    assert ("Traceback" in result.stderr) is (code == 1)


def test_errors_are_wrapped_on_a_terminal_and_one_line_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    sentence = "recipe.toml:3: train.method: found 'std'; need one of sdt, nmt, mtt, tit, ptl, trev. Did you mean sdt?"
    asked = Invocation(tmp_path, as_json=False, quiet=None)
    asked.fail((sentence,), 3)
    assert capsys.readouterr().err == f"{sentence}\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    asked.fail((sentence,), 3)
    lines = capsys.readouterr().err.splitlines()
    assert [len(line) <= 60 for line in lines] == [True] * len(lines)
    assert " ".join(line.strip() for line in lines) == sentence
    assert all(line.startswith("  ") for line in lines[1:])
    options = "These options solve it: --set network.classes=10 --set network.spiking_output=true"
    asked.fail((options,), 3)
    assert capsys.readouterr().err == f"{options}\n"


def exhausting(_invocation: Any) -> int:
    raise MemoryError("Unable to allocate 7 GiB")


def test_exhausted_memory_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    result = run(exhausting, "--store", str(tmp_path), "--max-memory", "64GB")
    assert result.exit_code == 6
    assert "Traceback" not in result.stderr
    assert "draw: there was not enough memory (Unable to allocate 7 GiB); need at most 64.0 GB" in result.stderr


def bound(invocation: Any) -> int:
    invocation.show(memory_allowed())
    return 0


def test_the_bound_of_memory_is_stated_once_for_all_below(tmp_path: Path) -> None:
    assert run(bound, "--store", str(tmp_path), "--max-memory", "64GB", "--json").stdout == "64000000000\n"
    refused = run(bound, "--store", str(tmp_path), "--max-memory", "much")
    assert refused.exit_code == 2
    assert "--max-memory: found 'much'; need a size such as 4GB or 512MiB." in refused.stderr
