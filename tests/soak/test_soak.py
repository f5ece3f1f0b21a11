"""A short soak ends without a fault, and the judgement finds what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from soak.chain import Ended
from soak.judge import REPETITIONS_MIN, RSS_PER_REPETITION_MAX, memory, slope

ROOT = Path(__file__).parents[2]


def test_a_short_soak_finds_nothing(tmp_path: Path) -> None:
    faults = ("killed", "flipped bit", "several at once")
    command = [sys.executable, "-m", "soak", "--short", "--minutes", "0", "--seed", "1", "--output", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))}
    asked = [word for fault in faults for word in ("--fault", fault)]
    done = subprocess.run([*command, *asked], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["faults"] == []
    assert found["rounds"] == dict.fromkeys(found["rounds"], 1)
    assert set(found["rounds"]) == set(faults)
    assert found["damaged_artifacts_named"] >= 1
    assert found["memory"]["status"] == "not judged"


def row(number: int, rss_bytes: int, **changes: int) -> dict[str, Any]:
    return {"repetition": number, "rss_bytes": rss_bytes, "descriptors": 8, "threads": 5, "children": 0, **changes}


def test_memory_that_stays_is_flat_whatever_its_noise() -> None:
    noisy = [row(number, 500_000_000 + number * 7919 % 3_000_000) for number in range(200)]
    assert memory(noisy)["status"] == "flat"
    assert memory(noisy[: REPETITIONS_MIN - 1])["status"] == "not judged"


def test_growth_is_found_in_the_noise() -> None:
    grown = 3 * RSS_PER_REPETITION_MAX
    found = memory([row(number, 500_000_000 + number * 7919 % 3_000_000 + number * grown) for number in range(200)])
    assert found["status"] == "grows"
    assert "its memory grows by" in found["problems"][0]


@pytest.mark.parametrize("name", ["descriptors", "threads", "children"])
def test_what_is_not_closed_is_found(name: str) -> None:
    found = memory([row(number, 500_000_000, **{name: 5 + number // 10}) for number in range(200)])
    assert found["problems"] == [f"{name}: 24 at the end, 10 before"]


def test_a_slope_is_per_step() -> None:
    assert slope([2.0 * number for number in range(1000)]) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "problem"),
    [
        (1, "", "KeyError: 'a'", "exit code 1"),
        (
            4,
            '{"error": {"problems": ["a: b; need c."]}}',
            "Traceback (most recent call last):\nKeyError",
            "a traceback",
        ),
        (0, "", "", "not one JSON object"),
        (4, "a: b", "", "not one JSON object"),
        (4, '{"error": {"problems": ["a\\nb"]}}', "", "control characters"),
        (4, json.dumps({"error": {"problems": ["a" * 1001]}}), "", "1001 characters"),
    ],
)
def test_commands_that_end_badly_are_found(code: int, stdout: str, stderr: str, problem: str) -> None:
    assert problem in Ended(("show",), code, stdout, stderr, 1.0).problems[0]


@pytest.mark.parametrize(
    ("code", "stdout"), [(0, "{}"), (9, "{}"), (-9, ""), (4, '{"error": {"problems": ["a: b; need c."]}}')]
)
def test_commands_that_end_well_have_no_problem(code: int, stdout: str) -> None:
    assert Ended(("show",), code, stdout, "", 1.0).problems == []
