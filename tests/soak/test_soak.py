"""A short soak ends without a fault, and the judgement finds what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from soak.chain import CHECKOUT, Ended
from soak.judge import KEPT_MAX, REPETITIONS_MIN, memory, slope

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


def row(number: int, **changes: int) -> dict[str, Any]:
    kept = {} if number % 4 else {"malloc_bytes": 160_000_000 + number * 7919 % 30_000, "python_blocks": 1_400_000}
    rss_bytes = 500_000_000 + number * 7919 % 3_000_000
    return {
        "repetition": number,
        "rss_bytes": rss_bytes,
        "descriptors": 8,
        "threads": 5,
        "children": 0,
        **kept,
        **changes,
    }


def test_memory_that_stays_is_flat_whatever_its_noise() -> None:
    assert memory([row(number) for number in range(200)])["status"] == "flat"
    assert memory([row(number) for number in range(REPETITIONS_MIN - 1)])["status"] == "not judged"


def test_resident_memory_that_grows_is_found() -> None:
    found = memory([row(number, rss_bytes=500_000_000 + number * 200_000) for number in range(200)])
    assert found["status"] == "grows"
    assert found["problems"] == ["resident memory grows by 30,000,000 bytes; at most 5%"]


@pytest.mark.parametrize("name", sorted(KEPT_MAX))
def test_memory_that_is_not_freed_is_found(name: str) -> None:
    rows = [row(number) for number in range(200)]
    grown = [each | {name: each[name] + 3 * int(KEPT_MAX[name]) * each["repetition"]} for each in rows if name in each]
    found = memory([next((g for g in grown if g["repetition"] == each["repetition"]), each) for each in rows])
    assert found["status"] == "grows"
    assert found["problems"][0].startswith(f"{name} grow by ")


@pytest.mark.parametrize("name", ["descriptors", "threads", "children"])
def test_what_is_not_closed_is_found(name: str) -> None:
    found = memory([row(number, **{name: 5 + number // 10}) for number in range(200)])
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


def test_an_interrupt_of_python_itself_is_no_fault_and_one_of_ours_is() -> None:
    stderr = 'Traceback (most recent call last):\n  File "<frozen site>", line 1, in f\nKeyboardInterrupt\n'
    assert Ended(("show",), 1, "", stderr, 0.1).problems == []
    assert Ended(("show",), -2, "", "", 0.05).was_starting
    assert not Ended(("show",), -2, "", "model  made", 0.05).was_starting
    assert Ended(("show",), 1, "", stderr.replace("<frozen site>", f"{CHECKOUT}/deploytool/x.py"), 0.1).problems
