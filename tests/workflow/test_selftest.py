"""device selftest as a person uses it: the artifact, its page, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.boards import FAST, StandIn
from helpers.command import invoke
from helpers.samna_api import Samna
from helpers.samna_chip import Traits

from deploytool.run.targets import board_play
from deploytool.run.targets.board import Board


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(Board.__init__, "__defaults__", (*Board.__init__.__defaults__[:2], FAST))
    assert board_play.TIMING != FAST
    return StandIn(monkeypatch, Samna(Traits(fires=">")))


def test_the_emulator_passes_and_its_page_says_that_silicon_was_not_run(tmp_path: Path) -> None:
    result = invoke(
        tmp_path, "device", "selftest", "emulator", "--core", "7", "--only", "floor", "--only", "firing", "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["device"], found["passed"], [case["id"] for case in found["cases"]]) == ("emulator", True, ["floor"])
    (page,) = (tmp_path / "store").glob("selftest-*/selftest.html")
    text = page.read_text(encoding="utf-8")
    assert "every spike equals the emulator&#39;s" in text
    assert "Silicon: not run." in text
    assert "<script" not in text
    shown = invoke(tmp_path, "show", "selftest@latest", "--json")
    assert json.loads(shown.stdout)["questions"][0]["as_assumed"] == "yes"
    listed = invoke(tmp_path, "show", "--json")
    assert [row["result"] for row in json.loads(listed.stdout)["artifacts"]] == ["passed"]


@pytest.mark.usefixtures("standin")
def test_a_board_that_answers_otherwise_ends_with_9_and_says_so(tmp_path: Path) -> None:
    asked = ("device", "selftest", "speck2edevkit:0", "--core", "8", "--only", "firing", "--only", "threshold")
    result = invoke(tmp_path, *asked)
    assert result.exit_code == 9, result.output
    assert "at V > threshold" in result.stdout
    assert "1 of 1 known answers are wrong; 1 questions answered, 1 otherwise than assumed" in result.stdout
    (page,) = (tmp_path / "store").glob("selftest-*/selftest.html")
    assert "NO: at V &gt;= threshold was assumed" in page.read_text(encoding="utf-8")


def test_a_core_that_does_not_exist_is_named(tmp_path: Path) -> None:
    result = invoke(tmp_path, "device", "selftest", "emulator", "--core", "9")
    assert result.exit_code == 2
    assert "--core: found 9; need 0 to 8." in result.output


def test_devices_are_listed_without_samna_and_with_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(invoke(tmp_path, "device", "list", "--json").stdout)
    assert found["devices"] == ["emulator"]
    assert "samna: not installed" in found["missing"]
    assert (
        json.loads(invoke(tmp_path, "device", "info", "emulator", "--json").stdout)["cores"][3]["kernel_words"] == 32768
    )
    missing = invoke(tmp_path, "device", "info", "speck2edevkit:0")
    assert missing.exit_code == 8
    StandIn(monkeypatch)
    found = json.loads(invoke(tmp_path, "device", "list", "--json").stdout)
    assert (found["devices"], found["missing"]) == (["emulator", "speck2edevkit:0"], None)
    info = json.loads(invoke(tmp_path, "device", "info", "speck2edevkit:0", "--json").stdout)
    assert (info["samna"], info["chip"], info["rails"][1]) == ("0.48.6", "speck2e", "VDD_RAM")
    assert "firmware 17" in info["is"]
