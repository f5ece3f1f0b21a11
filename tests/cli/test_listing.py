"""The list of artifacts in 60 columns, in more, and in full; and the epochs of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.command import answer, invoke, refusal
from typer.testing import CliRunner

from deploytool.cli.app import app
from deploytool.cli.listing import STARRED, epochs, listing
from deploytool.cli.terminal import print_value
from deploytool.zoo.figures import read_figures
from deploytool.zoo.models import MODELS, ROOT


def row(artifact: str, **known: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(("created", "on", "time_steps", "accuracy_percent", "result", "special"))
    return {"artifact": artifact, "made_from": "-", **unknown, **known}


CREATED = "2026-11-28T18:41:07.000001Z"
CLEAN = row("recording-5104164ec350", created=CREATED, on="quantised", time_steps=40, result="97.77 %")
LOST = CLEAN | {"artifact": "recording-1548e290418f", "special": "5 % of events lost"}
GRAPH = row("graph-1f875a1ff865", created=CREATED, result="11 nodes")
DAMAGED = row("model-8fdc5e01dfdd", result="damaged")


def test_one_line_each_fits_60_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows, note = listing([CLEAN, LOST, GRAPH, DAMAGED], 60, verbose=False)
    print_value(rows)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "made         artifact                on          T  result",
        "11-28 18:41  recording-5104164ec350  quantised  40  97.77 %",
        "11-28 18:41  recording-1548e290418f  quantised  40  97.77 %*",
        "11-28 18:41  graph-1f875a1ff865      -           -  11 nodes",
        "-            model-8fdc5e01dfdd      -           -  damaged",
    ]
    assert note == STARRED


def test_with_room_what_is_special_is_a_column() -> None:
    rows, note = listing([CLEAN, LOST], 80, verbose=False)
    assert [line["special"] for line in rows] == ["", "5 % of events lost"]
    assert [line["result"] for line in rows] == ["97.77 %", "97.77 %"]
    assert note == ""
    rows, note = listing([CLEAN], 60, verbose=False)
    assert note == ""
    assert "special" not in rows[0]


def test_in_full_there_are_seconds_and_the_lineage() -> None:
    rows, note = listing([LOST], 60, verbose=True)
    assert note == ""
    assert rows[0] == {
        "made": "2026-11-28 18:41:07",
        "artifact": "recording-1548e290418f",
        "on": "quantised",
        "T": 40,
        "result": "97.77 %",
        "special": "5 % of events lost",
        "made from": "-",
    }


def test_epochs_have_the_columns_that_are_known() -> None:
    history = [
        {"epoch": 1.0, "loss": 2.26, "accuracy": 27.7, "validation_accuracy": 34.7, "rate/conv1": 0.5},
        {"epoch": 2.0, "loss": 1.0, "accuracy": 50.0, "chosen": 1},
    ]
    assert epochs(history) == [
        {"epoch": 1, "loss": 2.26, "accuracy": 27.7, "validation_accuracy": 34.7, "chosen": ""},
        {"epoch": 2, "loss": 1.0, "accuracy": 50.0, "validation_accuracy": None, "chosen": "*"},
    ]
    assert epochs([]) == []


def test_the_shipped_models_fit_60_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    result = CliRunner().invoke(app, ["show", "models"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, map(str.rstrip, lines))) <= 60
    assert [line.split()[0] for line in lines if line.startswith("  zoo:")] == [f"zoo:{name}" for name in MODELS]


def test_a_shipped_model_is_shown_with_its_figures_and_in_json_with_its_training(tmp_path: Path) -> None:
    shown = invoke(tmp_path, "show", "zoo:digits")
    assert "CC BY 4.0" in shown.stdout
    accuracy = read_figures(ROOT / "digits").rung("emulator").accuracy
    assert f"{accuracy:.2f}" in shown.stdout
    found = answer(invoke(tmp_path, "show", "zoo:digits", "--json"))
    assert (found["kind"], found["epochs"]) == ("model", 25)
    assert found["rungs"][-1] == {"rung": "board", "status": "not run", "samples": 0} | dict.fromkeys(
        ("time_steps", "accuracy_percent", "synops_per_sample")
    )
    assert answer(invoke(tmp_path, "show", "models", "--json"))["models"][0]["digest"] == found["digest"]
    assert "need zoo:digits" in refusal(invoke(tmp_path, "show", "zoo:none"), 4)
